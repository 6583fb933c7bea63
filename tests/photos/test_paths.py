"""Planning: which photos a command line names, and where their results go."""

from pathlib import Path

import pytest

from ppcn_jax.photos.paths import describe_passed_over, plan_jobs
from ppcn_jax.runtime.errors import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Change to a folder with empty files named like photos."""
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
    jobs, _ = plan_jobs(paths, output, format)
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
        "repeated",
    ],
)
def test_found(here, paths, expected):
    if expected is None:
        with pytest.raises(
            InputError, match=r"album/a\.jpg and other/a\.jpg would both be written to"
        ):
            plan(*paths)
    else:
        assert plan(*paths) == expected


def test_a_parent_folder_keeps_relative_paths(here):
    assert plan(".") == {
        "IMG[1].jpg": "out/IMG[1].jpg",
        "album/a.jpg": "out/album/a.jpg",
        "album/deep/b.PNG": "out/album/deep/b.PNG",
        "other/a.jpg": "out/other/a.jpg",
        "with space é/ü.webp": "out/with space é/ü.webp",
    }


def test_a_format_changes_the_suffix_of_others(here):
    assert plan("album", format="png") == {
        "album/a.jpg": "out/a.png",
        "album/deep/b.PNG": "out/deep/b.PNG",
    }


def test_photos_with_one_resulting_name_keep_their_own(here):
    Path("album/a.tif").touch()
    assert plan("album", format="png") == {
        "album/a.jpg": "out/a.jpg.png",
        "album/a.tif": "out/a.tif.png",
        "album/deep/b.PNG": "out/deep/b.PNG",
    }
    assert plan("album", format="tiff")["album/a.tif"] == "out/a.tif.tif"
    jobs, _ = plan_jobs(["album"], "out", "png", suffix="_x", compare=True)
    assert [(job.destination.name, job.comparison.name) for job in jobs] == [
        ("a.jpg_x.png", "a.jpg_x.png.compare.png"),
        ("a.tif_x.png", "a.tif_x.png.compare.png"),
        ("b_x.PNG", "b_x.PNG.compare.png"),
    ]


@pytest.mark.parametrize("other", ["A.jpg", "a.JPG"])
def test_names_that_differ_in_case_only_are_one(here, other):
    Path("album", other).touch()
    with pytest.raises(InputError, match=r"some systems ignore upper and lower case\); rename one"):
        plan("album")


def test_a_comparison_is_no_place_for_a_result(here):
    Path("album/a.jpg.compare.png").touch()
    assert len(plan("album")) == 3
    with pytest.raises(InputError, match=r"would both be written to out/a\.jpg\.compare\.png"):
        plan_jobs(["album"], "out", compare=True)


def test_other_files_are_counted_once(here):
    Path("album/clip.GIF").touch()
    Path("album/none").touch()
    Path("album/out/old").mkdir(parents=True)
    Path("album/out/old/x.gif").touch()
    _, passed_over = plan_jobs(["album", "album/../album"], "album/out")
    assert passed_over == {"": 1, ".db": 1, ".gif": 1, ".txt": 1}
    assert describe_passed_over(passed_over) == (
        "4 files passed over: 1 without suffix, 1 .db, 1 .gif, 1 .txt"
    )
    assert describe_passed_over({".cr2": 1}).startswith(
        "1 file passed over: 1 .cr2 (for camera raw, run pip install"
    )


@pytest.mark.parametrize("path", ["album", "album/*", "album/**/*.jpg", "."])
def test_results_of_an_earlier_run_are_not_input(here, path):
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
        (["empty"], "out", r"empty contains no photos \(.*\.webp\); 1 file passed over: 1 \.md"),
        (["album"], "album", "--output album is the input folder"),
        (["album/a.jpg"], "album", "result of album/a.jpg would replace the photo album/a.jpg"),
        (["album/a.jpg"], "album/Thumbs.db", "--output album/Thumbs.db is a file"),
    ],
)
def test_errors(here, paths, output, message):
    with pytest.raises(InputError, match=message):
        plan(*paths, output=output)


def test_a_folder_that_cannot_be_read(here, monkeypatch):
    def fail(_):
        raise PermissionError(13, "Permission denied", "album")

    monkeypatch.setattr("os.scandir", fail)
    with pytest.raises(PermissionError):
        plan("album")


def test_linked_folders_are_searched_once(here):
    Path("album/away").symlink_to("../other")
    Path("album/again").symlink_to("../other")
    Path("album/loop").symlink_to(".")
    Path("album/deep/up").symlink_to("..")
    Path("album/.secret").symlink_to("../with space é")
    assert plan("album") == {
        "album/a.jpg": "out/a.jpg",
        "album/deep/b.PNG": "out/deep/b.PNG",
        "album/again/a.jpg": "out/again/a.jpg",
    }


def test_results_behind_a_link_are_not_input(here):
    Path("album/out").mkdir()
    Path("album/out/a.jpg").touch()
    Path("album/link").symlink_to("out")
    assert set(plan("album", output="album/out")) == {"album/a.jpg", "album/deep/b.PNG"}
