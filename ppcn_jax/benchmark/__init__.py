"""How fast everything runs on this machine, compared with other libraries and with its limits.

`launch.py --config=configs/benchmark.py` measures a processor, `configs/accelerator.py` a GPU or
TPU. Competitors are timed in turn (A B C A B C ...) after a check that they compute the same
result. Each time is compared with a floor: the operations and bytes that a task needs at least,
over the speeds at which this machine multiplied a large matrix and copied a large array in the
same run. May import every package except `serving`.
"""
