"""Training runs: built from a configuration, logged, monitored and resumed.

Imports `configuration`, `evaluation`, `steps`, `weights`, `models`, `losses`, `photos`, `ops` and
`runtime`.
"""
