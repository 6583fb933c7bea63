"""Paths, files, appended files and locks in buckets, against an emulator, and what is refused."""

import concurrent.futures
import json
import pathlib
import threading
import time

import pytest

from ppcn_jax.runtime import appended, storage, workdir_lock
from ppcn_jax.runtime.appended import AppendedFile, read, truncate
from ppcn_jax.runtime.errors import InputError, TryAgain
from ppcn_jax.runtime.files import make_output_folder, write_bytes, write_json
from ppcn_jax.runtime.lock_file import FILE
from ppcn_jax.runtime.lock_object import LockObject
from ppcn_jax.runtime.storage import (
    BucketError,
    bucket_errors,
    check_reachable,
    is_remote,
    local_copy,
    objects_below,
    to_path,
)
from ppcn_jax.runtime.workdir_lock import WorkdirLock, end_if_in_use


def test_local_paths_are_what_they_were():
    for text in ("a/b", "/a", "~", "a:b", ""):
        assert to_path(text) == pathlib.Path(text)
        assert isinstance(to_path(text), pathlib.Path) and not is_remote(text)
    path = pathlib.Path("a")
    assert to_path(path) == path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://bucket/run", "--workdir s3://bucket/run: s3:// is not supported; name a local path"),
        ("file:///tmp/run", "file:// is not supported"),
        ("gs://bucket/run[1]", r"names in buckets must not contain any of"),
        ("gs://", "names no bucket; write gs://BUCKET/..."),
        ("gs:///run", "names no bucket; write gs://BUCKET/..."),
        (pathlib.Path("gs://bucket/run"), "names no bucket; write gs://BUCKET/..., as a text"),
    ],
)
def test_what_is_not_supported_is_one_line(path, message):
    with pytest.raises(InputError, match=message) as caught:
        to_path(path, "--workdir")
    assert "\n" not in str(caught.value)


def test_missing_packages_are_one_line(monkeypatch):
    monkeypatch.setattr(storage.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"gs://b/run: buckets need .*pip install '\.\[gcs\]'"):
        to_path("gs://b/run")


def test_photos_are_not_written_to_buckets():
    with pytest.raises(InputError, match="--output gs://bucket/photos is not on a local disk"):
        make_output_folder("gs://bucket/photos")


def test_files_are_written_replaced_listed_and_copied(bucket):
    write_json(bucket / "b" / "config.json", {"a": 1})
    write_bytes(bucket / "a.bin", b"first")
    write_bytes(bucket / "a.bin", b"second")
    assert (bucket / "a.bin").read_bytes() == b"second"
    assert json.loads((bucket / "b" / "config.json").read_text(encoding="utf-8")) == {"a": 1}
    assert objects_below(bucket) == [bucket / "a.bin", bucket / "b" / "config.json"]
    with local_copy(bucket / "a.bin", bucket / "b" / "config.json") as copy:
        assert isinstance(copy, pathlib.Path) and copy.read_bytes() == b"second"
        assert (copy.parent / "config.json").exists()
    assert not copy.exists()
    with (
        pytest.raises(InputError, match=f"^{bucket}/a.bin is damaged$"),
        local_copy(bucket / "a.bin") as copy,
    ):
        raise InputError(f"{copy} is damaged")


def test_errors_of_access(emulated_bucket, bucket):
    check_reachable(bucket, "--workdir")
    with pytest.raises(InputError, match="--workdir gs://absent/run: there is no bucket gs://abs"):
        check_reachable(to_path("gs://absent/run"), "--workdir")
    with pytest.raises(BucketError, match="RuntimeError: two lines"), bucket_errors(bucket):
        raise RuntimeError("two\nlines")
    with pytest.raises(RuntimeError), bucket_errors(pathlib.Path("local")):
        raise RuntimeError
    with pytest.raises(FileNotFoundError), bucket_errors(bucket):
        (bucket / "absent").read_bytes()


