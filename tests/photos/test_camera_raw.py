"""Camera raw: recognized by its content, refused without LibRaw and developed with it."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from ppcn_jax.photos.paths import plan_jobs
from ppcn_jax.photos.read import read_header, read_photo
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError

PREVIEW = np.full((64, 64, 3), 200, np.uint8)
H, W = 96, 128
CFA, DNG_VERSION = 32803, 50706


def write_raw(path, *, dng=True, sensor=True, reduced=True, color=(0.5, 0.25, 0.1)):
    """Write a preview, and the mosaic of a photo of one camera color in a sub-directory."""
    mosaic = np.zeros((H, W))
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = color[channel]
    mosaic[: H // 4] = 0  # no constant photo, or LibRaw finds no maximum
    tags = [(271, 2, 0, "Cam", True), (272, 2, 0, "One", True), (274, 3, 1, 6, True)]
    if dng:
        tags += [
            (DNG_VERSION, 1, 4, b"\1\4\0\0", True),
            # From XYZ to linear sRGB, so that the camera sees as sRGB does.
            (50721, 10, 9, matrix(), True),
            (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
            (50778, 3, 1, 21, True),
        ]
    with tifffile.TiffWriter(path) as file:
        file.write(
            PREVIEW,
            photometric="rgb",
            subifds=1 if sensor else 0,
            subfiletype=int(reduced),
            extratags=tags,
            metadata=None,
        )
        if sensor:
            pattern = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True)]
            file.write(
                (mosaic * 65535).astype(np.uint16),
                photometric=CFA,
                subfiletype=0,
                extratags=[*pattern, (50717, 4, 1, 65535, True)],
                metadata=None,
            )
    return path


def matrix():
    values = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


@pytest.fixture
def no_rawpy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


@pytest.mark.parametrize(
    "signs",
    [
        {"sensor": False, "reduced": False},
        {"dng": False, "reduced": False},
        {"dng": False, "sensor": False},
    ],
    ids=["version", "sensor", "preview"],
)
@pytest.mark.parametrize("name", ["x.dng", "x.tif"])
def test_each_sign_of_a_raw_is_enough(tmp_path, no_rawpy, signs, name):
    path = write_raw(tmp_path / name, **signs)
    for read in (read_photo, read_header):
        with pytest.raises(
            InputError, match=rf"{name} is a camera raw file; develop it first.*raw"
        ):
            read(path)


@pytest.mark.parametrize(
    "start",
    [b"II*\0\x10\0\0\0CR\2\0", b"IIU\0", b"IIRO", b"FUJIFILMCCD-RAW ", b"\0\0\0\x18ftypcrx "],
    ids=["cr2", "rw2", "orf", "raf", "cr3"],
)
def test_raws_that_are_no_tiff_are_recognized(tmp_path, no_rawpy, start):
    (tmp_path / "x.raw").write_bytes(start + bytes(100))
    with pytest.raises(InputError, match="is a camera raw file"):
        read_photo(tmp_path / "x.raw")


def test_other_tiffs_are_no_raw(tmp_path, no_rawpy):
    path = write_raw(tmp_path / "x.tif", dng=False, sensor=False, reduced=False)
    np.testing.assert_array_equal(np.unique(read_photo(path).pixels), 200)


@pytest.mark.parametrize("order", "<>")
def test_damaged_directories_end_the_search(tmp_path, order):
    # Pages in a circle, whose sub-directory lies beyond the end of the file.
    directory = struct.pack(f"{order}HHHII", 1, 330, 4, 1, 10**6) + struct.pack(f"{order}I", 8)
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    (tmp_path / "x.tif").write_bytes(start + struct.pack(f"{order}I", 8) + directory)
    with pytest.raises(InputError, match=r"x\.tif "):
        read_photo(tmp_path / "x.tif")


def test_a_raw_is_developed(tmp_path):
    pytest.importorskip("rawpy", reason="the extra raw is not installed")
    photo = read_photo(write_raw(tmp_path / "x.dng"))
    # The orientation of the camera is applied.
    assert photo.pixels.dtype == np.uint16 and photo.pixels.shape == (W, H, 3)
    assert (photo.format, photo.icc) == ("tiff", b"")
    middle = photo.pixels[20:-20, 20 : H // 2].reshape(-1, 3).mean(axis=0) / 65535
    linear = np.where(middle > 0.04045, ((middle + 0.055) / 1.055) ** 2.4, middle / 12.92)
    # LibRaw chooses the brightness; ratios of the camera's colors stay.
    np.testing.assert_allclose(linear / linear[0], [1, 0.5, 0.2], atol=0.03)
    (tmp_path / "x.tif").write_bytes(encode_photo(photo, "tiff"))
    with Image.open(tmp_path / "x.tif") as image:
        fields = image.getexif()
        assert (fields[271], fields[272], fields.get(274, 1)) == ("Cam", "One", 1)
        assert DNG_VERSION not in fields and image.size == (H, W)


def test_a_raw_that_libraw_cannot_develop_is_an_error(tmp_path):
    pytest.importorskip("rawpy", reason="the extra raw is not installed")
    path = write_raw(tmp_path / "x.dng")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"x\.dng is a camera raw file that LibRaw cannot develop"):
        read_photo(path)


def test_the_result_of_a_raw_is_a_tiff_or_the_format_chosen(tmp_path, monkeypatch):
    (tmp_path / "x.NEF").touch()
    monkeypatch.chdir(tmp_path)
    for format, name in ((None, "out/x.tif"), ("jpeg", "out/x.jpg")):
        (job,), _ = plan_jobs(["x.NEF"], "out", format)
        assert (job.destination.as_posix(), job.format) == (name, format or "tiff")
