"""The demo's pairs and the synthetic pairs."""

import numpy as np
import pytest

import data
from data.sources.demo_photos import phone_look


@pytest.fixture
def photos(make):
    """Both splits; skips if the packages of the demo are not installed."""
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    return {split: make(source="photos", split=split) for split in ("train", "test")}


def all_pairs(splits):
    """Some pairs of each of the seven photographs."""
    photographs = [source[i][1] for source in splits.values() for i in range(len(source))]
    rng = np.random.default_rng(0)
    return [(phone_look(photo, rng), photo) for photo in photographs for _ in range(5)]


def test_two_photographs_are_held_out(photos):
    names = {split: set(source.names) for split, source in photos.items()}
    assert names["test"] == {"chelsea.png", "coffee.png"}
    assert len(names["train"]) == 5 and not names["train"] & names["test"]


def test_photos_batch(photos):
    batch = next(data.batches(photos["train"], seed=0, batch_size=6, local_devices=2))
    assert batch["input"].shape == (2, 3, 8, 8, 3)


def test_inputs_have_the_statistics_of_phone_photos(photos):
    """Averaged over the photographs, they change like DPED's patches."""
    pairs = np.array(
        [
            [(rgb.mean(), rgb.std(), np.ptp(rgb.astype(int), axis=-1).mean()) for rgb in pair]
            for pair in all_pairs(photos)
        ]
    )
    phone, camera = pairs.mean(0)
    brightness, contrast, saturation = phone / camera
    assert brightness == pytest.approx(0.75, abs=0.03)
    assert contrast == pytest.approx(34 / 44, abs=0.03)
    assert saturation == pytest.approx(14 / 20, abs=0.03)


def test_inputs_have_the_psnr_of_phone_photos(photos):
    errors = [np.mean((x.astype(float) - y) ** 2) for x, y in all_pairs(photos)]
    assert np.mean(10 * np.log10(255**2 / np.array(errors))) == pytest.approx(17.3, abs=0.3)


def test_photos_are_reproducible(photos, make):
    again = make(source="photos", split="test")
    for i in range(2):
        np.testing.assert_array_equal(again[i][0], photos["test"][i][0])


def test_crop_larger_than_a_photo(make):
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    with pytest.raises(data.DataError, match="smaller than the crop of 428"):
        make(source="photos", crop=428)


def test_synthetic(make):
    train, test = (make(source="synthetic", split=split, crop=24) for split in ("train", "test"))
    assert (len(train), len(test)) == (64, 8)
    assert (train.crop, test.crop) == (24, None)
    pictures = [source[i] for source in (train, test) for i in range(len(source))]
    assert len({target.tobytes() for _, target in pictures}) == 72
    for photo, target in pictures:
        assert photo.shape == target.shape == (24, 24, 3)
        assert photo.dtype == target.dtype == np.uint8
        assert photo.mean() < target.mean()
        assert photo.std() < target.std()


def test_synthetic_is_reproducible(make):
    first, second = (make(source="synthetic") for _ in range(2))
    np.testing.assert_array_equal(first[9], second[9])
