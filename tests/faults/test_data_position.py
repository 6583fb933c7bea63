"""Batches after a restart are those of the unbroken run, whoever shares them."""

import itertools

import numpy as np
import pytest

import data
from tests.data.sample_pictures import write_pairs
from tests.faults.runs import train
from tests.processes import end, rows

PAIRS, BATCH, STEPS = 14, 12, 9  # a batch sees most of an epoch, and most cross an edge
# First step -> processes and devices of each from then on; 14 is never a multiple of 12, so that
# all are in the middle of an epoch but the first and step 7, of position 84 = 6 * 14.
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
    """Of a fresh start at a step: what all processes and devices see, one after another."""
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
def test_machines_that_change_at_every_restart_see_the_same(tmp_path, kind):
    if kind == "on disk":
        pytest.importorskip("tensorflow")
    names = [f"{number}.jpg" for number in range(PAIRS)]
    write_pairs(tmp_path / "input", tmp_path / "target", names)
    whole = list(global_batches(open_source(tmp_path, "in memory"), 0, STEPS))
    positions = np.concatenate([batch["id"] for batch in whole])
    epochs = positions[: PAIRS * (len(positions) // PAIRS)].reshape(-1, PAIRS)
    assert len(epochs) == 7 and (np.sort(epochs) == np.arange(PAIRS)).all()

    ends = [*list(SHARED_BY)[1:], STEPS]
    resumed = []
    for (start, (processes, devices)), stop in zip(SHARED_BY.items(), ends, strict=True):
        source = open_source(tmp_path, kind)
        resumed += global_batches(source, start, stop - start, processes, devices)
    assert len(resumed) == len(whole)
    for a, b in zip(resumed, whole, strict=True):
        for name in b:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


@pytest.mark.long
def test_a_run_that_goes_on_with_other_devices(launch, tmp_path):
    # At such a rate the network stays as it is, and what a row says depends on its batch alone. Of
    # 64 pictures, the batches of steps 6 and 11 cross an edge.
    changed = {"train.batch_size": 12, "train.learning_rate": 1e-30, "train.seed": 5}
    devices = "--xla_force_host_platform_device_count="
    started = [
        train(launch, tmp_path / "unbroken", **changed, **{"train.steps": 12}),
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

    resumed, unbroken = losses(tmp_path), losses(tmp_path / "unbroken")
    assert resumed.shape == unbroken.shape == (12, 3)
    np.testing.assert_allclose(resumed, unbroken, rtol=1e-5)
    # No two steps are so much alike.
    pairs = itertools.combinations(unbroken, 2)
    assert min(np.abs(a / b - 1).max() for a, b in pairs) > 1e-3
