"""Comparison of recipes: means, standard deviations, curves, and errors."""

import json
import statistics
import xml.etree.ElementTree as ET

import jax.numpy as jnp
import numpy as np
import pytest

from configs import comparison as configs
from ppcn_jax.evaluation import comparison
from ppcn_jax.evaluation.curves import draw_curves
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native

SIDE = 32


class Pairs:
    """Noise and brighter copies of it."""

    names = ("a.png", "b.png")

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 200, (SIDE, SIDE, 3), np.uint8)
        return image, image + np.uint8(20)


@pytest.fixture
def models(tmp_path, random_params):
    """Weights files of students of three seeds and of a super-resolver: paths by name."""
    paths = {}
    for seed, name in enumerate(["one", "two", "three", "super_resolver"]):
        network = name if name == "super_resolver" else "student"
        module = make_network(network)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)), seed=seed)
        paths[name] = tmp_path / f"{name}.safetensors"
        write_native(paths[name], Model(network, "paper", {}, params, name, {"steps": str(seed)}))
    return paths


def run(recipes, workdir):
    config = configs.get_config()
    config.recipes = recipes
    return comparison.run(config, workdir, Pairs())


def test_means_and_deviations(models, tmp_path):
    recipes = f"several = {models['one']}, {models['two']}; single={models['three']};"
    several, single = rows = run(recipes, tmp_path / "out")
    modules = [comparison.load_model(models[name]) for name in ("one", "two", "three")]
    scores = [evaluate(make_enhance(m.module, m.params), Pairs()) for m in modules]
    for score in ("psnr", "ms_ssim"):
        values = [result[score] for result in scores]
        assert several[f"{score}_of_runs"] == values[:2]
        assert several[score] == statistics.mean(values[:2])
        assert several[f"{score}_spread"] == statistics.stdev(values[:2])
        assert (single[score], single[f"{score}_spread"]) == (values[2], None)
    assert several["runs"] == [str(models["one"]), str(models["two"])]
    assert several["steps"] == ["0", "1"]
    assert json.loads((tmp_path / "out/comparison.json").read_text(encoding="utf-8")) == rows
    table = (tmp_path / "out/comparison.md").read_text(encoding="utf-8")
    assert f"| {several['psnr']:.3f} ± {several['psnr_spread']:.3f} |" in table
    assert f"| single | 1 | 2 | {single['psnr']:.3f} | {single['ms_ssim']:.4f} |" in table
    ET.fromstring((tmp_path / "out/curves.svg").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ("", "config.recipes is empty"),
        (" ; ", "config.recipes is empty"),
        ("runs/a", "has 'runs/a': write NAME = WORKDIR"),
        ("a = ; b = c", "has 'a =': write NAME"),
        ("= x", "has '= x': write NAME"),
        ("a = x; a = y", "repeats a name or a workdir: a = y"),
        ("a = x, x", "repeats a name or a workdir: a = x, x"),
        ("a = absent.safetensors", "absent.safetensors cannot be read"),
        ("a = {super_resolver}", "holds a super_resolver; to enhance"),
    ],
)
def test_bad_recipes_raise_before_anything_is_written(models, tmp_path, recipes, message):
    with pytest.raises(InputError, match=message):
        run(recipes.format(**models), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_curves_are_read_from_the_logs(tmp_path):
    rows = [
        {"step": 5, "split": "train", "psnr": 1.0},
        {"step": 3, "split": "test", "ms_ssim": 1.0},  # every PSNR was infinite
        {"step": 5, "split": "test", "psnr": 10.0},
        {"step": 9, "split": "test", "psnr": 12.0},
        {"step": 9, "split": "test", "psnr": 12.0},  # repeated after an interruption
    ]
    for name, chosen in (("a", rows), ("b", rows[:3])):
        (tmp_path / name).mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in chosen)
        (tmp_path / name / "metrics.jsonl").write_text(lines, encoding="utf-8")
    workdirs = [str(tmp_path / name) for name in ("a", "b", "c.safetensors")]
    assert comparison.read_curve(workdirs) == [(5, [10.0, 10.0]), (9, [12.0])]


@pytest.mark.parametrize("low", [0.5, 17.0])
def test_curves_stay_in_the_plot(low):
    curves = {"a <b>": [(100, [low, low + 3]), (4000, [low + 7.0])], "c": [(2000, [low])]}
    root = ET.fromstring(draw_curves(curves, "dB"))
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    paths = [e for e in root.iter() if e.get("stroke-width") == "2"]
    assert len(paths) == 2
    for path in paths:
        for point in path.attrib["d"].strip("M").split("L"):
            x, y = map(float, point.split())
            assert 0 < x <= width and 0 < y < height
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert {"a <b>", "c", "dB", "4,000"} <= set(texts)


def test_a_plot_without_curves_is_empty():
    assert len(list(ET.fromstring(draw_curves({}, "dB")))) == 2
