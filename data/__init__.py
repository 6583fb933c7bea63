"""Aligned photo pairs, decoded and batched on the host: the half that may use TensorFlow.

The batch contract
------------------
`batches` yields dictionaries of NumPy arrays:

* `input`, `target`: uint8 `[local_devices, per_device_batch, H, W, 3]`, RGB, aligned pairs;
* `id`: int32 `[local_devices, per_device_batch]`, the index of each sample in `source.names`.

The batch of step s is a pure function of (source, seed, s, global batch size B). It holds the
global positions p = s·B … s·B + B − 1. With n samples, position p lies in epoch e = p // n and
holds sample `numpy.random.default_rng([seed, e]).permutation(n)[p % n]`: a batch may cross epochs,
nothing is dropped, and starting at any step costs nothing. The random crop at p is drawn from
(seed, p) as well. Process k of P takes the k-th contiguous slice of the global batch and splits
it over its local devices in order, so the global batch does not depend on how many processes or
devices share the work.

A record that cannot be read any more goes into a quarantine, a file of the run's, and from that step
on the next of its epoch that is not in it stands in its place too (`data.quarantine`). The records are
those that the run began with (`data.names`), whatever the folders hold when it goes on.

Where inputs are made from targets (super-resolution), each crop is degraded by itself; a crop is
not cut from a degraded photo. The host does no augmentation beyond that: flips, rotations and the
turn to float belong on the device. A test split is read one whole image at a time and not batched::

    for name, (photo, target) in ((source.names[i], source[i]) for i in range(len(source))): ...

Importing this package needs neither TensorFlow nor TFDS; a source that does need one of them
says which extra to install.
"""

from data.batching.loaders import batches, sample_names
from data.batching.quarantine import Quarantine
from data.batching.source import Source
from data.errors import DataError
from data.open import make_source
from data.run import TrainingData
from data.sources.in_memory import InMemory
from data.sources.test_sets import open_test_sets

__all__ = [
    "DataError",
    "InMemory",
    "Quarantine",
    "Source",
    "TrainingData",
    "batches",
    "make_source",
    "open_test_sets",
    "sample_names",
]
