"""Wrong configurations are refused in one line before any work, and no workdir is created."""

import importlib
import pathlib

import ml_collections
import pytest
from PIL import Image

from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.workdir import claim_workdir
from ppcn_jax.runtime.errors import InputError

CONFIGS = (
    "teacher",
    "super_resolution",
    "evaluate",
    "photo_faults",
    "table1",
    "table3",
    "benchmark",
)
# Values that a field of each type must refuse.
WRONG = {
    bool: ("x", None, 2, 0.5),
    int: ("x", None, True, 1.5, -1, 10**30, (1,)),
    float: ("x", None, -1.0, float("nan"), float("inf"), 1e300, (1,)),
    str: (None, 3, ("a",)),
    tuple: ("x", None, 3, (0,), (-5, 1), (5, 3), (3, 3), (1.5,), ("a",)),
}
# Numbers that may be 0; a weight of 0 switches a loss off.
MAY_BE_ZERO = (
    ".holdout",
    ".validation",
    ".seed",
    ".imitation",
    ".photo_extremes",
    ".weight",
    ".spatial_weight",
    ".phase_weight",
    ".edge_sensitivity",
    ".alpha",
    ".total_limit",
    ".unreadable",
    ".end_after",
    ".audit.every",
    ".first_step",
    ".weight_decay",
    ".ema",
    ".images",
    ".largest",
)


