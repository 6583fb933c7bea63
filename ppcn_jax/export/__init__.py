"""Networks as files for other runtimes: ONNX, TFLite and StableHLO.

Every file does the same: it takes float32 images `[N, H, W, 3]`, RGB in [0, 1], and returns
float32 images of the same shape, clipped to [0, 1] (`contract.py`). Each is compared with JAX
after it has been written, before it takes its name (`verify.py`).
"""
