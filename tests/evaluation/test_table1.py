"""Table 1: rows, files, gray photos, and errors that are raised before any work."""

import functools
import json

import jax.numpy as jnp
import pytest
from PIL import Image

import data
from configs import table1 as configs
from ppcn_jax.evaluation import paper, table1, timing
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance, unchanged
from ppcn_jax.evaluation.super_resolution import Degraded, score_y
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native
from tests.data.sample_pictures import draw

NETWORKS = {"ours": ("super_resolver", {}), "srcnn": ("srcnn", {})}


@pytest.fixture
def models(tmp_path, random_params):
    """Untrained networks as native files: paths by name."""
    others = {"double": ("super_resolver", {"scale": 2}), "student": ("student", {})}
    paths = {}
    for name, (network, settings) in (NETWORKS | others).items():
        module = make_network(network, settings)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        paths[name] = tmp_path / "models" / f"{name}.safetensors"
        write_native(paths[name], Model(network, "paper", settings, params, name))
    return paths


@pytest.fixture
def folders(tmp_path):
    """Two test sets, the first with a color and a gray photo, whose sides 4 does not divide."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    Image.fromarray(draw(0, 46, 61)).save(tmp_path / "first" / "a.png")
    Image.fromarray(draw(1, 47, 63)[..., 0]).save(tmp_path / "first" / "b.png")
    Image.fromarray(draw(2, 44, 60)).save(tmp_path / "second" / "c.png")
    return [tmp_path / "first", tmp_path / "second"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(
        timing, "milliseconds", lambda model, *_, **__: 300.0 * len(type(model.module).__name__)
    )


def request(paths, **changes):
    config = configs.get_config()
    config.models = ",".join(map(str, paths))
    config.update(changes)
    return config


def opened(folders):
    return data.open_test_sets(",".join(map(str, folders)))


@pytest.mark.parametrize("kernel", ["pillow", "matlab"])
def test_rows_and_files(models, folders, quick, tmp_path, capsys, kernel):
    config = request([models["ours"], models["srcnn"]], kernel=kernel)
    rows = table1.run(config, tmp_path / "out", opened(folders))
    assert json.loads((tmp_path / "out" / "table1.json").read_text(encoding="utf-8")) == rows
    found = [(row["set"], row["model"], row["images"]) for row in rows]
    names = ("bicubic", "ours", "srcnn")
    assert found == [(s, m, n) for s, n in (("first", 2), ("second", 1)) for m in names]
    bicubic, ours, srcnn = rows[:3]
    assert bicubic["milliseconds"] is bicubic["score_a"] is None
    assert bicubic["psnr_y"] > ours["psnr_y"]  # untrained
    assert (ours["parameters"], srcnn["parameters"]) == (236_560, 69_251)
    assert ours["speed_up"] == len("Srcnn") / len("SuperResolver")
    assert ours["score_a"] == pytest.approx(
        paper.super_resolution_score(ours["psnr_rgb"], ours["ms_ssim_rgb"], ours["speed_up"])
    )
    markdown = (tmp_path / "out" / "table1.md").read_text(encoding="utf-8")
    assert f"| first | bicubic | 0 | {bicubic['psnr_y']:.2f} |" in markdown
    assert f"Bicubic kernel: {kernel}." in markdown
    assert len((tmp_path / "out" / "table1.csv").read_text(encoding="utf-8").splitlines()) == 7
    with Image.open(tmp_path / "out" / "table1.png") as picture:
        assert picture.size[0] > 4 * 44 * 4
    assert str(tmp_path / "out" / "table1.png") in capsys.readouterr().out


def test_gray_photos_are_y_for_matlab_and_rgb_for_pillow(folders):
    photos = opened(folders)["first"]
    for kernel, channels in (("pillow", 3), ("matlab", 1)):
        bicubic, photo = Degraded(photos, scale=4, kernel=kernel)[1]
        assert bicubic.shape == photo.shape == (44, 60, channels)
    assert photos[0].shape == (46, 61, 3)


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        ((), {}, r"config\.models is empty"),
        (("student",), {}, "holds a student; to enlarge, name one of super_resolver"),
        (("ours", "double"), {}, "different scales: .*'ours': 4, 'double': 2"),
        (("ours",), {"kernel": "lanczos"}, "it must be 'pillow' or 'matlab'"),
        (("ours",), {"timing": {"runs": 0}}, r"timing\.runs is 0"),
    ],
)
def test_errors_are_raised_before_any_work(models, folders, tmp_path, names, changes, message):
    config = request([models[name] for name in names], **changes)
    with pytest.raises(InputError, match=message):
        table1.run(config, tmp_path / "out", opened(folders))
    assert not (tmp_path / "out").exists()


def test_test_sets_that_cannot_be_opened_raise(folders, tmp_path):
    with pytest.raises(data.DataError, match="dir is empty"):
        data.open_test_sets(" ,")
    with pytest.raises(data.DataError, match="there is no folder"):
        data.open_test_sets(f"{folders[0]},{tmp_path / 'absent'}")
    Image.fromarray(draw(0, 31, 40)).save(folders[1] / "small.png")
    with pytest.raises(data.DataError, match=r"small\.png is 40x31 pixels, too small"):
        opened(folders)
    (folders[0] / "broken.png").write_bytes(b"no picture")
    with pytest.raises(data.DataError, match=r"broken\.png does not decode"):
        opened(folders)


def test_test_sets_with_equal_names_are_labeled_by_paths(folders, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "first").rename(tmp_path / "other" / "second")
    assert set(opened([tmp_path / "second/", tmp_path / "other" / "second"])) == {
        str(tmp_path / "second"),
        str(tmp_path / "other" / "second"),
    }


RELEASED = {"set5": (31.38, 0.8843, 28.43, 0.8111), "set14": (28.11, 0.7702, 26.09, 0.7048)}


@pytest.mark.parametrize("name", RELEASED)
def test_scores_of_released_weights(shared, name):
    model = load_model(shared / "checkpoints" / "generator_all.ckpt")
    pairs = Degraded(
        data.open_test_sets(str(shared / "data" / name))[name], scale=4, kernel="pillow"
    )
    score = functools.partial(score_y, scale=4, kernel="pillow")
    ours = evaluate(make_enhance(model.module, model.params), pairs, score=score)
    bicubic = evaluate(unchanged, pairs, score=score)
    psnr, ssim, bicubic_psnr, bicubic_ssim = RELEASED[name]
    assert ours["psnr_y"] == pytest.approx(psnr, abs=0.01)
    assert ours["ssim_y"] == pytest.approx(ssim, abs=3e-4)
    assert bicubic["psnr_y"] == pytest.approx(bicubic_psnr, abs=0.006)
    assert bicubic["ssim_y"] == pytest.approx(bicubic_ssim, abs=1e-4)
