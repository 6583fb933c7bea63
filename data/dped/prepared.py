"""The prepared copy of DPED, read in any order."""

import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from data.batching.order import Order
from data.errors import DataError
from data.extras import import_tensorflow, require
from data.pictures.checks import check_pair
from data.pictures.images import decode

if TYPE_CHECKING:
    import tensorflow as tf


class Prepared:
    """One split of a prepared copy, or a part of it.

    Attributes:
      names: the patches' file names.
      crop: side of the training crops in pixels; None for whole patches.
    """

    def __init__(self, folder: pathlib.Path, *, crop: int | None, split: str, part: slice):
        """Open the copy.

        Args:
          folder: TFDS's folder of the version.
          crop: side of the training crops in pixels; None for whole patches.
          split: "train" or "test".
          part: of the split's records.

        Raises:
          DataError: if its files cannot be read, or the part is empty.
          MissingExtraError: if TFDS is absent.
        """
        tfds = require("tensorflow_datasets", "data")
        builder = tfds.builder_from_directory(os.fspath(folder))
        undecoded = {"input": tfds.decode.SkipDecoding(), "target": tfds.decode.SkipDecoding()}
        self._folder = folder
        try:
            self._examples = builder.as_data_source(split, decoders=undecoded)
            self._records = self._examples.data_source
            len(self._records)  # opens the files
        except Exception as error:  # of ArrayRecord, for files that are cut short or gone
            raise DataError(
                f"{folder} cannot be read ({error}); prepare it again: remove it, then run "
                "python -m data.dped.prepare"
            ) from error
        names = builder.info.metadata["names"][split]
        self._first, _, _ = part.indices(len(names))
        self.names = names[part]
        self.crop = crop
        self._shape = self._any_shape()

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode a pair: (input, target), uint8 [H, W, 3]; raises `DataError` if it is damaged."""
        name = self.names[index]
        try:
            example = self._examples[self._first + index]
        except Exception as error:  # of ArrayRecord's checksums, of the file, or of parsing
            raise DataError(
                f"{name} in {self._folder} cannot be read ({error}); prepare it again"
            ) from error
        return decode(example["input"], name), decode(example["target"], name)

    def _any_shape(self) -> tuple[int, int, int]:
        problem = None
        for index in range(len(self)):
            try:
                return self[index][0].shape  # preparing has checked that all have the same
            except DataError as error:
                problem = problem or error
        raise problem or DataError(
            f"{self._folder} holds no pairs for this split; prepare it again"
        )

    def check(self) -> None:
        """Check the first patch against the crop; preparing has checked that they are pairs.

        Raises:
          DataError: if the crop does not fit.
        """
        patch, target = self[0]
        check_pair(self.names[0], patch.shape, target.shape, self.crop)

    def dataset(self, order: Order, start_step: int) -> "tf.data.Dataset":
        """Batches, decoded by TensorFlow to the very bytes that Pillow decodes; up to one that cannot
        be read.

        Args:
          order: the order over the pairs.
          start_step: the step of the first batch.

        Returns:
          Dictionaries as `data.crops.gather` returns.
        """
        tf = import_tensorflow()
        crop = self.crop

        def fetch(step):
            types = (tf.string, tf.int32, tf.int32)
            arrays = tf.numpy_function(lambda s: self._attempt(order, int(s)), [step], types)
            shapes = ([order.share], [order.share, 2], [order.share])
            return tuple(map(tf.ensure_shape, arrays, shapes))

        def decode_jpeg(encoded, corner):
            # The default method is off by up to 19 gray levels; this one is Pillow's.
            image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
            return tf.slice(image, [corner[0], corner[1], 0], [crop, crop, 3])

        def decode_pair(record, corner, sample):
            encoded = tf.io.FixedLenFeature([], tf.string)
            pair = tf.io.parse_single_example(record, {"input": encoded, "target": encoded})
            pictures = {name: decode_jpeg(picture, corner) for name, picture in pair.items()}
            return {**pictures, "id": sample}

        steps = tf.data.Dataset.range(start_step, tf.int64.max).map(fetch)
        whole = steps.take_while(lambda records, corners, samples: samples[0] >= 0)
        pairs = (
            whole.prefetch(1)
            .unbatch()
            .map(decode_pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        )
        return pairs.batch(order.share, drop_remainder=True)

    def _attempt(self, order: Order, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        try:
            return self._fetch(order, step)
        except (
            OSError,
            RuntimeError,
        ):  # TensorFlow would print it, and hide it in an error of its own
            count = order.share
            nothing = np.full(count, b"", object), np.zeros((count, 2), np.int32)
            return *nothing, np.full(count, -1, np.int32)

    def _fetch(self, order: Order, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        positions = order.positions(step)
        samples = order.samples(positions)
        indices = (self._first + samples).tolist()
        records = np.array(self._records.__getitems__(indices), object)
        height, width, _ = self._shape
        corners = [order.corner(position, height, width, self.crop) for position in positions]
        return records, np.array(corners, np.int32), samples
