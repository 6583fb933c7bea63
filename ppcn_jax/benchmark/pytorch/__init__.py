"""The networks, losses and training step in PyTorch, to compare speeds with.

The only package that uses PyTorch.
"""
