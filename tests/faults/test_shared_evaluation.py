"""An unreadable test image ends all processes, which share the test split."""

from PIL import Image

from tests.data.sample_pictures import draw
from tests.faults.test_processes import train_in_pair
from tests.processes import end, last_step, rows, wait_until

BEFORE_EVALUATION = 100  # steps: time enough to remove a file after the first


def test_an_unreadable_test_image_ends_both_processes(launch, tmp_path):
    pairs = tmp_path / "pairs"
    for name in ("input", "target"):
        (pairs / name).mkdir(parents=True)
        for index in range(5):  # the last three are the test split
            Image.fromarray(draw(index, 20, 20 + index)).save(pairs / name / f"{index}.png")
    fields = {"data.source": "pairs", "data.dir": str(pairs), "data.holdout": 3}
    fields |= {"data.in_memory": False, "train.steps": 100_000}
    fields |= {"evaluate.every": BEFORE_EVALUATION, "checkpoint.every": 100_000}
    both = train_in_pair(launch, tmp_path / "run", **fields)
    wait_until(lambda: last_step(tmp_path / "run") > 0, both[0])
    (pairs / "target" / "3.png").unlink()  # the second test image, which process 1 scores
    ends = [end(process) for process in both]
    assert [status for status, _, _ in ends] == [1, 1], ends
    (_, _, first), (_, _, second) = ends
    assert "DataError: " in second and "3.png" in second
    assert "process 1 of 2" in first and "3.png" in first
    assert not any(row["split"] == "test" for row in rows(tmp_path / "run"))
