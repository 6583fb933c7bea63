"""Picture files: decoding, folders of pairs, a cache, free memory and progress bars.

Imports only `data.errors`.
"""
