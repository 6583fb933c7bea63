"""The endless order of training samples and the position of their crops."""

import dataclasses
import functools

import numpy as np

from data.batching.quarantine import Quarantine

_CROPS = 1  # separates the random stream of the crops from that of the permutations


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of training samples: a pure function of its fields.

    Attributes:
      size: number of samples.
      seed: a non-negative integer.
      batch_size: samples in a global batch, over all processes.
      process_index: index of this process, which takes this contiguous slice of each batch.
      process_count: number of processes; divides `batch_size`.
      quarantine: records to skip, as if they were not in the permutation.
    """

    size: int
    seed: int
    batch_size: int
    process_index: int = 0
    process_count: int = 1
    quarantine: Quarantine | None = None

    @property
    def share(self) -> int:
        """Number of samples of this process in each batch."""
        return self.batch_size // self.process_count

    def positions(self, step: int) -> np.ndarray:
        """Positions of this process in the batch of a step: int64 [share]."""
        start = step * self.batch_size + self.process_index * self.share
        return np.arange(start, start + self.share)

    def samples(self, positions: np.ndarray) -> np.ndarray:
        """The sample at each position: int32, the shape of `positions`."""
        return np.array([self.sample(int(position)) for position in positions], np.int32)

    def sample(self, position: int) -> int:
        """The sample at a position, or the next one of its epoch that is not in quarantine."""
        epoch, place = divmod(position, self.size)
        permutation = _permutation(self.size, self.seed, epoch)
        if self.quarantine is not None:
            step = position // self.batch_size
            while self.quarantine.holds(permutation[place], step):
                place = (place + 1) % self.size
        return int(permutation[place])

    def corner(self, position: int, height: int, width: int, crop: int) -> tuple[int, int]:
        """Corner (top, left) of the crop at a position, uniform over all corners that fit.

        `height` and `width` of the frame and the side of the crop are in pixels.
        """
        if height == width == crop:
            return 0, 0
        rng = np.random.default_rng([self.seed, _CROPS, int(position)])
        top, left = rng.integers([height - crop + 1, width - crop + 1])
        return int(top), int(left)


@functools.lru_cache(maxsize=8)
def _permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(size)
