"""The parts of the benchmark, one per file.

Imports what `benchmark` may import.
"""
