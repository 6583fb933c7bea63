"""Export networks to ONNX, TFLite and StableHLO; imports `inference` and what lies below it.

All files have the same interface: they take float32 images `[N, H, W, 3]`, RGB in [0, 1], and
return float32 images of the same shape, clipped to [0, 1] (`contract.py`). A file is compared with
JAX before it gets its final name (`verify.py`).
"""
