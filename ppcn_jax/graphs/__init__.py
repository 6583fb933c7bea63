"""Networks as graphs of operators, for runtimes other than JAX, and OpenVINO.

Imports `weights`, `models`, `ops` and `runtime`. `export/` writes the graphs as ONNX files.
"""
