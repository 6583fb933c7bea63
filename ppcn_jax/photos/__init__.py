"""Photo files: reading, writing, metadata, pixel values, resizing; the only wing that uses Pillow.

Imports only `runtime`.
"""
