"""The local web page, the only wing that uses Gradio.

Imports `inference`, `weights`, `photos` and `runtime`.
"""
