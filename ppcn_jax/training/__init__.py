"""Training runs: put together from a configuration, looped, logged, watched and resumed.

Imports `configuration`, `evaluation`, `steps`, `weights`, `models`, `losses`, `photos`, `ops` and
`runtime`.
"""
