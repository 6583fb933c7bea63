"""A resumed run gets the batches of an uninterrupted one, on any number of devices."""

import itertools

import numpy as np
import pytest

import data
from tests.data.sample_pictures import write_pairs
from tests.faults.runs import train
from tests.processes import end, rows

PAIRS, BATCH, STEPS = 14, 12, 9  # a batch has most of an epoch, and most batches span two
# First step -> number of processes and of devices per process from that step on. All these steps
# are within an epoch, except the first one and step 7, whose position is 84 = 6 * 14.
SHARED_BY = {0: (1, 4), 1: (2, 2), 3: (3, 1), 4: (1, 1), 7: (4, 3)}


def open_source(folder, kind):
    in_memory = kind == "in memory"
    fields = {
        "source": "synthetic" if kind == "synthetic" else "pairs",
        "dir": folder,
        "test_dir": "",
        "phone": "",
        "input": "input",
        "target": "target",
        "holdout": 0,
        "validation": 0,
        "crop": 9,
        "scale": 4,
    }
    return data.make_source(**fields, in_memory=in_memory, split="train")


def global_batches(source, start, count, processes=1, devices=1):
    """Global batches after a start at a step, joined over all processes and devices."""
    parts = []
    for process in range(processes):
        stream = data.batches(
            source,
            seed=3,
            batch_size=BATCH,
            start_step=start,
            process_index=process,
            process_count=processes,
            local_devices=devices,
        )
        parts.append(list(itertools.islice(stream, count)))
        stream.close()
    for step in zip(*parts, strict=True):
        yield {
            name: np.concatenate([np.concatenate(list(part[name])) for part in step])
            for name in step[0]
        }


@pytest.mark.parametrize("kind", ["in memory", "on disk"])
def test_batches_do_not_depend_on_devices_that_change_at_every_restart(tmp_path, kind):
    if kind == "on disk":
        pytest.importorskip("tensorflow")
    names = [f"{number}.jpg" for number in range(PAIRS)]
    write_pairs(tmp_path / "input", tmp_path / "target", names)
    uninterrupted = list(global_batches(open_source(tmp_path, "in memory"), 0, STEPS))
    positions = np.concatenate([batch["id"] for batch in uninterrupted])
    epochs = positions[: PAIRS * (len(positions) // PAIRS)].reshape(-1, PAIRS)
    assert len(epochs) == 7 and (np.sort(epochs) == np.arange(PAIRS)).all()

    ends = [*list(SHARED_BY)[1:], STEPS]
    resumed = []
    for (start, (processes, devices)), stop in zip(SHARED_BY.items(), ends, strict=True):
        source = open_source(tmp_path, kind)
        resumed += global_batches(source, start, stop - start, processes, devices)
    assert len(resumed) == len(uninterrupted)
    for a, b in zip(resumed, uninterrupted, strict=True):
        for name in b:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.long
def test_run_that_resumes_with_other_devices(launch, tmp_path):
    # At this learning rate the network does not change, so that a row depends only on its batch. With
    # 64 pictures, the batches of steps 6 and 11 span two epochs.
    changed = {"train.batch_size": 12, "train.learning_rate": 1e-30, "train.seed": 5}
    devices = "--xla_force_host_platform_device_count="
    started = [
        train(launch, tmp_path / "uninterrupted", **changed, **{"train.steps": 12}),
        train(launch, tmp_path, xla_flags=f"{devices}2", **changed, **{"train.steps": 4}),
    ]
    assert [end(process)[0] for process in started] == [0, 0]
    last = train(launch, tmp_path, xla_flags=f"{devices}3", **changed, **{"train.steps": 12})
    status, stdout, stderr = end(last)
    assert (status, stderr) == (0, "")
    assert "from step 4 to 12 on 3 cpu device(s)" in stdout

    def losses(workdir):
        trained = (row for row in rows(workdir) if row["split"] == "train")
        return np.array([[row["ssim"], row["psnr"], row["color"]] for row in trained])

    resumed, uninterrupted = losses(tmp_path), losses(tmp_path / "uninterrupted")
    assert resumed.shape == uninterrupted.shape == (12, 3)
    np.testing.assert_allclose(resumed, uninterrupted, rtol=1e-5)
    # Different steps differ by far more than the tolerance.
    pairs = itertools.combinations(uninterrupted, 2)
    assert min(np.abs(a / b - 1).max() for a, b in pairs) > 1e-3
