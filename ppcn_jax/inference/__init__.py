"""Networks applied to photos of any size, on one device or several.

Imports `weights`, `models`, `photos`, `ops` and `runtime`.
"""
