"""The TFDS builder of DPED."""

import functools
import pathlib
from collections.abc import Iterator
from typing import ClassVar

from data.dped.layout import PHONES, VERSION, patch_folders
from data.errors import DataError
from data.extras import require
from data.pictures.checks import check_pair
from data.pictures.folders import paired_names
from data.pictures.images import read_bytes, tf_decodable
from data.pictures.progress import progress

_DESCRIPTION = """
The DSLR Photo Enhancement Dataset: 100x100 patches of photos that three phones (iPhone 3GS,
BlackBerry Passport, Sony Xperia Z) and a Canon 70D camera took of the same scenes at the same
time, aligned to each other.
"""

_MANUAL_DOWNLOAD = """
Download DPED from the page above and unpack it so that the manual folder holds
`<phone>/training_data/{<phone>,canon}/N.jpg` and `<phone>/test_data/patches/{<phone>,canon}/N.jpg`.
"""

_HOMEPAGE = "http://people.ee.ethz.ch/~ihnatova/"

_CITATION = """
@inproceedings{ignatov2017dslr,
  title={{DSLR}-Quality Photos on Mobile Devices with Deep Convolutional Networks},
  author={Ignatov, Andrey and Kobyshev, Nikolay and Timofte, Radu and Vanhoey, Kenneth and Van Gool, Luc},
  booktitle={Proceedings of the IEEE International Conference on Computer Vision (ICCV)},
  pages={3277--3285},
  year={2017}
}
"""


@functools.cache
def builder_class() -> type:
    """The builder's class, made when first asked for because only preparing DPED needs TFDS.

    Returns:
      A `tfds.core.GeneratorBasedBuilder` with one config for each phone. Its records are in
      natural order of the file names, which its metadata lists under "names" for each split.

    Raises:
      MissingExtraError: if TFDS is absent.
    """
    tfds = require("tensorflow_datasets", "data")

    class Dped(tfds.core.GeneratorBasedBuilder):
        """Pairs of patches: a phone's and the camera's."""

        VERSION = tfds.core.Version(VERSION)
        RELEASE_NOTES: ClassVar = {str(VERSION): "Encoded patches in natural order of their names."}
        MANUAL_DOWNLOAD_INSTRUCTIONS = _MANUAL_DOWNLOAD
        BUILDER_CONFIGS: ClassVar = [
            tfds.core.BuilderConfig(name=phone, description=f"Patches of the {model}.")
            for phone, model in PHONES.items()
        ]

        def _info(self):
            picture = tfds.features.Image(shape=(None, None, 3))
            return tfds.core.DatasetInfo(
                builder=self,
                description=_DESCRIPTION,
                homepage=_HOMEPAGE,
                citation=_CITATION,
                features=tfds.features.FeaturesDict(
                    {"input": picture, "target": picture, "name": tfds.features.Text()}
                ),
                supervised_keys=("input", "target"),
                disable_shuffling=True,  # record i is names[i]
                metadata=tfds.core.MetadataDict(),
            )

        def _split_generators(self, dl_manager):
            dped = pathlib.Path(dl_manager.manual_dir)
            folders = {
                split: patch_folders(dped, self.builder_config.name, split)
                for split in ("train", "test")
            }
            names = {split: paired_names(*folders[split]) for split in folders}
            self.info.metadata["names"] = names
            return {
                split: self._generate_examples(*folders[split], names[split]) for split in folders
            }

        def _generate_examples(self, inputs, targets, names):
            pairs = enumerate(_checked_pairs(inputs, targets, names))
            yield from progress(pairs, len(names), f"Preparing {inputs}")

    return Dped


def _checked_pairs(
    inputs: pathlib.Path, targets: pathlib.Path, names: list[str]
) -> Iterator[dict[str, bytes | str]]:
    first_shape = None
    for name in names:
        paths = inputs / name, targets / name
        (phone, patch), (camera, target) = (
            tf_decodable(read_bytes(path), str(path)) for path in paths
        )
        check_pair(str(paths[0]), patch.shape, target.shape, crop=None)
        first_shape = first_shape or patch.shape
        if patch.shape != first_shape:
            raise DataError(
                f"{paths[0]} is of another size than {inputs / names[0]}; all of DPED's patches "
                "are of one size: restore or remove the pair"
            )
        yield {"input": phone, "target": camera, "name": name}
