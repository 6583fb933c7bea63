"""The process and its machine: errors, files, memory, other processes, the compilation cache.

Imports nothing else of ppcn_jax.
"""
