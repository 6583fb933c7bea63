"""The networks, losses and training step in PyTorch, and in ncnn by it, for comparisons of speed.

The only package that imports PyTorch and ncnn, inside functions; the rest as `benchmark`.
"""
