"""High-resolution photos: finding, degrading and checking them."""

import functools
import itertools
import os

import numpy as np
import pytest
from PIL import Image

import data
from data.sources import high_resolution
from tests.data.sample_pictures import draw, encode, sideways

SCALE, CROP = 4, 24


@pytest.fixture
def photos(tmp_path):
    """A folder of seven photos, some in subfolders, some with sides that 4 does not divide."""
    folder = tmp_path / "photos"
    for name, size in {
        "2.png": (41, 50),
        "10.jpg": (50, 41),
        "city/1.png": (40, 40),
        "city/night/3.jpg": (45, 62),
        "sea/4.jpeg": (39, 47),
        "sea/5.png": (64, 33),
        "sea/6.png": (40, 60),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        format = "PNG" if path.suffix == ".png" else "JPEG"
        path.write_bytes(encode(draw(len(name), *size), format))
    return folder


@pytest.fixture
def open_photos(photos, make):
    defaults = {"source": "high_resolution", "dir": photos, "crop": CROP, "scale": SCALE}
    return lambda **changes: make(**{**defaults, **changes})


def degraded(image, scale=SCALE):
    height, width, _ = image.shape
    small = Image.fromarray(image).resize((width // scale, height // scale), Image.BICUBIC)
    return np.asarray(small.resize((width, height), Image.BICUBIC))


def take(source, count, **options):
    batches = data.batches(source, **{"seed": 3, "batch_size": 6, **options})
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def test_photos_in_subfolders_are_found_and_the_last_are_held_out(open_photos):
    assert open_photos(split="train").names == [
        "2.png",
        "10.jpg",
        "city/1.png",
        "city/night/3.jpg",
        "sea/4.jpeg",
    ]
    assert open_photos(split="test").names == ["sea/5.png", "sea/6.png"]


def test_separate_test_folder(open_photos, photos):
    assert open_photos(test_dir=photos / "sea", split="test").names == ["4.jpeg", "5.png", "6.png"]


@pytest.mark.parametrize("spelling", ["sea", "city/../sea"])
def test_test_photos_are_not_used_for_training(open_photos, photos, spelling):
    names = open_photos(test_dir=photos / spelling, holdout=0).names
    assert names == ["2.png", "10.jpg", "city/1.png", "city/night/3.jpg"]


def test_test_folder_elsewhere_leaves_all_photos_for_training(open_photos, tmp_path):
    assert len(open_photos(test_dir=tmp_path / "elsewhere")) == 7


def test_hidden_and_other_files_are_ignored(open_photos, photos):
    (photos / ".trash").mkdir()
    for name in (".trash/1.png", "city/.1.png", "notes.txt", "Thumbs.db"):
        (photos / name).write_bytes(b"x")
    assert len(open_photos(holdout=0)) == 7


def test_test_photos_are_full_cut_to_multiples_and_degraded(open_photos, photos):
    source = open_photos(split="test")
    assert isinstance(source, data.Source)
    assert source.crop is None
    for index, name in enumerate(source.names):
        image, target = source[index]
        with Image.open(photos / name) as file:
            photo = np.asarray(file)
        height, width = (side // 4 * 4 for side in photo.shape[:2])
        np.testing.assert_array_equal(target, photo[:height, :width])
        np.testing.assert_array_equal(image, degraded(target))


def test_crops_are_windows_of_their_photos_and_degraded_separately(open_photos):
    source = open_photos()
    corners = set()
    for batch in take(source, 5):
        assert batch["input"].shape == batch["target"].shape == (1, 6, CROP, CROP, 3)
        for image, target, index in zip(*(batch[k][0] for k in batch), strict=True):
            np.testing.assert_array_equal(image, degraded(target))
            photo = source.target(int(index))
            views = np.lib.stride_tricks.sliding_window_view(photo, (CROP, CROP), (0, 1))
            found = (np.moveaxis(views, 2, -1) == target).all((2, 3, 4))
            (corner,) = np.argwhere(found)
            corners.add(tuple(corner))
    assert len(corners) > 20


@pytest.mark.parametrize("scale", [2, 3])
def test_other_scales(open_photos, scale):
    batch = take(open_photos(scale=scale), 1)[0]
    np.testing.assert_array_equal(batch["input"][0, 0], degraded(batch["target"][0, 0], scale))


def test_tensorflow_and_numpy_give_the_same_bytes(open_photos):
    pytest.importorskip("tensorflow")
    options = {"start_step": 2, "process_index": 1, "process_count": 2, "local_devices": 3}
    from_disk = take(open_photos(in_memory=False), 5, **options)
    from_memory = take(open_photos(in_memory=True), 5, **options)
    for a, b in zip(from_disk, from_memory, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.parametrize("in_memory", [True, False])
def test_order_depends_only_on_seed_and_step(open_photos, in_memory):
    source = open_photos(in_memory=in_memory)
    first, later = take(source, 4), take(source, 2, start_step=2)
    other = take(source, 4, seed=4)
    for a, b in zip(first[2:], later, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    assert any((a["target"] != b["target"]).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("room", [0, 3 * 40 * 40 * 3, 2**30])
def test_photos_that_fit_into_memory_are_decoded_once(open_photos, monkeypatch, room):
    monkeypatch.setattr(high_resolution, "available_bytes", lambda: 2 * room)
    source = open_photos(in_memory=False)
    kept = sum(source.target(i) is source.target(i) for i in range(len(source)))
    assert {0: kept == 0, 2**30: kept == 5}.get(room, 0 < kept < 5)


def test_gray_and_rotated_photos_become_upright_rgb(open_photos, photos):
    (photos / "0.png").write_bytes(encode(draw(0, 40, 44), "PNG", mode="L"))
    (photos / "1.jpg").write_bytes(sideways(draw(1, 40, 44)))
    source = open_photos()
    gray, rotated = source.target(0), source.target(1)
    assert gray.shape == (40, 44, 3) and (gray == gray[..., :1]).all()
    assert rotated.shape == (44, 40, 3)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode(draw(0, 40, 44))[:-30], r"3\.jpg does not decode .*truncated.*remove it"),
        (b"", r"3\.jpg does not decode"),
        (
            encode(draw(0, 23, 60)),
            r"3\.jpg is 60x23 pixels, smaller than the crop of 24; use a smaller crop",
        ),
    ],
    ids=["truncated", "empty", "small"],
)
def test_error_at_the_start_names_the_bad_photo(open_photos, photos, content, message, in_memory):
    (photos / "city/night/3.jpg").write_bytes(content)
    with pytest.raises(data.DataError, match=f"city/night/{message}|{message}"):
        open_photos(in_memory=in_memory)


def test_photo_too_small_for_testing(open_photos, photos):
    (photos / "sea/6.png").write_bytes(encode(draw(0, 31, 90), "PNG"))
    with pytest.raises(data.DataError, match=r"6\.png is 90x31 pixels, too small"):
        open_photos(split="test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dir": ""}, "dir is empty: set it to the folder"),
        ({"crop": 26}, "multiple of the scale 4, not 26; use 28"),
        ({"scale": 0}, "scale must be at least 1, not 0"),
        ({"holdout": 7}, "holdout must be from 0 to 6, not 7: .* holds 7 photos"),
        ({"holdout": -1}, "holdout must be from 0 to 6, not -1: .*, or set test_dir"),
        ({"holdout": 0, "split": "test"}, "holdout=0 leaves no photo .* or set test_dir"),
    ],
)
def test_invalid_settings(open_photos, options, message):
    with pytest.raises(data.DataError, match=message):
        open_photos(**options)


def test_missing_and_empty_folders(open_photos, photos, tmp_path):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(data.DataError, match="no folder .*nowhere"):
        open_photos(dir=tmp_path / "nowhere")
    with pytest.raises(data.DataError, match="empty and its subfolders hold no pictures"):
        open_photos(dir=tmp_path / "empty")
    with pytest.raises(data.DataError, match="no folder .*nowhere"):
        open_photos(test_dir=tmp_path / "nowhere", split="test")
    with pytest.raises(data.DataError, match="all photos of .* are in .*photos"):
        open_photos(test_dir=photos)


def test_too_little_memory(open_photos, monkeypatch):
    monkeypatch.setattr("data.sources.in_memory.available_bytes", lambda: 10_000)
    with pytest.raises(data.DataError, match=r"decoding 5 photos takes .* set in_memory=False"):
        open_photos(in_memory=True)


def test_real_photos(shared, make):
    folder = shared / "data" / "bsds500"
    if not folder.is_dir():
        pytest.skip("data/bsds500 is absent: its photos are in BIDS/BSDS500 on GitHub")
    options = {"source": "high_resolution", "test_dir": folder / "test", "scale": 4}
    source = make(dir=folder, crop=96, **options)
    assert len(source) == 200
    with pytest.raises(data.DataError, match=r"\.jpg is .* smaller than the crop of 384"):
        make(dir=folder, crop=384, **options)


@functools.cache
def div2k_builder():
    """A TFDS builder like that of DIV2K, with four drawn photos."""
    import tensorflow_datasets as tfds

    class Div2k(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("2.0.0")
        BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="bicubic_x4", description="x"),)

        def _info(self):
            images = {"lr": tfds.features.Image(), "hr": tfds.features.Image()}
            return tfds.core.DatasetInfo(
                builder=self, description="x", features=tfds.features.FeaturesDict(images)
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(0, 3),
                "validation": self._generate_examples(3, 4),
            }

        def _generate_examples(self, first, end):
            for i in range(first, end):
                yield i, {"lr": draw(i, 12, 10), "hr": draw(i, 48, 40 + i)}

    return Div2k


