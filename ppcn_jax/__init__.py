"""PPCN in JAX: perception-preserving photo enhancement, trained, distilled and evaluated.

Conventions everywhere: images are float32 `[N, H, W, 3]`, RGB, in [0, 1]; one value per
image comes out of a loss or a metric. Nothing here imports TensorFlow.
"""

__version__ = "0.1.0"
