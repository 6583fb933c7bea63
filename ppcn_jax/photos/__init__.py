"""Photo files: reading, writing, metadata, pixel values, resizing.

Imports only `runtime`.
"""