def test_an_appended_file_is_written_as_parts(bucket):
    path = bucket / "rows.jsonl"
    file = AppendedFile(path)
    assert objects_below(bucket) == []
    file.append(b"one\n")
    file.append(b"two\n")
    file.flush()
    file.append(b"three\n")
    file.close()
    names = [f"rows.jsonl.{offset:015d}" for offset in (0, 8)]
    assert [part.name for part in objects_below(bucket)] == names
    assert read(path) == b"one\ntwo\nthree\n"

    truncate(path, 4)
    assert objects_below(bucket) == [path]
    file = AppendedFile(path)
    file.append(b"2\n")
    file.flush()
    assert read(path) == b"one\n2\n"
    # A crash of `truncate` has left parts whose content the file has, or which were removed.
    write_bytes(bucket / names[0], b"one\ntwo\n")
    write_bytes(bucket / names[1], b"three\n")
    assert read(path) == b"one\n2\n"


def test_records_survive_a_bucket_that_cannot_be_written(bucket, monkeypatch, caplog):
    file = AppendedFile(bucket / "rows")
    file.append(b"one\n")

    def fail(path, content):
        raise BucketError("unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(appended, "write_bytes", fail)
        file.flush()
        file.append(b"two\n")
        file.flush()
    file.close()
    assert read(bucket / "rows") == b"one\ntwo\n"
    assert caplog.text.count("cannot be written; training continues: unavailable") == 1
    assert caplog.text.count("can be written again; no record is missing") == 1


def test_of_several_that_create_or_replace_a_lock_one_succeeds(bucket):
    locks = [LockObject(bucket) for _ in range(4)]
    assert locks[0].read() is None
    together = threading.Barrier(len(locks))

    def create(index):
        together.wait()
        return locks[index].create(b"%d" % index)

    def replace(index):
        together.wait()
        return locks[index].replace(b"dead", b"%d" % index, patience=60.0)

    with concurrent.futures.ThreadPoolExecutor(len(locks)) as pool:
        assert sum(pool.map(create, range(len(locks)))) == 1
        write_bytes(bucket / FILE, b"dead")
        assert sum(pool.map(replace, range(len(locks)))) == 1
    content, age = locks[0].read()
    assert locks[0].holds(content) and not locks[0].holds(b"dead")
    assert 0 <= age < 60
    locks[0].remove(b"dead")
    assert [path.name for path in objects_below(bucket)] == [FILE]
    locks[0].remove(content)
    assert objects_below(bucket) == []


def test_a_heartbeat_is_the_time_of_the_object(bucket):
    lock = LockObject(bucket)
    lock.create(b"a")
    time.sleep(1.0)
    assert lock.read()[1] >= 1.0
    assert lock.holds(b"a", beat=True)
    assert lock.read()[1] < 1.0
    assert not lock.holds(b"b", beat=True)


def test_one_run_a_workdir_in_a_bucket(bucket, capfd, monkeypatch):
    with WorkdirLock(bucket, silence=60.0) as lock:
        lock.check()
        with pytest.raises(TryAgain, match=f"^{bucket} is in use by process "):
            WorkdirLock(bucket, silence=60.0).__enter__()
    assert objects_below(bucket) == []
    ends = []
    monkeypatch.setattr(workdir_lock, "end_process", ends.append)
    record = {"host": "node7", "process": 4711, "since": "today", "place": "elsewhere"}
    write_json(bucket / FILE, record)
    time.sleep(0.2)
    end_if_in_use(bucket, silence=0.1)
    with WorkdirLock(bucket, silence=0.1) as lock:
        assert "taken over from process 4711 on node7" in capfd.readouterr().out
        write_json(bucket / FILE, record)
        lock.check()
        assert ends and str(bucket / FILE) in ends[0]


def test_a_bucket_that_does_not_exist_is_one_line(emulated_bucket):
    with (
        pytest.raises(InputError, match="--workdir gs://absent/run cannot be written: "),
        WorkdirLock(to_path("gs://absent/run"), silence=60.0),
    ):
        pass
