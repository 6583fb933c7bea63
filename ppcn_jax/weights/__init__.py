"""Trained networks on disk: every weights format, checkpoints, and the shipped files.

Imports `models` and `runtime`.
"""
