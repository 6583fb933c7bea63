"""Scores and pictures of the test split: which images, how large, and what is printed."""

import numpy as np
import pytest

import data
from configs import teacher
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation import progress
from ppcn_jax.photos.strips import MOST_PIXELS
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.training.test_split import score_test_split
from tests.tiny_runs import rows, run, small


class Pairs:
    """Pairs of some sizes."""

    def __init__(self, *sizes):
        self.names = [f"{index}.png" for index in range(len(sizes))]
        rng = np.random.default_rng(0)
        self._images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return self._images[index], self._images[index]


@pytest.fixture(scope="module")
def experiment():
    return make_experiment(small(teacher.get_config()))


def score(experiment, pairs, **options):
    said, done = [], []
    params = experiment.state.players["generator"].result
    options = {"say": said.append, "doing": done.append, "pictured": True, **options}
    return *score_test_split(experiment, params, pairs, 7, **options), said, done


def test_pictures_have_at_most_two_megapixels(experiment):
    _, picture, _, _ = score(experiment, Pairs((900, 300), (300, 1200), (20, 20)))
    assert picture.dtype == np.uint8
    assert MOST_PIXELS / 4 < picture.shape[0] * picture.shape[1] <= MOST_PIXELS


def test_the_picture_of_images_that_another_process_scores(experiment, monkeypatch):
    pairs = Pairs(*[(20, 20)] * 5)
    result, expected, _, done = score(experiment, pairs)
    assert done[:5] == [f"evaluating step 7, image {index + 1} of 5" for index in range(5)]
    monkeypatch.setattr(
        "ppcn_jax.training.test_split.evaluate", lambda *arguments, **options: result
    )
    np.testing.assert_array_equal(score(experiment, pairs)[1], expected)
    assert score(experiment, pairs, pictured=False)[1] is None


def test_a_long_evaluation_prints_lines(experiment, monkeypatch):
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    said = score(experiment, Pairs((20, 20), (20, 20)))[2]
    assert said == [f"step 7: evaluated {done} of 2 images" for done in range(2)]


def test_a_run_scores_some_images_and_crops(tmp_path, capsys):
    config = small(teacher.get_config())
    config.data.crop = 40
    config.evaluate.images, config.evaluate.largest = 3, 32
    config.train.steps = config.evaluate.every = config.log.every = config.checkpoint.every = 1
    state = run(config, tmp_path)
    assert "3 of 8 test images, center crops of up to 32 px" in capsys.readouterr().out

    class Expected:
        names = ("a", "b", "c")

        def __len__(self):
            return 3

        def __getitem__(self, index):
            source = data.make_source(**config.data, split="test")
            return [image[4:36, 4:36] for image in source[(0, 4, 7)[index]]]

    experiment = make_experiment(config)
    params = state.players["generator"].result
    quiet = {"say": print, "doing": lambda activity: None, "pictured": False}
    result, _ = score_test_split(experiment, params, Expected(), 1, **quiet)
    (row,) = rows(tmp_path, "test")
    assert row["psnr"] == pytest.approx(result["psnr"], rel=1e-6)
    assert row["ms_ssim"] == pytest.approx(result["ms_ssim"], rel=1e-6)


@pytest.mark.parametrize("largest", [-1, 31, 20_000])
def test_crops_must_be_large_enough_to_score(largest):
    config = small(teacher.get_config())
    config.evaluate.largest = largest
    with pytest.raises(InputError, match=r"evaluate\.largest is "):
        check(config, devices=1)
