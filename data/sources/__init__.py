"""Sources of photo pairs, one per file.

Imports `data.batching`, `data.pictures` and `data.errors`.
"""
