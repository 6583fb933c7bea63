"""Faults in photos without targets, measured while an enhancer is trained."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from configs import student, super_resolution
from ppcn_jax.configuration.check import check
from ppcn_jax.evaluation import evaluate, held_out_photos, sharing
from ppcn_jax.evaluation.evaluate import make_enhance, score_faults
from ppcn_jax.evaluation.faults import FAULTS, faults
from ppcn_jax.evaluation.held_out_photos import MOST_PIXELS, HeldOutPhotos
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training import evaluations
from ppcn_jax.training.enhancer import check_files, make_experiment
from ppcn_jax.training.evaluations import Evaluations
from tests.tiny_runs import rows, run, small

FIELD = "config.evaluate.photos"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two colorful photos, one of them in a subfolder, and a gray one without highlights."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for seed, name in enumerate(("a.png", "more/c.png")):
        picture = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(picture).resize((50, 40), Image.Resampling.BICUBIC).save(folder / name)
    Image.new("L", (40, 40), 128).save(folder / "b.png")
    return folder


def trained_student():
    """A run that starts from the included student: colors are left in its output."""
    config = small(student.get_config("no_distillation"))
    config.start_from = "student"
    config.model_settings.padding = "reflect"
    return config


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Workdirs of a run with photos and of the same run without them."""
    workdirs = [tmp_path_factory.mktemp(name) for name in ("with", "without")]
    states = []
    for workdir, photos in zip(workdirs, (str(folder), ""), strict=True):
        config = trained_student()
        config.evaluate.photos = photos
        states.append(run(config, workdir))
    return workdirs, states


def test_each_evaluation_has_a_row_with_the_mean_faults(runs, folder):
    (workdir, _), (state, _) = runs
    measured = rows(workdir, "photos")
    assert [row["step"] for row in measured] == [3, 6]
    module = make_experiment(trained_student()).module
    enhance = make_enhance(module, state.players["generator"].result)
    expected = []
    for name in ("a.png", "b.png", "more/c.png"):
        photo = np.asarray(Image.open(folder / name).convert("RGB"))
        expected.append(faults(photo.astype(np.float32) / 255, enhance(photo)))
    assert expected[1]["hue"] is None and expected[0]["hue"] > 0  # gray: not part of the mean
    for name in FAULTS:
        values = [each[name] for each in expected if each[name] is not None]
        assert measured[-1][name] == pytest.approx(np.mean(values), rel=1e-5)


def test_photos_do_not_change_training_nor_the_best_checkpoint(runs):
    workdirs, states = runs
    assert rows(workdirs[0]) == rows(workdirs[1])
    jax.tree.map(np.testing.assert_array_equal, states[0].players, states[1].players)
    assert not rows(workdirs[1], "photos")


def test_a_picture_shows_photos_before_and_after(runs):
    (workdir, other), _ = runs
    names = sorted(path.name for path in (workdir / "strips").iterdir())
    assert names == ["0000003.photos.png", "0000003.png", "0000006.photos.png", "0000006.png"]
    with Image.open(workdir / "strips" / "0000006.photos.png") as picture:
        assert picture.size[0] == 2 * (50 + 4) + 4
    assert len(list((other / "strips").iterdir())) == 2


class Recorder:
    """Keeps what is recorded."""

    def __init__(self):
        self.rows, self.pictures = [], []

    def scalars(self, step, split, values):
        self.rows.append((split, values))

    def picture(self, step, name, image):
        self.pictures.append(name)


class NoPairs:
    """A test split of one image."""

    names = ("1",)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 9, np.uint8)


def test_what_no_photo_has_is_not_recorded(folder, tmp_path):
    Image.new("L", (40, 40), 128).save(tmp_path / "gray.png")
    experiment = make_experiment(small(student.get_config("no_distillation")))
    photos = HeldOutPhotos(str(tmp_path), field=FIELD)
    recorder, said, done = Recorder(), [], []
    Evaluations(experiment, NoPairs(), photos).run(
        experiment.state, recorder=recorder, say=said.append, doing=done.append
    )
    (_, _), (split, values) = recorder.rows
    assert split == "photos" and {"added", "border", "grain", "line"} >= set(values) >= {"border"}
    json.dumps(values, allow_nan=False)
    assert recorder.pictures == ["test", "photos"]
    assert said[1].startswith("step 0: faults in photos  ") and "hue" not in said[1]
    assert "measuring faults at step 0, photo 1 of 1" in done


