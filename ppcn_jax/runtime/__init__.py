"""The process and the machine: errors, files on disk, other processes, the compilation cache.

Imports nothing else of ppcn_jax.
"""
