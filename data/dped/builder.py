"""The TFDS builder of DPED."""

import functools
import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

from data.dped.layout import PHONES, VERSION, patch_folders
from data.errors import DataError, raise_together, require
from data.pictures.folders import check_pair
from data.pictures.images import read_bytes, tf_decodable
from data.pictures.partners import paired_names
from data.pictures.progress import progress

_DESCRIPTION = """
The DSLR Photo Enhancement Dataset: aligned 100x100 patches of photos of the same scenes, taken at
the same time by three phones (iPhone 3GS, BlackBerry Passport, Sony Xperia Z) and a Canon 70D
camera.
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
def builder_class() -> Any:
    """The builder's class, a `tfds.core.GeneratorBasedBuilder` with one config for each phone.

    It is defined in a function because only preparing DPED needs TFDS; raises `MissingExtraError`
    without it. The records are in natural order of the file names, which the metadata lists for
    each split under "names".
    """
    tfds = require("tensorflow_datasets", "data")
    base: Any = tfds.core.GeneratorBasedBuilder

    class Dped(base):
        """Pairs of patches: a phone's and the camera's."""

        VERSION = tfds.core.Version(VERSION)
        RELEASE_NOTES: ClassVar = {str(VERSION): "Encoded patches in natural order of their names."}
        MANUAL_DOWNLOAD_INSTRUCTIONS = _MANUAL_DOWNLOAD
        BUILDER_CONFIGS: ClassVar = [
            tfds.core.BuilderConfig(name=phone, description=f"Patches of the {model}.")
            for phone, model in PHONES.items()
        ]

        def _info(self) -> Any:
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

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
            dped = pathlib.Path(dl_manager.manual_dir)
            folders = {
                split: patch_folders(dped, self.builder_config.name, split)
                for split in ("train", "test")
            }
            partners = {split: paired_names(*folders[split]) for split in folders}
            self.info.metadata["names"] = {split: list(of) for split, of in partners.items()}
            return {
                split: self._generate_examples(*folders[split], partners[split])
                for split in folders
            }

        def _generate_examples(
            self, inputs: pathlib.Path, targets: pathlib.Path, partners: dict[str, str]
        ) -> Iterator[tuple[int, dict[str, bytes | str]]]:
            pairs = enumerate(_checked_pairs(inputs, targets, partners))
            yield from progress(pairs, len(partners), f"Preparing {inputs}")

    return Dped


def _checked_pairs(
    inputs: pathlib.Path, targets: pathlib.Path, partners: dict[str, str]
) -> Iterator[dict[str, bytes | str]]:
    first: tuple[pathlib.Path, tuple[int, ...]] | None = None
    errors: list[DataError] = []
    for name, partner in partners.items():
        paths = inputs / partner, targets / name
        try:
            (phone, patch), (camera, target) = (
                tf_decodable(read_bytes(path), str(path)) for path in paths
            )
            check_pair(str(paths[0]), patch.shape, target.shape, crop=None)
            first = first or (paths[0], patch.shape)
            if patch.shape != first[1]:
                raise DataError(
                    f"{paths[0]} differs in size from {first[0]}; all patches of DPED have the "
                    "same size: restore or remove the pair"
                )
        except DataError as error:
            errors.append(error)
        else:
            if not errors:  # otherwise the copy will not be used
                yield {"input": phone, "target": camera, "name": name}
    raise_together(errors, len(partners))
