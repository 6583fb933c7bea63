"""Types of command-line arguments, for argparse."""

import argparse
from collections.abc import Callable


def integer(low: int, high: int) -> Callable[[str], int]:
    """A type for whole numbers from `low` to `high`."""

    def integer(text: str) -> int:
        if not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return int(text)

    return integer


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)
