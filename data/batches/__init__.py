"""Batches: what a source is, the order of samples, crops, loaders, unreadable records.

Imports `data.pictures` and `data.errors`.
"""
