"""The judgment of enhancers on a folder of photos: table, files, and errors before any work."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from configs import photo_faults as configs
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation import photo_faults
from ppcn_jax.evaluation.faults import faults
from ppcn_jax.inference.enhance import enhance
from ppcn_jax.runtime.errors import InputError


@pytest.fixture
def photos(tmp_path):
    """Three photos, one of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "b.png", "more/c.png")):
        picture = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(picture).resize((50, 40), Image.Resampling.BICUBIC).save(folder / name)
    return folder


def make_config(**fields):
    config = configs.get_config()
    config.update(fields)
    check(config, devices=jax.device_count())
    return config


def test_rows_are_means_of_the_faults(photos, tmp_path, capsys):
    rows = photo_faults.run(make_config(photos=str(photos), models="student,teacher"), tmp_path)
    written = json.loads((tmp_path / "faults.json").read_text(encoding="utf-8"))
    assert [row["model"] for row in rows] == ["student", "teacher"]
    assert written["photos"] == 3
    names = [photo["name"] for photo in written["models"][0]["per_photo"]]
    assert names == ["a.png", "b.png", "more/c.png"]
    expected = []
    for name in names:
        photo = np.asarray(Image.open(photos / name)).astype(np.float32) / 255
        expected.append(faults(photo, enhance(photo, "student")))
    for fault in ("hue", "lost", "border"):
        assert rows[0][fault] == pytest.approx(np.mean([e[fault] for e in expected]), rel=1e-5)
    assert f"{rows[0]['hue']:.1f}" in (tmp_path / "faults.md").read_text(encoding="utf-8")
    assert "Means over 3 photos" in capsys.readouterr().out


def test_the_picture_shows_each_kind_before_and_after(photos, tmp_path):
    photo_faults.run(make_config(photos=str(photos)), tmp_path)
    with Image.open(tmp_path / "faults.png") as picture:
        assert picture.size[0] == 2 * (40 + 4) + 4  # squares as large as the photos allow
        assert picture.size[1] > 5 * 40


def test_every_takes_fewer_photos(photos, tmp_path):
    photo_faults.run(make_config(photos=str(photos), every=2), tmp_path)
    photo_rows = json.loads((tmp_path / "faults.json").read_text(encoding="utf-8"))["models"][0][
        "per_photo"
    ]
    assert [row["name"] for row in photo_rows] == ["a.png", "more/c.png"]


def test_targets_are_another_row(photos, tmp_path):
    fields = {"photos": str(photos), "targets": str(photos)}
    rows = photo_faults.run(make_config(**fields), tmp_path)
    assert [row["model"] for row in rows] == ["student", "target"]
    assert rows[1]["hue"] == rows[1]["border"] == 0  # the photos themselves


def test_a_missing_target_and_one_of_another_size_are_named(photos, tmp_path):
    targets = tmp_path / "targets"
    shutil.copytree(photos, targets)
    Image.new("RGB", (20, 30)).save(targets / "b.png")
    fields = {"photos": str(photos), "targets": str(targets)}
    with pytest.raises(InputError, match="b.png is 20x30 px, but its photo 50x40"):
        photo_faults.run(make_config(**fields), tmp_path)
    (targets / "b.png").unlink()
    with pytest.raises(InputError, match="b.png does not exist; config.targets must hold"):
        photo_faults.run(make_config(**fields), tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="config.photos=.*nowhere.* is no folder"):
        photo_faults.run(make_config(photos=str(tmp_path / "nowhere")), tmp_path)


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(InputError, match="contains no photos"):
        photo_faults.run(make_config(photos=str(tmp_path)), tmp_path)


def test_a_damaged_photo_is_named(photos, tmp_path):
    (photos / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="b.png"):
        photo_faults.run(make_config(photos=str(photos)), tmp_path)


def test_a_network_for_other_uses_is_refused(photos, tmp_path):
    with pytest.raises(InputError, match="super_resolver"):
        photo_faults.run(make_config(photos=str(photos), models="super_resolver"), tmp_path)
