"""Hostile photos given to the command: errors, no crashes, no files outside the output."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

GIGABYTE = 2**30
STRIP = (20_000, 16)


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width, height, rows):
    """Encode a gray PNG with any declared size and any rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(width, height, rows):
    """Encode a gray TIFF with one strip."""
    fields = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: height}
    strip = zlib.compress(rows)
    fields[279] = len(strip)
    records = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(fields.items())]
    directory = struct.pack("<H", len(records)) + b"".join(records) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory


def webp(width, height):
    """Encode the header of a lossless WebP, which has 14 bits per side."""
    bits = (width - 1) | (height - 1) << 14
    content = b"WEBPVP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", bits) + b"\0"
    return b"RIFF" + struct.pack("<I", len(content)) + content


def good(size=(24, 18)):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_model):
    """Make a folder with a model, bad photos, and good ones under unusual names."""
    folder = tmp_path_factory.mktemp("hostile")
    write_model(folder / "student.safetensors", "student")
    bad, odd = folder / "bad", folder / "odd"
    for place in (bad, odd, odd / "a folder.jpg", folder / "outside", folder / "linked"):
        place.mkdir()
    (bad / "declared.png").write_bytes(png(100_000, 100_000, b""))
    (bad / "declared.tif").write_bytes(tiff(100_000, 100_000, b""))
    (bad / "declared.webp").write_bytes(webp(16_384, 16_384))
    (bad / "bomb.png").write_bytes(png(30_000, 30_000, bytes(10**8)))
    (bad / "bomb.tif").write_bytes(tiff(30_000, 30_000, bytes(10**8)))
    (bad / "empty.jpg").touch()
    (bad / "text.jpg").write_text("no picture", encoding="utf-8")
    (bad / "pickle.jpg").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    good().save(bad / "cut.jpg")
    os.truncate(bad / "cut.jpg", 500)
    good().save(bad / "cut.png")
    os.truncate(bad / "cut.png", 500)
    with (bad / "sparse.png").open("wb") as file:
        file.truncate(100 * GIGABYTE)
    os.mkfifo(folder / "pipe.jpg")
    os.symlink("/dev/zero", folder / "device.jpg")
    names = ["with space.jpg", "ünïcödé 写真.png", "line\nbreak.png", "..x.png", "-dash.png"]
    for name in [*names, os.fsdecode(b"\xff.png"), "a folder.jpg/inside.jpg"]:
        good().save(odd / name)
    good(STRIP).save(folder / "strip.png")
    good().save(folder / "plain.png")
    good().save(folder / "outside" / "kept.png")
    (folder / "escape" / "sub").mkdir(parents=True)
    good().save(folder / "escape" / "sub" / "x.png")
    (folder / "linked" / "sub").symlink_to(folder / "outside")
    return folder


def enhance(folder, *paths, output="out", limit=None):
    arguments = ["enhance", *paths, "--output", folder / output]
    arguments += ["--model", folder / "student.safetensors"]
    return {"command": "ppcn-jax", "arguments": [str(x) for x in arguments], "limit": limit}


def cases(folder):
    """Map names to command lines."""
    return {
        "bad": enhance(folder, folder / "bad", limit=8 * GIGABYTE),
        "odd": enhance(folder, folder / "odd"),
        "pipe": enhance(folder, folder / "pipe.jpg", folder / "plain.png", output="piped"),
        "device": enhance(folder, folder / "device.jpg"),
        "strip": enhance(folder, folder / "strip.png", limit=8 * GIGABYTE),
        "onto the input": enhance(folder, folder / "odd", output="odd"),
        "onto a photo": enhance(folder, folder / "plain.png", output="."),
        "link": enhance(folder, folder / "escape", output="linked"),
        "file": enhance(folder, folder / "odd", output="plain.png"),
        "dots": enhance(folder, folder / "odd" / ".." / "plain.png", output="dots/a/.."),
    }


@pytest.fixture(scope="module")
def before(folder):
    return content(folder)


@pytest.fixture(scope="module")
def results(folder, before, run_commands):
    lines = cases(folder)
    return dict(zip(lines, run_commands(lines.values()), strict=True))


def failures(result):
    """Lines on stderr, without progress and colors, which a network of random parameters spoils."""
    others = (": the network ", " photos are finished, now ")
    lines = result["stderr"].splitlines()
    return [line for line in lines if not any(text in line for text in others)]


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 10**8)
    return {path: path.read_bytes() for path in files}


def test_every_bad_photo_is_reported_with_its_reason(results, folder):
    result = results["bad"]
    lines = result["stderr"].splitlines()
    reasons = {
        "declared.png": "400 megapixels",
        "declared.tif": "400 megapixels",
        "declared.webp": "cannot be decoded",
        "bomb.png": "400 megapixels",
        "bomb.tif": "400 megapixels",
        "empty.jpg": "is empty",
        "text.jpg": "is not a readable",
        "pickle.jpg": "is not a readable",
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "sparse.png": "too large for a photo: 107 GB",
    }
    assert result["status"] == 1 and "Traceback" not in result["stderr"]
    for name, reason in reasons.items():
        (line,) = (line for line in lines if str(folder / "bad" / name) in line)
        assert reason.lower() in line.lower()
    assert result["stdout"].endswith(f", {len(reasons)} failed\n")


def test_unusual_names_are_kept(results, folder):
    assert (results["odd"]["status"], failures(results["odd"])) == (0, [])
    written = {path.relative_to(folder / "odd") for path in content(folder / "odd")}
    hidden = {path for path in written if path.name.startswith(".")}
    assert {
        path.relative_to(folder / "out") for path in content(folder / "out")
    } >= written - hidden


def test_pipes_and_devices_do_not_block(results, folder):
    assert results["pipe"]["status"] == 1
    assert "pipe.jpg cannot be read: it is not a regular file" in results["pipe"]["stderr"]
    assert (folder / "piped" / "plain.png").exists()
    assert "device.jpg cannot be read: it is not a regular file" in results["device"]["stderr"]


def test_a_long_strip_is_enhanced(results, folder):
    assert (results["strip"]["status"], failures(results["strip"])) == (0, [])
    with Image.open(folder / "out" / "strip.png") as image:
        assert image.size == STRIP


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onto the input", "is the input folder; name another folder"),
        ("onto a photo", "would replace the photo"),
        ("link", "leads outside --output"),
        ("file", "is a file; name a folder"),
    ],
)
def test_harmful_outputs_are_errors(results, name, message):
    assert results[name]["status"] == 1 and message in results[name]["stderr"]
    assert len(results[name]["stderr"].splitlines()) == 1


def test_nothing_is_written_outside_the_outputs(results, folder, before):
    assert results["dots"]["status"] == 0 and (folder / "dots" / "plain.png").exists()
    outputs = [folder / name for name in ("out", "piped", "dots")]
    after = content(folder)
    others = {p: b for p, b in after.items() if not any(o in p.parents for o in outputs)}
    assert others == before
    assert not list(folder.rglob("executed")) and not list(folder.rglob("*.partial"))