def write_div2k(root, file_format):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("array_record")
    tfds.disable_progress_bar()
    builder = div2k_builder()(config="bicubic_x4", data_dir=os.fspath(root))
    builder.download_and_prepare(file_format=file_format)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("explicit", [True, False])
def test_prepared_div2k(make, tmp_path, monkeypatch, in_memory, explicit):
    write_div2k(tmp_path, "array_record")
    if not explicit:
        monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path))
    options = {"source": "div2k", "dir": tmp_path if explicit else "", "in_memory": in_memory}
    train, test = (make(**options, split=split) for split in ("train", "test"))
    assert (len(train), test.names) == (3, ["DIV2K validation 0"])
    np.testing.assert_array_equal(test[0][1], draw(3, 48, 43)[:, :40])
    batch = take(train, 1)[0]
    np.testing.assert_array_equal(
        batch["input"][0, 0], degraded(batch["target"][0, 0]), strict=True
    )


def test_div2k_with_other_test_photos(open_photos, photos):
    assert len(open_photos(source="div2k", dir="", test_dir=photos, split="test")) == 7


def test_error_of_unprepared_div2k_names_the_command(make, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    with pytest.raises(data.DataError, match=r"no prepared DIV2K in (?s:.*)download_and_prepare"):
        make(source="div2k", dir=tmp_path)


def test_error_of_div2k_without_random_access_names_the_command(make, tmp_path):
    write_div2k(tmp_path, "tfrecord")
    with pytest.raises(data.DataError, match=r"random access; remove it (?s:.*)array_record"):
        make(source="div2k", dir=tmp_path)
