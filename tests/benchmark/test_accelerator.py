"""The accelerator benchmark: its files, the errors it reports, and profiles. No times."""

import json
import xml.etree.ElementTree

import jax
import pytest

from configs import accelerator as configs
from ppcn_jax.benchmark import accelerator, accelerator_kernels
from ppcn_jax.benchmark.peaks import FORMATS
from ppcn_jax.benchmark.rows import FIELDS
from ppcn_jax.benchmark.training_steps import VGG
from ppcn_jax.configuration.check import check
from ppcn_jax.runtime.errors import InputError

REQUIRE_ACCELERATOR = accelerator.require_accelerator
TASKS = {name: f"student's training step, 4 of 16x16, {name}" for name in FORMATS}


def request(**changed):
    """A configuration in which everything is as small as possible."""
    config = configs.get_config()
    small = {
        "formats": "bfloat16",
        "competitors": "",
        "batch_sizes": (4,),
        "sizes": ((32, 48),),
        "rounds": 1,
        "steps": 2,
        "peaks.side": 64,
        "peaks.size": 4096,
        "training.data.crop": 16,
    }
    config.update_from_flattened_dict(small | changed)
    return config


def test_the_configuration_is_valid():
    check(configs.get_config(), devices=1)


@pytest.fixture(scope="module", autouse=True)
def cpu_as_accelerator():
    """Let the benchmark run on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerator, "require_accelerator", lambda: None)
        yield


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of one run on virtual processor devices, and its folder."""
    workdir = tmp_path_factory.mktemp("accelerator")
    return accelerator.run(request(), workdir), workdir


@pytest.mark.long
def test_rows(results):
    rows = results[0]["rows"]
    assert [(row["task"], row["name"]) for row in rows] == [
        (TASKS["bfloat16"], "JAX"),
        (TASKS["bfloat16"], VGG),
    ]
    for row in rows:
        assert tuple(row) == FIELDS and row["problem"] is None
        assert row["over_floor"] == pytest.approx(row["milliseconds"] / row["floor_milliseconds"])
        assert row["note"].endswith("% of the peak")
    step, vgg = rows
    assert step["megabytes"] > 4 * 5.8  # VGG's 5.8 million parameters alone
    assert " images a second, " in step["note"]
    assert vgg["operations"] < step["operations"]


