"""How fast everything is on this machine, beside other libraries and beside what it could be.

One command, `launch.py --config=configs/benchmark.py`, measures all of it. What is compared takes
turns (A B C A B C ...), is checked to compute the same thing before it is timed, and is related to
a floor: the work that must be done and the bytes that must move, over the speeds at which this
machine was seen to multiply a large matrix and to copy a large array in the same run.
"""