def test_processes_share_the_photos(folder, monkeypatch):
    photos = HeldOutPhotos(str(folder), field=FIELD)
    halves = []

    def half(image):
        return image.astype(np.float32) / 510

    expected = evaluate.evaluate(half, photos, score=score_faults)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    for process in range(2):
        monkeypatch.setattr(jax, "process_index", lambda: process)  # noqa: B023
        monkeypatch.setattr(evaluate, "gather", lambda values, count: halves.append(values))
        with pytest.raises(TypeError):  # the other half is missing
            evaluate.evaluate(half, photos, score=score_faults)
    everything = np.empty((3, len(FAULTS)))
    everything[::2], everything[1::2] = halves
    monkeypatch.setattr(evaluate, "gather", lambda values, count: everything)
    assert evaluate.evaluate(half, photos, score=score_faults) == expected
    assert sharing.share(3, 1, 2) == range(1, 3, 2)


def test_large_photos_are_shrunk_and_keep_their_colors(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)
    picture = colors.repeat(400, axis=0).repeat(400, axis=1)
    Image.fromarray(picture).save(tmp_path / "large.png")
    photo, _ = HeldOutPhotos(str(tmp_path), field=FIELD)[0]
    assert 0.95 * MOST_PIXELS < photo.shape[0] * photo.shape[1] <= MOST_PIXELS
    assert photo.shape[1] / photo.shape[0] == pytest.approx(1.5, rel=0.01)
    height, width = (side // n for side, n in zip(photo.shape, (2, 3), strict=False))
    centers = photo[height // 2 :: height, width // 2 :: width]
    np.testing.assert_array_equal(centers[:2, :3], colors)


def test_sixteen_bits_are_rounded(monkeypatch, tmp_path):
    Image.new("RGB", (20, 20), (7, 8, 9)).save(tmp_path / "a.png")
    read = held_out_photos.read_srgb
    monkeypatch.setattr(
        held_out_photos, "read_srgb", lambda path: read(path).astype(np.uint16) * 257
    )
    photo, _ = HeldOutPhotos(str(tmp_path), field=FIELD)[0]
    assert photo.dtype == np.uint8 and tuple(photo[0, 0]) == (7, 8, 9)


def test_a_run_goes_on_with_other_photos(folder, tmp_path):
    config = trained_student()
    config.train.steps = 3
    run(config, tmp_path)
    config.train.steps, config.evaluate.photos = 6, str(folder)
    run(config, tmp_path)
    assert [row["step"] for row in rows(tmp_path, "photos")] == [6]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder.rmdir(), "is no folder"),
        (lambda folder: None, "contains no photos"),
        (lambda folder: (folder / "a.jpg").write_bytes(b"no photo"), "a.jpg"),
        (lambda folder: Image.new("RGB", (15, 40)).save(folder / "a.png"), "a.png has 15 x 40 px"),
    ],
)
def test_wrong_folders_are_refused_before_data_is_opened(tmp_path, make, message):
    folder = tmp_path / "photos"
    folder.mkdir()
    make(folder)
    config = small(student.get_config("no_distillation"))
    config.evaluate.photos = str(folder)
    with pytest.raises(InputError, match=message):
        check_files(config, tmp_path / "run")


def test_a_diverged_network_is_named(folder):
    photos = HeldOutPhotos(str(folder), field=FIELD)
    with pytest.raises(InputError, match=r"a\.png: the model's output is not finite"):
        evaluate.evaluate(lambda x: np.full(x.shape, np.nan), photos, score=score_faults)


def test_super_resolvers_are_refused(folder):
    config = super_resolution.get_config()
    config.evaluate.photos = str(folder)
    with pytest.raises(InputError, match=r"evaluate\.photos works only with enhancers"):
        check(config, devices=1)


def test_the_first_line_says_how_many_photos_there_are(folder):
    photos = evaluations.held_out_photos(str(folder))
    assert str(Evaluations(None, "8 test images", photos)) == (
        "8 test images, 3 photos without targets"
    )
    assert evaluations.held_out_photos("") is None
