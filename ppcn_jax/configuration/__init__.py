"""Configurations checked before any work starts: their fields, their workdirs, the flags.

Imports `steps`, `weights`, `models` and `runtime`.
"""
