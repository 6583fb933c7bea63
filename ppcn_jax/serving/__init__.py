"""The local web page.

Imports `inference`, `weights`, `photos` and `runtime`; the only wing that uses Gradio.
"""
