"""Photo files: reading, writing, metadata, pixel values, resizing; the only package that uses Pillow.

Imports only `runtime`.
"""
