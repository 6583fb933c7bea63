"""Array operations shared by models, losses and inference: convolutions, moments, Gaussian filters.

Imports nothing else of ppcn_jax.
"""
