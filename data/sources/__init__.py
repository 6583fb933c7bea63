"""Sources of photo pairs, one per file.

Imports `data.batches`, `data.pictures` and `data.errors`.
"""
