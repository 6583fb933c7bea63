"""Which photos belong together: names, capture times, and what is reported about the rest."""

import datetime
import pathlib

import pytest
from PIL import Image

from ppcn_jax.pairing.match import list_photos, match_photos
from ppcn_jax.photos.exif import capture_time
from ppcn_jax.photos.read import Header, read_header
from ppcn_jax.runtime.errors import InputError

START = datetime.datetime(2026, 5, 1, 12)


def block(seconds):
    """EXIF with a capture time, as Pillow writes it."""
    fields = Image.Exif()
    taken = START + datetime.timedelta(seconds=seconds)
    fields.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
    return fields.tobytes().removeprefix(b"Exif\0\0")


def folders(phone, camera):
    """Paths and headers from {name: seconds or None}."""
    headers, paths = {}, ([], [])
    for folder, times, listed in zip(("p", "c"), (phone, camera), paths, strict=True):
        for name, seconds in times.items():
            path = pathlib.Path(folder, name)
            listed.append(path)
            headers[path] = Header(1, b"" if seconds is None else block(seconds))
    return (*paths, headers)


def match(phone, camera, *, by_time=False, tolerance=60.0):
    found = match_photos(*folders(phone, camera), by_time=by_time, tolerance=tolerance)
    return {s.phone.name: s.camera.name for s in found.scenes}, found


def test_names_match_without_suffix_and_case():
    pairs, found = match(
        {"A1.jpg": None, "b.HEIC": None, "only.png": None},
        {"a1.png": None, "B.JPG": None, "rest.jpg": None},
    )
    assert pairs == {"A1.jpg": "a1.png", "b.HEIC": "B.JPG"}
    assert found.notes == [
        "2 scenes matched by name",
        "p: no partner for only.png",
        "c: no partner for rest.jpg",
    ]


def test_times_match_with_an_unknown_clock_offset():
    # One hour and two minutes ahead; each device also took photos of its own.
    taken = [0, 100, 390, 700, 1500]
    phone = {f"IMG_{i}.jpg": t for i, t in enumerate(taken)} | {"IMG_9.jpg": 5000}
    late = [3, 8, -4, 20, 0]
    camera = {
        f"DSC_{i}.jpg": t + 3720 + d for i, (t, d) in enumerate(zip(taken, late, strict=True))
    }
    pairs, found = match(phone, camera | {"DSC_7.jpg": 3720 + 2500})
    assert pairs == {f"IMG_{i}.jpg": f"DSC_{i}.jpg" for i in range(5)}
    assert (
        "5 scenes matched by capture time; the camera's clock is 1:02:03 ahead of"
        in (found.notes[0])
    )
    assert found.notes[1:] == ["p: no partner for IMG_9.jpg", "c: no partner for DSC_7.jpg"]
    behind = match({"x.jpg": 5000, "y.jpg": 5600}, {"1.jpg": 1000, "2.jpg": 1600})
    assert "1:06:40 behind the phone's" in behind[1].notes[0]


def test_of_several_shots_the_nearest_matches():
    phone = {"a.jpg": 0, "b.jpg": 200, "c.jpg": 610}
    camera = {"1.jpg": 1, "2.jpg": 9, "3.jpg": 202, "4.jpg": 612, "5.jpg": 615}
    pairs, _ = match(phone, camera, tolerance=30)
    assert pairs == {"a.jpg": "1.jpg", "b.jpg": "3.jpg", "c.jpg": "4.jpg"}


def test_photos_left_by_names_are_matched_by_time():
    pairs, found = match(
        {"a.jpg": 0, "IMG_1.jpg": 300, "IMG_2.jpg": 900},
        {"a.jpg": 10, "DSC_1.jpg": 310, "DSC_2.jpg": 910},
    )
    assert pairs == {"a.jpg": "a.jpg", "IMG_1.jpg": "DSC_1.jpg", "IMG_2.jpg": "DSC_2.jpg"}
    assert found.notes[0] == "1 scene matched by name"


def test_names_that_coincide_by_chance():
    phone = {f"IMG_{i}.jpg": 1000 * i for i in range(5)}
    # The camera counted one further after the second scene.
    camera = {f"IMG_{i}.jpg": 1000 * (i - (i > 1)) + 5 for i in range(6)}
    _, found = match(phone, camera)
    assert set(found.doubts) == {"IMG_2", "IMG_3", "IMG_4"} or set(found.doubts) == {
        "IMG_0",
        "IMG_1",
    }
    assert all("--by-time" in doubt for doubt in found.doubts.values())
    pairs, found = match(phone, camera, by_time=True)
    assert pairs["IMG_2.jpg"] == "IMG_3.jpg" and pairs["IMG_0.jpg"] == "IMG_0.jpg"
    assert not found.doubts


@pytest.mark.parametrize(
    ("phone", "camera", "message"),
    [
        ({"a.jpg": None}, {"b.jpg": None}, "needs EXIF capture times in both folders"),
        ({"a.jpg": 0}, {"b.jpg": None}, "name both photos of a scene alike"),
    ],
)
def test_no_partner_at_all(phone, camera, message):
    with pytest.raises(InputError, match=message):
        match(phone, camera)


def test_folders(tmp_path):
    with pytest.raises(InputError, match="missing"):
        list_photos(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is no folder"):
        list_photos(tmp_path / "file")
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "a.NEF").touch()
    (folder / ".hidden.jpg").touch()
    with pytest.raises(InputError, match="contains no photos .*subfolders are not searched: more"):
        list_photos(folder)
    (folder / "a.jpg").touch()
    photos, notes = list_photos(folder)
    assert [path.name for path in photos] == ["a.jpg"]
    assert "files that are no photos are skipped: 1 (.nef)" in notes[0]
    assert "subfolders are not searched: more" in notes[1]
    (folder / "A.png").touch()
    with pytest.raises(InputError, match="name the same scene"):
        list_photos(folder)


def test_capture_time_of_a_file(tmp_path):
    fields = Image.Exif()
    details = fields.get_ifd(0x8769)
    details[0x9003], details[0x9291] = "2026:05:01 12:00:07", "25"
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=fields)
    header = read_header(tmp_path / "a.jpg")
    assert header.pixels == 32
    assert capture_time(header.block) == START + datetime.timedelta(seconds=7.25)
    for broken in ("0000:00:00 00:00:00", "", "2026-05-01"):
        details[0x9003] = broken
        assert capture_time(fields.tobytes().removeprefix(b"Exif\0\0")) is None
    whole = header.block
    for length in range(len(whole)):
        # A truncated block may lose the fraction of a second, but gives no wrong time.
        assert capture_time(whole[:length]) in (None, START + datetime.timedelta(seconds=7))
