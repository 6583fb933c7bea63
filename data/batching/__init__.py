"""Batches: what a source is, the order of samples, crops, loaders, unreadable records.

Imports only `data.errors`.
"""
