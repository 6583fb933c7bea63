"""The networks, losses and training step in PyTorch, for comparisons of speed.

The only package that imports PyTorch, inside functions; the rest as `benchmark`.
"""
