"""Matching inputs and targets by their names."""

import pytest

import data
from data.pictures.partners import check_template, known_partners, paired_names


@pytest.fixture
def folders(tmp_path):
    """A function that fills the folders `low` and `high` and returns them."""

    def fill(low, high):
        for folder, names in (("low", low), ("high", high)):
            (tmp_path / folder).mkdir()
            for name in names.split():
                path = tmp_path / folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"x")
        return tmp_path / "low", tmp_path / "high"

    return fill


def test_equal_names(folders):
    pairs = paired_names(*folders("10.jpg 2.jpg notes.txt", "2.jpg 10.jpg Thumbs.db"))
    assert list(pairs.items()) == [("2.jpg", "2.jpg"), ("10.jpg", "10.jpg")]


def test_suffixes_may_differ(folders):
    pairs = paired_names(*folders("2.jpg 10.JPG 3.png", "2.png 10.jpg 3.png"))
    assert list(pairs.items()) == [("2.png", "2.jpg"), ("3.png", "3.png"), ("10.jpg", "10.JPG")]


def test_template(folders):
    pairs = paired_names(*folders("1x4.png 2x4.jpg a/3x4.png", "1.png 2.png a/3.jpg"), "{}x4")
    assert pairs == {"1.png": "1x4.png", "2.png": "2x4.jpg", "a/3.jpg": "a/3x4.png"}


def test_template_is_not_a_format_string(folders):
    pairs = paired_names(*folders("low_{0}.png", "{0}.png"), "low_{}")
    assert pairs == {"{0}.png": "low_{0}.png"}


def test_subfolders_are_searched(folders):
    pairs = paired_names(*folders("night/1.jpg day/1.jpg", "day/1.png night/1.png"))
    assert pairs == {"day/1.png": "day/1.jpg", "night/1.png": "night/1.jpg"}


def test_equal_names_are_preferred(folders):
    """Folders of earlier versions may hold 1.jpg and 1.png, each with its partner."""
    pairs = paired_names(*folders("1.jpg 1.png", "1.jpg 1.png"))
    assert pairs == {"1.jpg": "1.jpg", "1.png": "1.png"}


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ("1.jpg 1.png", "1.tif", r"low holds 1\.jpg and 1\.png, .* picture in .*high; keep one"),
        ("1.tif", "1.jpg 1.png", r"high holds 1\.jpg and 1\.png, .* picture in .*low; keep one"),
        ("1.jpg 1.png", "1.png", r"low holds 1\.jpg and 1\.png, .* keep one"),
        ("1.png", "1.png 1.bmp", r"high holds 1\.bmp and 1\.png, .* keep one"),
        (
            "1.jpg 2.jpg",
            "2.jpg",
            r"low/1\.jpg has no partner .*high/1\.jpg; add .*'\{\}x4' for 1x4",
        ),
        ("1.jpg", "1.jpg 3.jpg", r"high/3\.jpg has no partner .*low/3\.jpg; add the partner"),
        ("", "1.jpg", r"high/1\.jpg has no partner .*low/1\.jpg"),
        ("", "", r"low and its subfolders hold no pictures; put pairs into it and into .*high"),
        (
            " ".join(f"{n}.jpg" for n in range(9)),
            "0.jpg",
            r"1\.jpg has .* \(8 pictures of this folder .*: 1\.jpg, .*, 5\.jpg and 3 others\)",
        ),
    ],
)
def test_errors_name_the_pictures(folders, low, high, message):
    with pytest.raises(data.DataError, match=message):
        paired_names(*folders(low, high))


def test_input_that_does_not_follow_the_template(folders):
    with pytest.raises(data.DataError, match=r"low/1\.png has no .* follow input_name='\{\}x4'"):
        paired_names(*folders("1.png", "1.png"), "{}x4")


def test_target_without_input_names_what_the_template_asks_for(folders):
    with pytest.raises(data.DataError, match=r"high/2\.png has no partner .*low/2x4\.png"):
        paired_names(*folders("1x4.png", "1.png 2.png"), "{}x4")


@pytest.mark.parametrize("template", ["", "x4", "{}{}", "low/{}"])
def test_template_without_the_name_is_refused(pairs, make, template):
    with pytest.raises(data.DataError, match="input_name is .* must contain {} once"):
        check_template(template)
    with pytest.raises(data.DataError, match="input_name is .* must contain {} once"):
        make(input_name=template)


def test_partners_of_a_run_that_is_resumed(folders):
    low, high = folders("1x4.jpg 2x4.png 9x4.png", "1.png 2.png 9.png")
    names = ["2.png", "1.png", "5.png"]
    partners = known_partners(low, high, names, "{}x4")
    # The last one has no input anymore: reading it will fail under the name that it should have.
    assert partners == {"2.png": "2x4.png", "1.png": "1x4.jpg", "5.png": "5x4.png"}


def test_pictures_added_beside_those_of_a_resumed_run_change_nothing(folders):
    low, high = folders("1.jpg 1.png 2.png", "1.jpg 2.png")
    assert known_partners(low, high, ["1.jpg"]) == {"1.jpg": "1.jpg"}
