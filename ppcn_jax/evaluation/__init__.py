"""Scores, tables and timings of trained networks on test images.

Imports `inference`, `weights`, `models`, `photos`, `metrics`, `ops` and `runtime`.
"""