@pytest.mark.long
def test_files(results):
    found, workdir = results
    assert json.loads((workdir / "accelerator.json").read_text(encoding="utf-8")) == found
    assert found["peaks"].keys() == {"bfloat16"}
    assert found["kernels"] == {TASKS["bfloat16"]: []}  # profiles of processors have none
    text = (workdir / "accelerator.md").read_text(encoding="utf-8")
    assert "GFLOP/s (bfloat16)" in text
    assert "Kernels" not in text and "Not measured" not in text
    picture = xml.etree.ElementTree.parse(workdir / "accelerator.svg").getroot()
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")[1:]  # the first is the background
    assert len(bars) == sum(row["ratio"] is not None for row in found["rows"]) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"formats": "float16"}, "config.formats names 'float16'; known names are float32, "),
        ({"formats": ""}, "config.formats is empty; known formats are float32, "),
        ({"competitors": "ONNX Runtime"}, "config.competitors names .*; known names are PyTorch, "),
        ({"competitors": "PyTorch"}, "competitors use one device, JAX would use 4"),
        ({"batch_sizes": (4, 6)}, "train.batch_size is 6"),
        ({"training.vgg.weights": "absent.npz"}, "absent.npz: no such file"),
    ],
    ids=str,
)
def test_mistakes_are_reported_before_any_work(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        accelerator.run(request(**changed), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_several_processes_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="in one process, not in 2"):
        accelerator.run(request(), tmp_path)


def test_other_tasks_run_after_a_failure(tmp_path, monkeypatch):
    def fails(*arguments, **keywords):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory\nwhile allocating")
        yield

    monkeypatch.setattr(accelerator, "measure_steps", fails)
    rows = accelerator.run(request(formats="float32"), tmp_path)["rows"]
    assert rows[0]["problem"] == "RuntimeError: RESOURCE_EXHAUSTED: out of memory"
    assert [(row["task"], row["name"], row["problem"]) for row in rows[1:]] == [
        ("student, float32", "48x32", None),
        ("teacher, float32", "48x32", None),
    ]
    assert all(row["note"].endswith(" GB/s effective") for row in rows[1:])
    assert "out of memory" in (tmp_path / "accelerator.md").read_text(encoding="utf-8")


def test_each_format_has_its_own_precision_and_peak(tmp_path, monkeypatch):
    seen, parts = [], ("vgg", "discriminator", "generator")

    def measured(task, setup, *arguments, peak, **settings):
        seen.append((task, dict(setup.config.precision), peak))
        yield from ()

    monkeypatch.setattr(accelerator, "measure_steps", measured)
    monkeypatch.setattr(accelerator, "measure_photos", lambda *arguments: iter(()))
    found = accelerator.run(request(formats=",".join(FORMATS)), tmp_path)
    peaks = {name: found["peaks"][name]["flops"] for name in FORMATS}
    assert seen == [
        (TASKS[name], dict.fromkeys(parts, name) | {"generator": generator}, peaks[name])
        for name, generator in (
            ("float32", "float32"),
            ("tensorfloat32", "tensorfloat32"),
            ("bfloat16", "float32"),
        )
    ]
    assert min(peaks.values()) > 0


def test_kernels_are_listed_in_the_markdown_file(tmp_path, monkeypatch):
    def measured(task, setup, count, found, **settings):
        found[task] = [{"kernel": "gemm|1", "calls": 2, "milliseconds": 3.5, "share": 0.25}]
        yield from ()

    monkeypatch.setattr(accelerator, "measure_steps", measured)
    monkeypatch.setattr(accelerator, "measure_photos", lambda *arguments: iter(()))
    accelerator.run(request(formats="float32"), tmp_path)
    text = (tmp_path / "accelerator.md").read_text(encoding="utf-8")
    assert f"Kernels of JAX, {TASKS['float32']}:" in text
    assert "| `gemm\\|1` | 2 | 3.500 | 25.0% |" in text


def metadata(kind, pid, name, tid=0):
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def ran(pid, tid, name, microseconds):
    return {"ph": "X", "pid": pid, "tid": tid, "name": name, "ts": 0, "dur": microseconds}


PROCESSES = [
    metadata("process_name", 1, "/device:GPU:0"),
    metadata("process_name", 2, "/host:CPU"),
    {"ph": "M", "name": "process_sort_index", "pid": 1, "args": {"sort_index": 1}},
    metadata("thread_name", 2, "Stream of the host", 7),
    ran(2, 7, "host", 9000),
    metadata("thread_name", 1, "XLA Ops", 3),
    ran(1, 3, "fusion.1", 1000),
    ran(1, 3, "fusion.2", 3000),
]


def test_kernels_on_streams_are_ordered_by_total_time():
    events = [
        *PROCESSES,
        metadata("thread_name", 1, "Stream #13(Compute)", 1),
        metadata("thread_name", 1, "Stream #20(MemcpyD2H)", 2),
        ran(1, 1, "gemm", 2000),
        ran(1, 1, "norm", 3000),
        ran(1, 1, "gemm", 4000),
        ran(1, 2, "copy", 1000),
    ]
    assert accelerator_kernels.longest_kernels(events, most=2) == [
        {"kernel": "gemm", "calls": 2, "milliseconds": 6.0, "share": 0.6},
        {"kernel": "norm", "calls": 1, "milliseconds": 3.0, "share": 0.3},
    ]


def test_without_streams_the_operations_are_listed():
    found = accelerator_kernels.longest_kernels(PROCESSES, most=5)
    assert [(row["kernel"], row["share"]) for row in found] == [
        ("fusion.2", 0.75),
        ("fusion.1", 0.25),
    ]


def test_a_profile_of_a_processor_has_no_kernels():
    def run():
        jax.block_until_ready(jax.numpy.ones(3))

    assert accelerator_kernels.profile_kernels(run, most=3) == []


def test_a_cpu_is_rejected_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setattr(accelerator, "require_accelerator", REQUIRE_ACCELERATOR)
    with pytest.raises(InputError, match="JAX finds only the CPU: install JAX"):
        accelerator.run(request(), tmp_path / "none")
    assert not (tmp_path / "none").exists()
