"""Aligned photo pairs, decoded and batched on the host; the half that may use TensorFlow.

The batch contract
------------------
`batches` yields dictionaries of NumPy arrays:

* `input`, `target`: uint8 `[local_devices, per_device_batch, H, W, 3]`, RGB, aligned pairs;
* `id`: int32 `[local_devices, per_device_batch]`, the index of each sample in `source.names`.

The batch of step s is a pure function of (source, seed, s, global batch size B). It holds the
global positions p = s·B … s·B + B − 1. With n samples, position p is in epoch e = p // n and
holds sample `numpy.random.default_rng([seed, e]).permutation(n)[p % n]`. A batch may span epochs,
no sample is dropped, and starting at any step costs nothing. The random crop at p is drawn from
(seed, p), from all places in its frame or from those that the source allows
(`data.batching.source.Placing`). Process k of P takes the k-th contiguous slice of the global batch
and splits it over its local devices in order, so the global batch does not depend on the number of
processes or devices.

A record that becomes unreadable goes into a quarantine, which is a file in the run's workdir. From
that step on, the next record of its epoch that is not in quarantine takes its place
(`data.batching.quarantine`). A resumed run uses the records with which it started, whatever its
folders hold now (`data.run`).

Where inputs are made from targets (super-resolution), each crop is degraded separately; crops are
not cut from a degraded photo. Real small inputs (`pairs`) are enlarged before crops are cut from
them. The host does no other augmentation: flips, rotations and the
conversion to float run on the device. A test split is not batched but read one full image at a
time::

    for name, (photo, target) in ((source.names[i], source[i]) for i in range(len(source))): ...

Importing this package needs neither TensorFlow nor TFDS. A source that needs one of them raises an
error that names the extra to install.

The modules import in one direction: run > open > dped > sources > batching, pictures > errors.
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
