"""Smooth random pictures for tests and benchmarks, which need no files and no extras."""

import numpy as np

_COUNTS = {"train": 64, "test": 8}
_WAVES = 6


class Synthetic:
    """Sums of random waves as targets, and darker, flatter versions of them as inputs.

    Attributes:
      names: names of the pairs, such as "synthetic-train-0".
      crop: side of the pictures in pixels; None for the test split.
    """

    def __init__(self, *, size: int, split: str):
        """Draw the 64 pictures of the training split or the 8 of the test split."""
        self.names = [f"synthetic-{split}-{i}" for i in range(_COUNTS[split])]
        self.crop = size if split == "train" else None
        self._pairs = [_pair(size, split, i) for i in range(_COUNTS[split])]

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The pair (input, target): uint8 [size, size, 3], a pure function of split and index."""
        return self._pairs[index]


def _pair(size: int, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([list(_COUNTS).index(split), index])
    axis = np.linspace(0, 1, size)
    y, x = axis[:, None, None, None], axis[None, :, None, None]
    frequency = rng.uniform(-4, 4, (2, _WAVES, 1))  # in cycles per picture
    phase = rng.uniform(0, 1, (_WAVES, 3))
    waves = np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x + phase))
    target = 128 + 110 * np.tanh(waves.mean(2))
    return (0.75 * (96 + 0.75 * (target - 96))).astype(np.uint8), target.astype(np.uint8)