def load(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    if "vgg" in config:
        config.vgg.weights = "vgg.npz"
    if config.get("model") == "student":
        config.teacher = "workdir"
    return config


def leaves(config, prefix=""):
    for name in config:
        if isinstance(config[name], ml_collections.ConfigDict):
            yield from leaves(config[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", config[name]


def parent(config, field):
    *groups, name = field.split(".")
    for group in groups:
        config = config[group]
    return config, name


def put(config, field, value):
    group, name = parent(config, field)
    with group.ignore_type():
        group[name] = value


@pytest.mark.parametrize("name", CONFIGS)
def test_no_field_accepts_a_wrong_value(name):
    check(load(name), devices=1)
    for field, right in leaves(load(name)):
        if field.startswith("training.objective."):
            continue  # configs/benchmark.py: checked when the benchmark has filled in names
        if field.endswith(".weight") and "ssim" not in field:
            continue  # one stands for all: every check traces the complete objective
        wrong = WRONG[type(right)]
        if isinstance(right, int | float) and not f".{field}".endswith(MAY_BE_ZERO):
            wrong += () if isinstance(right, bool) else (0,)
        for value in wrong:
            config = load(name)
            put(config, field, value)
            message = refusal(config)
            names = (f"{field} ", f"{field.rpartition('.')[0]}: ")
            assert any(name in message for name in names), (field, value)


def refusal(config):
    with pytest.raises(InputError) as error:
        check(config, devices=1)
    return str(error.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_missing_and_misspelt_fields_are_named(name):
    for field, _ in leaves(load(name)):
        if "objective." in field:
            continue  # losses may be absent, and have their own parameters
        config = load(name)
        group, last = parent(config, field)
        with group.unlocked():
            group[f"{last}z"] = group[last]
            del group[last]
        message = refusal(config)
        if field != "task":
            assert f"{field} is missing" in message
            assert f"{field}z is not a field of this configuration; did you mean" in message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("objective.ssim.window", 33, "objective.ssim: SSIM needs sides of at least 33 px"),
        ("objective.color.kernel", "papre", "objective.color: kernel must be one of"),
        ("objective.texture.form", "", "objective.texture: form must be"),
        ("objective.contextual.distance", "l3", "objective.contextual: distance must be"),
        ("objective.contextual.bandwidth", 0.0, "objective.contextual: bandwidth must be above 0"),
        ("objective.contextual.bandwith", 0.5, r"has no option ['bandwith']; it has ['bandwidth'"),
        ("objective.contextual", 40.0, "objective.contextual is 40.0; it must be a group"),
        ("objective.vgg", {"weight": 1.0}, "unknown loss 'vgg' in the objective; the losses are"),
        ("objective", {}, "all weights in objective are 0; give at least one loss a weight"),
        ("objective.ssim", {"wieght": 1.0}, "objective.ssim has no weight"),
        ("train", 5, "train is 5; it must be a group of fields"),
        ("task", "trian", "task is 'trian'; it must be one of 'train', 'evaluate'"),
    ],
)
def test_a_wrong_objective_is_reported(field, value, message):
    config = load("teacher")
    config.data.crop = 32
    group, name = parent(config, field)
    with config.unlocked(), config.ignore_type():
        group[name] = ml_collections.ConfigDict(value) if isinstance(value, dict) else value
    assert message in refusal(config)


# A valid configuration, so that the run goes on to read files.
TRAINING = {
    "data.source": "synthetic",
    "data.crop": 16,
    "objective.contextual.weight": 0.0,
    "objective.texture.weight": 0.0,
    "train.batch_size": 4,
}
NO_VGG = {"objective.contextual.weight": 0.0, "objective.texture.weight": 0.0}


def launch(workdir, changed, *arguments, config="teacher.py"):
    fields = [f"--config.{field}={value}" for field, value in {**TRAINING, **changed}.items()]
    flags = [f"--config=configs/{config}", f"--workdir={workdir}", *fields, *arguments]
    return {"command": "launch.py", "arguments": flags}


def flags_only(*arguments):
    return {"command": "launch.py", "arguments": list(arguments)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_model):
    """Files for the command lines."""
    folder = tmp_path_factory.mktemp("configurations")
    write_model(folder / "released.safetensors", "teacher", preset="released")
    write_model(folder / "student.safetensors", "student")
    (folder / "empty").mkdir()
    (folder / "photos").mkdir()
    Image.new("RGB", (32, 32)).save(folder / "photos" / "photo.png")
    for side, size in ((32, "input"), (64, "target")):
        (folder / "pairs" / size).mkdir(parents=True)
        for name in ("1", "2"):
            suffix = "_small" if size == "input" else ""
            Image.new("RGB", (side, side)).save(folder / "pairs" / size / f"{name}{suffix}.png")
    (folder / "file").write_text("no folder", encoding="utf-8")
    (folder / "broken.py").write_text("def get_config():\n    return undefined\n", encoding="utf-8")
    (folder / "syntax.py").write_text("def get_config(:\n", encoding="utf-8")
    (folder / "nothing.py").write_text("def get_config():\n    return {'a': 1}\n", encoding="utf-8")
    for name, batch_size in (("other", 8), ("damaged", 4)):
        config = load("teacher")
        config.update_from_flattened_dict({**TRAINING, "train.batch_size": batch_size})
        config.vgg.weights = ""
        claim_workdir(folder / name, config, {}, write=True)
    (folder / "damaged" / "config.json").write_text('{"task": ', encoding="utf-8")
    return folder


def cases(folder):
    """Name -> (command line, text that its message must contain)."""
    new, student = folder / "new", {"config": "student.py"}
    distil = {"objective.contextual.weight": 0.0}
    here = {"data.source": "pairs", "data.dir": folder / "empty"}
    small = {
        "data.source": "pairs",
        "data.dir": folder / "pairs",
        "data.input_name": "{}_small",
        "data.holdout": 1,
    }
    return {
        "misspelt": (
            launch(new, {"train.stepz": 3}),
            "no field train.stepz; did you mean train.steps?",
        ),
        "unknown group": (launch(new, {"objektive.x": 3}), "did you mean objective?"),
        "abbreviated": (
            launch(new, {"train.lr": 1e-3}),
            "no field train.lr; did you mean train.learning_rate?",
        ),
        "without its group": (
            launch(new, {"batch_size": 8}),
            "no field batch_size; did you mean train.batch_size?",
        ),
        "loss without .weight": (
            launch(new, {"objective.ssim": 3.0}),
            "objective.ssim is a group of fields: write --config.objective.ssim.weight=3.0",
        ),
        "group with a value": (
            launch(new, {"train.guard": 3}),
            "set one of --config.train.guard.stop_after, --config.train.guard.total_limit",
        ),
        "field as a group": (
            launch(new, {"train.steps.all": 3}),
            "train.steps is a field and no group: write --config.train.steps=3",
        ),
        "wrong type": (
            launch(new, {"train.steps": "many"}),
            "flag --config.train.steps=many: it must be a whole number",
        ),
        "not a number": (launch(new, {"train.learning_rate": "nan"}), "learning_rate is nan"),
        "boundaries": (launch(new, {"train.boundaries": "(9,5)"}), "boundaries is (9, 5)"),
        "no muon": (
            launch(new, {"train.weight_decay": 0.1}),
            "works only with train.optimizer=muon",
        ),
        "devices": (
            launch(new, {"train.batch_size": 6}),
            "train.batch_size is 6, which 4 devices cannot share evenly: use 8 or 4",
        ),
        "no vgg file": (
            launch(new, {"objective.contextual.weight": 1.0, "vgg.weights": "vgg.npz"}),
            "vgg.npz: no such file",
        ),
        "no teacher": (launch(new, distil, **student), "teacher is empty: name the workdir"),
        "absent teacher": (
            launch(new, {**distil, "teacher": folder / "absent"}, **student),
            "absent does not exist. Name a network of the package",
        ),
        "student as teacher": (
            launch(new, {**distil, "teacher": folder / "student.safetensors"}, **student),
            "holds a student, not a teacher",
        ),
        "teacher of another preset": (
            launch(new, {**distil, "teacher": folder / "released.safetensors"}, **student),
            "trained with preset 'released', but the student is configured for 'paper'",
        ),
        "start from a student": (
            launch(
                new,
                {"start_from": folder / "student.safetensors", "data.dir": folder / "absent"},
            ),
            "holds a student, but this run trains a teacher",
        ),
        "start from nothing": (
            launch(new, {"start_from": "absent", "data.dir": folder / "absent"}),
            "config.start_from: absent does not exist. Name a network of the package",
        ),
        "no data folder": (
            launch(new, {**here, "data.dir": folder / "absent"}),
            "there is no folder",
        ),
        "other names": (
            launch(new, {**small, "data.input_name": "{}x2"}),
            "1_small.png has no partner, because its name does not follow input_name='{}x2'",
        ),
        "no name": (launch(new, {**small, "data.input_name": "small"}), "must contain {} once"),
        "small input of an enhancer": (
            launch(new, {**small, "data.scale": 2}),
            "the input is 32x32 pixels and the target 64x64 pixels; align them to one size, or rem",
        ),
        "small input of another scale": (
            flags_only(
                *("--config=configs/super_resolution.py", f"--workdir={new}"),
                *(f"--config.{field}={value}" for field, value in small.items()),
            ),
            "or to a target 4 times as large",
        ),
        "empty data folder": (launch(new, here), "check the data folder"),
        "unknown source": (launch(new, {"data.source": "dpde"}), "source must be 'dped'"),
        "no DPED": (launch(new, {"data.source": "dped", "data.dir": folder}), "as it is distrib"),
        "workdir of another run": (
            launch(folder / "other", {}),
            "- train.batch_size was 8, is now 4",
        ),
        "damaged workdir": (launch(folder / "damaged", {}), "config.json cannot be read"),
        "file as workdir": (launch(folder / "file", {}), "file is a file; name a folder"),
        "below a file": (launch(folder / "file" / "x", {}), "file is a file; name a folder"),
        "no workdir": (flags_only("--config=configs/teacher.py"), "--workdir is missing: name a"),
        "workdir of another scheme": (
            flags_only("--config=configs/teacher.py", "--workdir=s3://bucket/run"),
            "launch.py: --workdir s3://bucket/run: s3:// is not supported; name a local path, or gs",
        ),
        "weights of another scheme": (
            launch(new, {"start_from": "s3://bucket/run"}),
            "start_from is 's3://bucket/run'; s3://bucket/run: s3:// is not supported",
        ),
        "workdir without a bucket": (
            flags_only("--config=configs/teacher.py", "--workdir=gs://"),
            "write gs://BUCKET/...",
        ),
        "empty workdir": (flags_only("--config=configs/teacher.py", "--workdir="), "name a folder"),
        "heartbeat file in no folder": (
            flags_only(
                "--config=configs/teacher.py",
                f"--workdir={new}",
                f"--heartbeat_file={folder / 'none' / 'heartbeat'}",
            ),
            "launch.py: --heartbeat_file cannot be written: [Errno 2]",
        ),
        "unknown variant": (
            flags_only("--config=configs/teacher.py:fast", f"--workdir={new}"),
            "has the variants paper, released and quick, not 'fast' (",
        ),
        "needless variant": (
            flags_only("--config=configs/evaluate.py:fast", f"--workdir={new}"),
            "configs/evaluate.py has no variants: drop ':fast'",
        ),
        "no variant": (
            flags_only("--config=configs/demo.py", f"--workdir={new}"),
            "configs/demo.py has several variants: name one after a colon",
        ),
        "absent file": (
            flags_only("--config=configs/absent.py", f"--workdir={new}"),
            "--config=configs/absent.py: there is no file configs/absent.py",
        ),
        "misspelt file": (
            flags_only("--config=configs/teachr.py:quick", f"--workdir={new}"),
            "there is no file configs/teachr.py; did you mean configs/teacher.py?",
        ),
        "no file": (
            flags_only("--config=configs", f"--workdir={new}"),
            "--config=configs: there is no file configs",
        ),
        "broken file": (
            flags_only(f"--config={folder / 'broken.py'}", f"--workdir={new}"),
            f"NameError: name 'undefined' is not defined ({folder / 'broken.py'}, line 2)",
        ),
        "no Python": (
            flags_only(f"--config={folder / 'syntax.py'}", f"--workdir={new}"),
            "SyntaxError: invalid syntax (syntax.py, line 1)",
        ),
        "no ConfigDict": (
            flags_only(f"--config={folder / 'nothing.py'}", f"--workdir={new}"),
            "must return a ConfigDict with a field `task`",
        ),
        "unknown flag": (launch(new, {}, "--steps=3"), "Unknown command line flag 'steps'"),
        "words": (launch(new, {}, "teacher"), "unexpected arguments: teacher"),
        "too late": (
            flags_only("--config.train.steps=3", "--config=configs/teacher.py"),
            "Found --config.train.steps=3 in argv before a value for --config",
        ),
        "nothing to evaluate": (
            flags_only("--config=configs/evaluate.py", f"--workdir={new}"),
            "neither a folder iphone",
        ),
        "empty split": (
            flags_only(
                *("--config=configs/evaluate.py", f"--workdir={new}"),
                *("--config.data.source=high_resolution", f"--config.data.dir={folder / 'empty'}"),
            ),
            "hold no pictures",
        ),
        "no models": (
            flags_only(
                *("--config=configs/table3.py", f"--workdir={new}"),
                *("--config.data.source=synthetic", "--config.models=absent.safetensors"),
            ),
            "absent.safetensors",
        ),
        "super-resolver as an enhancer": (
            flags_only(
                *("--config=configs/evaluate.py", f"--workdir={new}"),
                *("--config.data.source=synthetic", "--config.weights=super_resolver"),
            ),
            "; configs/table1.py scores super-resolvers",
        ),
        "enhancer as a super-resolver": (
            flags_only(
                *("--config=configs/table1.py", f"--workdir={new}"),
                *(f"--config.data.dir={folder / 'photos'}", "--config.models=student"),
            ),
            "; configs/evaluate.py scores enhancers",
        ),
        "no runs": (
            flags_only("--config=configs/table1.py", f"--workdir={new}", "--config.timing.runs=0"),
            "timing.runs is 0; it must be positive",
        ),
    }


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def results(folder, run_commands):
    before = content(folder)
    lines = {name: line for name, (line, _) in cases(folder).items()}
    ends = dict(zip(lines, run_commands(lines.values()), strict=True))
    assert content(folder) == before  # no workdir was created or changed
    assert not (folder / "new").exists()
    return ends


@pytest.mark.parametrize("name", cases(pathlib.Path("folder")))
def test_a_wrong_command_line_is_refused_with_what_to_change(name, folder, results):
    result, expected = results[name], cases(folder)[name][1]
    assert result["status"] == 1
    assert expected in result["stderr"]
    assert "Traceback" not in result["stderr"] and result["stdout"] == ""
    lines = result["stderr"].splitlines()
    many = {"no vgg file": 14, "workdir of another run": 3}  # they list choices or fields
    assert len(lines) == many.get(name, 1), lines


def test_help_is_no_error(run_commands):
    # tests/test_launch.py looks at the text, which belongs to the main program.
    helps = [flags_only(flag) for flag in ("--help", "-h", "--helpfull")]
    *helped, nothing = run_commands([*helps, flags_only()])
    for result in helped:
        assert (result["status"], result["stderr"]) == (0, "")
        assert "help" in result["stdout"]
    assert (nothing["status"], nothing["stdout"]) == (1, "")
    assert "--config is missing: name a file" in nothing["stderr"]
