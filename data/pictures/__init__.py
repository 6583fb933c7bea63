"""Picture files: decoding, folders, caches, progress.

Imports only `data.errors`.
"""
