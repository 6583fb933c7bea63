"""Pairs that are mixed with pairs made of photos."""

import itertools

import numpy as np
import pytest
from PIL import Image

import data
from data.batching.source import Cutting, OnDisk
from data.sources.made_pairs import MadePairs, set_alone, turn_hue
from data.sources.mixture import Mixture
from tests.data.sample_pictures import draw

PHOTOS = 4


@pytest.fixture
def photos(tmp_path, pairs):
    """A folder of photos, beside the folders of pairs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        Image.fromarray(draw(number, 30, 40)).save(folder / f"{number}.png")
    return folder


class Numbers:
    """A source of constant pictures: number `first + i` everywhere."""

    crop = 8

    def __init__(self, count, first):
        self.names = [str(first + index) for index in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        picture = np.full((9, 9, 3), int(self.names[index]), np.uint8)
        return picture, picture


@pytest.mark.parametrize("share", [0.1, 0.5, 0.66, 0.9])
@pytest.mark.parametrize(("first", "second"), [(7, 3), (2, 30), (250, 200)])
def test_an_epoch_has_all_pairs_of_both_in_the_share(share, first, second):
    mixture = Mixture(Numbers(first, 0), Numbers(second, 1000), share=share)
    others = sum(int(name) >= 1000 for name in mixture.names)
    assert others / len(mixture) == pytest.approx(share, abs=1 / len(mixture))
    assert len(set(mixture.names)) == first + second


def test_batches_of_a_mixture():
    mixture = Mixture(Numbers(6, 0), Numbers(3, 100), share=0.5)
    batches = data.batches(mixture, seed=0, batch_size=12)
    batch = next(batches)
    values = batch["target"][0].mean(axis=(1, 2, 3))
    assert sorted(values) == [0, 1, 2, 3, 4, 5, 100, 100, 101, 101, 102, 102]


def test_crops_are_the_same_in_ram_and_on_disk(photos, make):
    pytest.importorskip("tensorflow")
    ram, disk = (make(photos=photos, in_memory=in_memory) for in_memory in (True, False))
    assert isinstance(disk, OnDisk) and not isinstance(ram, OnDisk)
    both = [itertools.islice(data.batches(s, seed=3, batch_size=6), 12) for s in (ram, disk)]
    for one, other in zip(*both, strict=True):
        for name in ("input", "target", "id"):
            np.testing.assert_array_equal(one[name], other[name])


def test_crops_of_one_photo_differ_and_are_repeated_by_seed_and_step(photos, make):
    source = make(photos=photos, photo_share=0.9)
    batches = list(itertools.islice(data.batches(source, seed=0, batch_size=40), 3))
    again = next(data.batches(source, seed=0, batch_size=40, start_step=2))
    np.testing.assert_array_equal(batches[2]["input"], again["input"])
    ids = batches[0]["id"].ravel()
    photo = [source.names[index] == "photo 0.png" for index in ids]
    crops = batches[0]["target"].reshape(-1, 8, 8, 3)[photo]
    assert len(crops) > 4
    assert len(np.unique(crops, axis=0)) == len(crops)


def test_the_test_split_has_pairs_only(photos, make):
    assert list(make(photos=photos, split="test").names) == ["9.jpg", "10.jpg"]


def test_a_made_pair_is_a_photo_and_its_degraded_copy(photos, make):
    source = make(photos=photos)
    index = source.names.index("photo 1.png")
    copy, photo = source[index]
    np.testing.assert_array_equal(photo, draw(1, 30, 40))
    assert copy.shape == photo.shape and (copy != photo).any()


def test_a_crop_is_cut_from_up_to_three_times_larger_squares():
    class Ramp:
        names = ("ramp",)

        def __getitem__(self, index):
            row = np.arange(240, dtype=np.uint8)[None, :, None]
            return np.broadcast_to(row, (60, 240, 3)).copy()

        def identity(self, index):
            raise OSError

        fingerprint = identity

    made = MadePairs(Ramp(), lambda crop, rng: crop, crop=16)
    assert isinstance(made, Cutting)
    slopes = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        places = tuple(slice(int(start), 0) for start in rng.integers(2**29, size=2))
        _, target = made.cut(0, lambda shape, places=places: places)
        gray = target.astype(float).mean(axis=(0, 2))
        slopes.append(np.median(np.diff(gray)))
    assert min(slopes) >= 0.9 and 2.5 < max(slopes) <= 3.2


def test_a_hue_is_turned_and_gray_stays():
    image = np.array([[[200, 100, 100], [128, 128, 128]]], np.uint8)
    np.testing.assert_array_equal(turn_hue(image, 0.0, 1.0), image)
    turned = turn_hue(image, np.pi, 1.0)
    np.testing.assert_array_equal(turned[0, 1], image[0, 1])
    assert turned[0, 0, 0] < turned[0, 0, 1]
    np.testing.assert_array_equal(turn_hue(image, 0.0, 0.0)[0, 0], [130, 130, 130])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photo_share": 1.0}, "photo_share must be between 0 and 1"),
        ({"photo_share": 0.0}, "photo_share must be between 0 and 1"),
        ({"photo_extremes": 1.5}, "photo_extremes must be from 0 to 1"),
        ({"photo_extremes": -0.1}, "photo_extremes must be from 0 to 1"),
        ({"crop": 32, "source": "synthetic"}, "photos adds to the sources 'dped' and 'pairs'"),
    ],
)
def test_wrong_fields(photos, make, changes, message):
    with pytest.raises(data.DataError, match=message):
        make(**{"photos": photos, **changes})


def test_photos_that_cannot_be_used_are_named(photos, make):
    (photos / "2.png").write_bytes(b"no picture")
    Image.fromarray(draw(0, 6, 6)).save(photos / "small.png")
    with pytest.raises(data.DataError, match=r"(?s)2\.png.*small\.png"):
        make(photos=photos)
    with pytest.raises(data.DataError, match="there is no folder"):
        make(photos=photos / "missing")


def test_a_resumed_run_uses_the_photos_of_its_start(photos, make):
    names = make(photos=photos).names
    Image.fromarray(draw(9, 30, 40)).save(photos / "new.png")
    assert make(photos=photos, names=names).names == names
    with pytest.raises(data.DataError, match="started with photos: set photos"):
        make(names=names)
    plain = [name for name in names if not name.startswith("photo ")]
    with pytest.raises(data.DataError, match="started without photos: clear photos"):
        make(photos=photos, names=list(dict.fromkeys(plain)))


def test_a_damaged_pair_changes_the_look_with_a_warning(photos, pairs, make, caplog):
    names = make(photos=photos).names
    (pairs / "phone" / "3.jpg").write_bytes(b"")
    source = make(photos=photos, names=names)
    assert "1 pair cannot be read" in caplog.text
    with pytest.raises(data.DataError, match=r"3\.jpg"):
        source[source.names.index("3.jpg")]


def test_extremes_are_tone_curves_and_single_things():
    class Gray:
        names = ("gray.png",)

        def __getitem__(self, index):
            return np.full((60, 60, 3), 100, np.uint8)

        def identity(self, index):
            raise OSError

        fingerprint = identity

    made = MadePairs(Gray(), lambda crop, rng: crop, crop=16, extremes=0.4)
    kinds = dict.fromkeys(("as it is", "toned", "other"), 0)
    for seed in range(300):
        place = np.random.default_rng(seed).integers(2**29, size=2)
        _, target = made.cut(0, lambda shape, place=place: tuple(slice(int(i), 0) for i in place))
        same = np.ptp(target) <= 1  # hues of gray are turned up to rounding
        kinds["other" if not same else "as it is" if 99 <= target.min() <= 101 else "toned"] += 1
    assert kinds["as it is"] == pytest.approx(180, abs=30)
    assert kinds["toned"] > 30 and kinds["other"] > 30


def test_a_single_thing_stays_before_black_or_white():
    image = np.random.default_rng(0).integers(100, 156, (64, 64, 3)).astype(np.uint8)
    before = image.copy()
    results = [set_alone(image, np.random.default_rng(seed)) for seed in range(40)]
    np.testing.assert_array_equal(image, before)
    grounds = [np.median(result.reshape(-1, 3), axis=0).mean() for result in results]
    # The ground keeps at most a fifth of its distance from black or white.
    black, white = (sum(test(value) for value in grounds) for test in (_dark, _light))
    assert black > 8 and white > 8 and black + white > 30
    for result in results:
        assert (result.shape, result.dtype) == (image.shape, np.uint8)
    again = set_alone(image, np.random.default_rng(3))
    np.testing.assert_array_equal(again, results[3])


def _dark(value):
    return value <= 0.2 * 156


def _light(value):
    return value >= 255 - 0.2 * 155
