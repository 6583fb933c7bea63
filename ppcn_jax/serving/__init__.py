"""The local web page, the only package that uses Gradio.

Imports `inference`, `weights`, `photos` and `runtime`.
"""
