"""Pictures in subfolders and behind links."""

import os

import pytest

import data
from data.pictures.folders import pictures_below
from data.sources.photo_folder import photo_split


@pytest.fixture
def photos(tmp_path):
    """A folder with pictures in subfolders, and another one that links may lead to."""
    for name in (
        "photos/10.jpg",
        "photos/2.jpg",
        "photos/sea/1.jpg",
        "album/7.jpg",
        "album/b/8.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


PLAIN = ["2.jpg", "10.jpg", "sea/1.jpg"]


def test_without_links_the_order_is_natural(photos):
    assert pictures_below(photos) == PLAIN


def test_linked_folders_are_followed_in_their_natural_place(photos):
    (photos / "more").symlink_to(photos.parent / "album")
    assert pictures_below(photos) == ["2.jpg", "10.jpg", "more/7.jpg", "more/b/8.jpg", "sea/1.jpg"]


def test_linked_file_is_a_picture(photos):
    (photos / "11.jpg").symlink_to(photos.parent / "album" / "7.jpg")
    assert pictures_below(photos) == ["2.jpg", "10.jpg", "11.jpg", "sea/1.jpg"]


@pytest.mark.parametrize("target", ["photos", "photos/sea", "."])
def test_loops_end(photos, target):
    (photos / "a").symlink_to(photos.parent / target)
    (photos / "sea" / "up").symlink_to("..")
    expected = [*PLAIN[:2], "a/album/7.jpg", "a/album/b/8.jpg", PLAIN[2]]
    assert pictures_below(photos) == (expected if target == "." else PLAIN)


def test_folder_with_two_links_is_searched_once(photos):
    for name in ("z", "y", "a2", "a10"):
        (photos / name).symlink_to(photos.parent / "album")
    assert pictures_below(photos) == ["2.jpg", "10.jpg", "a2/7.jpg", "a2/b/8.jpg", "sea/1.jpg"]


def test_real_folder_is_preferred_to_links(photos):
    (photos / "a").symlink_to("sea")
    assert pictures_below(photos) == PLAIN


def test_hidden_links_are_ignored(photos):
    (photos / ".more").symlink_to(photos.parent / "album")
    (photos / ".lock").symlink_to("nowhere")
    assert pictures_below(photos) == PLAIN


@pytest.mark.parametrize("target", ["/mnt/not-mounted", "gone"])
def test_link_that_leads_nowhere_is_an_error(photos, target):
    (photos / "more").symlink_to(target)
    with pytest.raises(data.DataError, match=f"more is a link to {target}, which does not exist"):
        pictures_below(photos)


def test_folder_that_cannot_be_listed_is_an_error(photos, monkeypatch):
    def scandir(path, list=os.scandir):
        if str(path).endswith("sea"):
            raise PermissionError(13, "Permission denied")
        return list(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(data.DataError, match=r"sea cannot be listed \(Permission denied\)"):
        pictures_below(photos)


def test_the_partner_folder_is_skipped(photos):
    assert pictures_below(photos, without=photos / "sea") == ["2.jpg", "10.jpg"]
    assert pictures_below(photos, without=photos) == PLAIN


def test_test_photos_are_not_used_for_training_behind_a_link(photos):
    album = photos.parent / "album"
    (photos / "more").symlink_to(album)
    assert photo_split(photos, album, 0, "train").names == PLAIN
    assert photo_split(photos, album, 0, "test").names == ["7.jpg", "b/8.jpg"]
