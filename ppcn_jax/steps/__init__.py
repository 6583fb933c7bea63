"""Pure training steps: train state, objective, augmentation, optimizers and data parallelism.

Imports `losses`, `models`, `metrics` and `ops`; reads and writes no files and prints nothing.
"""
