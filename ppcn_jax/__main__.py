"""`python -m ppcn_jax` is the command `ppcn-jax`."""

from ppcn_jax.command import main

if __name__ == "__main__":
    main()
