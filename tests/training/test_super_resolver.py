"""A super-resolver's training run: its files, its scores, and resuming to the same bits."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import data
from configs import super_resolution as configs
from ppcn_jax.evaluation.super_resolution import score_luma
from ppcn_jax.models import SuperResolver
from ppcn_jax.photos.strips import GAP, LABEL_HEIGHT, MOST_PIXELS, strip
from ppcn_jax.training.super_resolver import CLOSEUP, make_experiment, panels
from ppcn_jax.weights.checkpoints import steps_in
from tests.data.sample_pictures import draw
from tests.tiny_runs import rows, run

SIZE = (40, 52)  # height and width of the photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with five photos for training and two for testing."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(7):
        Image.fromarray(draw(i, *SIZE)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def config(photos):
    """Six steps of a few seconds."""
    config = configs.get_config()
    config.data.dir = str(photos)
    config.data.holdout = 2
    config.data.crop = 24
    config.data.in_memory = True
    config.train.batch_size = 4
    config.train.steps = 6
    config.log.every = 2
    config.evaluate.every = 3
    config.checkpoint.every = 2
    return config


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """Workdir and final state of an uninterrupted run."""
    workdir = tmp_path_factory.mktemp("finished")
    return workdir, run(config, workdir)


def test_a_run_writes_the_same_files_as_an_enhancers(finished):
    workdir, state = finished
    assert state.step == 6 and state.players.keys() == {"generator"}
    splits = [(row["step"], row["split"]) for row in rows(workdir)]
    assert splits == [(2, "train"), (3, "test"), (4, "train"), (6, "train"), (6, "test")]
    saved = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    assert saved["model_settings"] == {"scale": 4} and saved["data"]["scale"] == 4
    assert [path.name for path in sorted((workdir / "strips").iterdir())] == [
        "0000003.png",
        "0000006.png",
    ]


def test_rows_have_the_terms_and_the_scores_on_luma(finished):
    train_row, test_row = rows(finished[0])[0], rows(finished[0])[-1]
    assert train_row.keys() == {
        "step",
        "split",
        "mae",
        "ssim",
        "total",
        "psnr",
        "learning_rate",
    }
    assert test_row.keys() == {"step", "split", "psnr_y", "ssim_y"}


def test_scores_are_of_luma_with_a_border_of_the_scale_cropped(finished, config):
    workdir, state = finished
    pairs = data.make_source(**config.data, split="test")
    params = {"params": state.players["generator"].params}
    scores = []
    for name, (image, target) in zip(pairs.names, pairs, strict=True):
        output = SuperResolver().apply(params, image[None] / np.float32(255))[0]
        scores.append(score_luma(name, np.asarray(output), target, border=4))
    last = rows(workdir)[-1]
    for metric in ("psnr_y", "ssim_y"):
        expected = np.mean([score[metric] for score in scores])
        assert last[metric] == pytest.approx(expected, abs=1e-4)


def test_the_best_checkpoint_is_kept(finished):
    scores = {row["step"]: row["psnr_y"] for row in rows(finished[0]) if row["split"] == "test"}
    best = max(scores, key=scores.__getitem__)
    assert steps_in(finished[0]) == sorted({4, 6, best})


def test_stopping_and_resuming_gives_the_bits_of_an_uninterrupted_run(finished, config, tmp_path):
    workdir, uninterrupted = finished
    assert run(config, tmp_path, interrupt_at=2).step == 3
    resumed = run(config, tmp_path)
    assert resumed.step == 6
    for a, b in zip(jax.tree.leaves(resumed), jax.tree.leaves(uninterrupted), strict=True):
        np.testing.assert_array_equal(a, b)
    after = [row for row in rows(tmp_path) if row["step"] > 3]
    assert after == [row for row in rows(workdir) if row["step"] > 3]


def test_the_picture_shows_bicubic_ours_target_and_their_closeups(config):
    bicubic, target = data.make_source(**config.data, split="test")[0]
    photos, closeups = panels(bicubic, np.zeros(target.shape, np.float32), target)
    for image, expected in zip(photos, (bicubic, np.zeros_like(target), target), strict=True):
        np.testing.assert_array_equal(image, expected)
    assert {image.shape for image in closeups} == {(SIZE[0] // CLOSEUP * CLOSEUP,) * 2 + (3,)}
    assert not closeups[1].any() and closeups[2].any()


def test_the_picture_of_large_photos_is_small():
    photo = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    rows = 3 * panels(photo, photo, photo)
    picture = strip(rows, ["bicubic", "ours", "target"], 3 * ["name", ""])
    assert 0.9 * MOST_PIXELS < picture.shape[0] * picture.shape[1] <= MOST_PIXELS


def test_a_run_has_the_picture_of_its_test_photos(finished):
    with Image.open(finished[0] / "strips" / "0000006.png") as picture:
        height = LABEL_HEIGHT + 2 * (
            LABEL_HEIGHT + SIZE[0] + GAP + SIZE[0] // CLOSEUP * CLOSEUP + GAP
        )
        assert picture.size == (3 * (SIZE[1] + GAP) + GAP, height)


def test_data_scale_sets_every_scale():
    config = configs.get_config()
    config.data.crop = 16
    config.data.scale = 2
    experiment = make_experiment(config)
    assert experiment.module == SuperResolver(2)
    assert experiment.score.keywords == {"border": 2}
