"""The prepared copy of DPED, which can be read in any order."""

import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from data.batching.order import Order
from data.errors import ALONE, DataError, Share, import_tensorflow, require
from data.pictures.folders import check_pair, hold_out
from data.pictures.images import decode

if TYPE_CHECKING:
    from tensorflow import Tensor
    from tensorflow.data import Dataset


class Prepared:
    """One split of a prepared copy.

    Attributes:
      names: file names of the patches.
      crop: side of the training crops in pixels; None for full patches.
    """

    def __init__(self, folder: pathlib.Path, *, crop: int | None, split: str, validation: int):
        """Open the copy in TFDS's folder of the version; for the arguments see `open_dped`.

        Raises:
          DataError: if its files cannot be read, or validation leaves no patch for training.
          MissingExtraError: if TFDS is not installed.
        """
        tfds = require("tensorflow_datasets", "data")
        builder = tfds.builder_from_directory(os.fspath(folder))
        undecoded = {"input": tfds.decode.SkipDecoding(), "target": tfds.decode.SkipDecoding()}
        stored_split = "train" if validation else split
        try:
            self._examples = builder.as_data_source(stored_split, decoders=undecoded)
            self._records = self._examples.data_source
            len(self._records)  # opens the files
        except Exception as error:  # ArrayRecord's own, for files that are truncated or missing
            raise DataError(
                f"{folder} cannot be read ({error}); prepare it again: remove it, then run "
                "python -m data.dped.prepare"
            ) from error
        names = builder.info.metadata["names"][stored_split]
        self._folder, self._first = folder, 0
        self.names, self.crop = names, crop
        if validation:
            self.names = hold_out(names, validation, split, folder=folder, field="validation")
            self._first = names.index(self.names[0])
        self._shape = self._any_shape()

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode a pair: (input, target), uint8 [H, W, 3]; raises `DataError` if it is damaged."""
        name = self.names[index]
        try:
            example = self._examples[self._first + index]
        except Exception as error:  # a checksum of ArrayRecord, the file system, or parsing
            raise DataError(
                f"{name} in {self._folder} cannot be read ({error}); prepare it again"
            ) from error
        return decode(example["input"], name), decode(example["target"], name)

    def _any_shape(self) -> tuple[int, ...]:
        problem = DataError(f"{self._folder} holds no pairs for this split; prepare it again")
        for index in range(len(self)):
            try:
                return self[index][0].shape  # all have the same, which was checked when preparing
            except DataError as error:
                problem = error
        raise problem

    def check(self, share: Share = ALONE) -> None:
        """Check the crop against the first patch; all else was checked when preparing.

        Every process does, whatever its `share`.
        """
        patch, target = self[0]
        check_pair(self.names[0], patch.shape, target.shape, self.crop)

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Batches as `data.batching.crops.gather` returns them, up to one that cannot be read.

        TensorFlow decodes the patches to exactly the pixels that Pillow decodes.
        """
        tf = import_tensorflow()
        crop = self.crop

        def fetch(step: "Tensor") -> "tuple[Tensor, ...]":
            types = (tf.string, tf.int32, tf.int32)
            arrays = tf.numpy_function(lambda s: self._fetch(order, int(s)), [step], types)
            shapes = ([order.share], [order.share, 2], [order.share])
            return tuple(map(tf.ensure_shape, arrays, shapes))

        def decode_jpeg(encoded: "Tensor", corner: "Tensor") -> "Tensor":
            # The default method differs from Pillow's by up to 19 gray levels.
            image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
            return tf.slice(image, [corner[0], corner[1], 0], [crop, crop, 3])

        def decode_pair(
            record: "Tensor", corner: "Tensor", sample: "Tensor"
        ) -> "dict[str, Tensor]":
            encoded = tf.io.FixedLenFeature([], tf.string)
            pair = tf.io.parse_single_example(record, {"input": encoded, "target": encoded})
            pictures = {name: decode_jpeg(picture, corner) for name, picture in pair.items()}
            return {**pictures, "id": sample}

        fetched = tf.data.Dataset.range(start_step, tf.int64.max).map(fetch)
        readable = fetched.take_while(lambda records, corners, samples: samples[0] >= 0)
        pairs = (
            readable.prefetch(1)
            .unbatch()
            .map(decode_pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        )
        return pairs.batch(order.share, drop_remainder=True)

    def _fetch(self, order: Order, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Records, corners and samples of a step; samples of -1 if a record cannot be read."""
        assert self.crop is not None, "a test split has no crops"
        positions = order.positions(step)
        try:
            samples = order.samples(positions)
            records = self._records.__getitems__((self._first + samples).tolist())
        except (OSError, RuntimeError):  # TensorFlow would print it and raise an error of its own
            records, samples = [b""] * order.share, np.full(order.share, -1, np.int32)
        height, width, _ = self._shape
        corners = [order.corner(position, height, width, self.crop) for position in positions]
        return np.array(records, object), np.array(corners, np.int32), samples
