"""EXIF blocks that are edited in place."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from ppcn_jax.photos import exif, xmp


def make_block(order, orientation, width=60, height=40):
    """Make a block with make, orientation, EXIF directory with maker note, and thumbnail."""

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
    return head + first + camera + thumbnail + b"maker note !"


@pytest.mark.parametrize("order", "<>")
def test_only_orientation_size_and_thumbnail_change(order):
    block = make_block(order, 6)
    assert exif.orientation(block) == 6
    changed = exif.mark_upright(block, 600, 70_000)
    assert len(changed) == len(block) and changed.endswith(b"maker note !")
    # Orientation, link to the thumbnail, 4 bytes of the width and 2 of the height.
    assert sum(a != b for a, b in zip(block, changed, strict=True)) <= 8
    read = Image.Exif()
    read.load(changed)
    fields = read.get_ifd(ExifTags.IFD.Exif)
    assert (read[0x010F], read[0x0112]) == ("Cam", 1)
    assert (fields[0xA002], fields[0xA003], fields[0x927C]) == (70_000, 600, b"maker note !")
    assert not read.get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_by_pillow(orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", exif=b"Exif\0\0" + make_block("<", orientation))
    with Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(exif.apply_orientation(pixels, orientation), expected)


@pytest.mark.parametrize("block", [b"", b"II*\0", b"nonsense" * 4], ids=["empty", "header", "none"])
def test_other_bytes_are_returned_unchanged(block):
    assert exif.mark_upright(block, 40, 60) == block
    assert exif.orientation(block) == 1


@pytest.mark.parametrize("length", [36, 48, 60, 80, 100])
def test_a_truncated_block_is_marked_upright_if_its_orientation_is_readable(length):
    block = make_block("<", 6)[:length]
    assert exif.orientation(block) == 6
    assert exif.orientation(exif.mark_upright(block, 40, 60)) == 1


def test_an_invalid_orientation_counts_as_upright():
    assert exif.orientation(make_block("<", 77)) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'<x tiff:Orientation="6"/>', b'<x tiff:Orientation="1"/>'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b'<x xmp:Rating="6"/>', b'<x xmp:Rating="6"/>'),
    ],
)
def test_xmp_is_marked_upright(before, after):
    assert xmp.mark_upright(before) == after
