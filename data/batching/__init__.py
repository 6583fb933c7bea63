"""Batches: the protocol of a source, the order of samples, crops, loaders and the quarantine.

Imports only `data.errors`.
"""
