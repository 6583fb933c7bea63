"""Pure training steps: train state, objective, augmentation, optimizers, and the map over devices.

Imports `losses`, `models`, `metrics` and `ops`; touches no files, no photos, and prints nothing.
"""
