"""Which photos a command line names."""

from pathlib import Path

import pytest

from ppcn_jax.photos.paths import plan_jobs
from ppcn_jax.runtime.errors import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with photos that nobody opens."""
    for name in (
        "album/a.jpg",
        "album/deep/b.PNG",
        "album/deep/b.txt",
        "album/.hidden/c.jpg",
        "album/.c.jpg",
        "album/Thumbs.db",
        "other/a.jpg",
        "IMG[1].jpg",
        "empty/readme.md",
        "with space é/ü.webp",
    ):
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path / "top")


def plan(*paths, output="out", format=None):
    jobs = plan_jobs(paths, output, format)
    return {job.source.as_posix(): job.destination.as_posix() for job in jobs}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["album/a.jpg"], {"album/a.jpg": "out/a.jpg"}),
        (["./album/../other/a.jpg"], {"album/../other/a.jpg": "out/a.jpg"}),
        (["album"], {"album/a.jpg": "out/a.jpg", "album/deep/b.PNG": "out/deep/b.PNG"}),
        (["album/d*"], {"album/deep/b.PNG": "out/b.PNG"}),
        (["*/a.jpg", "IMG[1].jpg"], None),
        (["IMG[1].jpg"], {"IMG[1].jpg": "out/IMG[1].jpg"}),
        (["album/**/*"], {"album/a.jpg": "out/a.jpg", "album/deep/b.PNG": "out/b.PNG"}),
        (["with space é"], {"with space é/ü.webp": "out/ü.webp"}),
        (["album/Thumbs.db"], {"album/Thumbs.db": "out/Thumbs.db"}),
        (["album/a.jpg", "album/a.jpg", "album/*.jpg"], {"album/a.jpg": "out/a.jpg"}),
    ],
    ids=[
        "file",
        "dots",
        "folder",
        "glob",
        "clash",
        "literal",
        "stars",
        "unicode",
        "named",
        "again",
    ],
)
def test_found(here, paths, expected):
    if expected is None:
        with pytest.raises(InputError, match=r"album/a\.jpg and other/a\.jpg would both become"):
            plan(*paths)
    else:
        assert plan(*paths) == expected


def test_a_folder_above_keeps_the_structure(here):
    assert plan(".") == {
        "IMG[1].jpg": "out/IMG[1].jpg",
        "album/a.jpg": "out/album/a.jpg",
        "album/deep/b.PNG": "out/album/deep/b.PNG",
        "other/a.jpg": "out/other/a.jpg",
        "with space é/ü.webp": "out/with space é/ü.webp",
    }


def test_a_format_renames_what_is_of_another(here):
    assert plan("album", format="png") == {
        "album/a.jpg": "out/a.png",
        "album/deep/b.PNG": "out/deep/b.PNG",
    }
    Path("album/a.tif").touch()
    with pytest.raises(InputError, match=r"album/a\.jpg and album/a\.tif would both .*a\.png"):
        plan("album", format="png")


@pytest.mark.parametrize("path", ["album", "album/*", "album/**/*.jpg", "."])
def test_results_of_an_earlier_run_are_not_read_again(here, path):
    before = plan(path, output="album/out")
    for destination in before.values():
        Path(destination).parent.mkdir(parents=True, exist_ok=True)
        Path(destination).touch()
    assert before and plan(path, output="album/out") == before


def test_an_output_folder_above_the_photos(here):
    assert plan("album/deep", output="album") == {"album/deep/b.PNG": "album/b.PNG"}
    assert plan("other/*.jpg", output=".") == {"other/a.jpg": "a.jpg"}


@pytest.mark.parametrize(
    ("paths", "output", "message"),
    [
        (["absent.jpg"], "out", "absent.jpg does not exist"),
        (["album/*.tif"], "out", r"the pattern album/\*\.tif matches no photos"),
        (["empty"], "out", r"empty holds no photos \(\.heic, .*\.webp\)"),
        (["album"], "album", "--output album is the folder of the photos itself"),
        (["album/a.jpg"], "album", "result of album/a.jpg would replace the photo album/a.jpg"),
        (["album/a.jpg"], "album/Thumbs.db", "--output album/Thumbs.db is a file"),
    ],
)
def test_refused(here, paths, output, message):
    with pytest.raises(InputError, match=message):
        plan(*paths, output=output)


def test_a_folder_that_cannot_be_read(here, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied", "album")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError):
        plan("album")
