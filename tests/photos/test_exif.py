"""EXIF blocks that are changed in place."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from ppcn_jax.photos import exif


def make_block(order, orientation, width=60, height=40):
    """IFD0 with make, orientation and thumbnail's IFD1; an EXIF directory with a maker's note."""

    def directory(entries, link):
        fields = b"".join(
            struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
            for tag, kind, count, value in entries
        )
        return struct.pack(f"{order}H", len(entries)) + fields + struct.pack(f"{order}I", link)

    short, long = (lambda v: struct.pack(f"{order}H", v)), (lambda v: struct.pack(f"{order}I", v))
    # 8 header, 3 entries -> 42 bytes; the EXIF directory at 50 with 3 entries; IFD1 at 92 with 1.
    first = directory(
        [(0x010F, 2, 4, b"Cam\0"), (0x0112, 3, 1, short(orientation)), (0x8769, 4, 1, long(50))], 92
    )
    camera = directory(
        [(0x927C, 7, 12, long(110)), (0xA002, 4, 1, long(width)), (0xA003, 3, 1, short(height))], 0
    )
    thumbnail = directory([(0x0103, 3, 1, short(6))], 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + long(8)
    return head + first + camera + thumbnail + b"maker's note"


@pytest.mark.parametrize("order", "<>")
def test_only_what_must_change_changes(order):
    block = make_block(order, 6)
    assert exif.orientation(block) == 6
    changed = exif.upright(block, 600, 70_000)
    assert len(changed) == len(block) and changed.endswith(b"maker's note")
    # The number of bytes: orientation, the link to the thumbnail, 4 of the width, 2 of the height.
    assert sum(a != b for a, b in zip(block, changed, strict=True)) <= 8
    read = Image.Exif()
    read.load(changed)
    fields = read.get_ifd(ExifTags.IFD.Exif)
    assert (read[0x010F], read[0x0112]) == ("Cam", 1)
    assert (fields[0xA002], fields[0xA003], fields[0x927C]) == (70_000, 600, b"maker's note")
    assert not read.get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_like_pillow_turns(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=b"Exif\0\0" + make_block("<", orientation))
    with Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(exif.turn(pixels, orientation), expected)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"nonsense" * 4], ids=["empty", "header", "none"])
def test_what_is_no_block_passes(block):
    assert exif.upright(block, 40, 60) == block
    assert exif.orientation(block) == 1


@pytest.mark.parametrize("length", [36, 48, 60, 80, 100])
def test_what_is_left_of_a_block_is_not_turned_twice(length):
    block = make_block("<", 6)[:length]
    assert exif.orientation(block) == 6
    assert exif.orientation(exif.upright(block, 40, 60)) == 1


def test_an_orientation_that_does_not_exist_is_upright():
    assert exif.orientation(make_block("<", 77)) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'<x tiff:Orientation="6"/>', b'<x tiff:Orientation="1"/>'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b'<x xmp:Rating="6"/>', b'<x xmp:Rating="6"/>'),
    ],
)
def test_xmp_is_upright(before, after):
    assert exif.upright_xmp(before) == after
