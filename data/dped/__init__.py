"""DPED: patches of three phones, paired with those of a camera, and their prepared copy.

Imports `data.sources`, `data.batching`, `data.pictures` and `data.errors`.
"""
