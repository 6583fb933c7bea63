"""`ppcn-jax pair` on real scenes: quality, failures, resuming, messages."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image, ImageCms

from ppcn_jax.command import main
from ppcn_jax.pairing import command


@pytest.fixture(scope="module")
def scenes(shared):
    """Photos of City100 as taken, by device: [name] -> path."""
    folder = shared / "data" / "city100_raw"
    if not folder.is_dir():
        pytest.skip("data/city100_raw is absent from the shared folder: scenes 1-12 of City100")
    return folder


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def pair(phone, camera, output, *options, status=0):
    arguments = ["pair", str(phone), str(camera), "--output", str(output), *options]
    if status:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code
    return main(arguments)


def report(output):
    return json.loads((output / "report.json").read_text(encoding="utf-8"))["scenes"]


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory):
    """Two scenes as they are, one turned, one cropped, two unlike ones, and photos without partner."""
    root = tmp_path_factory.mktemp("pairs")
    phone, camera, output = (root / name for name in ("phone", "camera", "out"))
    phone.mkdir()
    camera.mkdir()
    for name, partner in (("004", "004"), ("011", "011"), ("unlike", "002")):
        shutil.copy(scenes / "iphonex" / f"{name if name != 'unlike' else '003'}.jpg",
                    phone / f"{name}.jpg")  # fmt: skip
        shutil.copy(scenes / "nikon" / f"{partner}.jpg", camera / f"{name}.JPG")
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down, and marked so: the pixels are upright after reading
    frames = {
        (device, name): Image.fromarray(opened(scenes / device / f"{name}.jpg"))
        for device in ("iphonex", "nikon")
        for name in ("007", "009")
    }
    frames["iphonex", "009"].save(phone / "turned.jpg", quality=95, exif=exif)
    frames["nikon", "009"].save(camera / "turned.jpg", quality=95)
    frames["iphonex", "007"].crop((250, 0, 840, 420)).save(phone / "cut.png")
    frames["nikon", "007"].crop((0, 200, 1000, 870)).save(camera / "cut.png")
    (phone / "lonely.jpg").write_bytes(b"no photo")
    (phone / "broken.jpg").write_bytes(b"no photo")
    shutil.copy(scenes / "nikon" / "001.jpg", camera / "broken.jpg")
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *texts, **_: lines.append(" ".join(texts)))
        status = pair(phone, camera, output, status=1)
    return phone, camera, output, status, lines


def test_quality_on_scenes_as_taken(run, shared):
    output = run[2]
    share = []
    for name, offset in (("004", (0, 7)), ("011", (0, 5))):
        record = report(output)[name]
        assert record["median_residual_px"] < 0.2 and record["inliers"] > 1500
        share.append(record["correlated_share"])
        # The same scene, aligned by others; its frame is this part of the phone's.
        other = opened(shared / "data" / "city100" / "nikon" / f"{name}.jpg").astype(float)
        left, top, right, bottom = record["crop"]
        ours = opened(output / "target" / record["file"])
        x, y = max(left, offset[0]), max(top, offset[1])
        width = min(right, offset[0] + other.shape[1]) - x
        height = min(bottom, offset[1] + other.shape[0]) - y
        a = ours[y - top :, x - left :][:height, :width]
        b = other[y - offset[1] :, x - offset[0] :][:height, :width]
        assert a.size > 0.9 * ours.size
        # 36.7 and 40.4 dB: theirs is shifted by 0.1 px against the phone, which costs 2 dB.
        assert -10 * np.log10(np.mean((a - b) ** 2) / 255**2) > 36
    assert np.mean(share) > 0.9


def test_pairs_have_equal_sizes_and_windows_inside(run):
    output = run[2]
    stored = json.loads((output / "windows.json").read_text(encoding="utf-8"))
    assert stored["window"] == 100 and stored["stride"] == 50
    used = {name: r for name, r in report(output).items() if r["status"] == "used"}
    assert set(stored["pairs"]) == {f"{name}.png" for name in used} == {
        path.name for path in (output / "input").iterdir()
    } == {path.name for path in (output / "target").iterdir()}  # fmt: skip
    for name, record in used.items():
        file = f"{name}.png"
        frames = [opened(output / part / file) for part in ("input", "target")]
        assert frames[0].shape == frames[1].shape == (*record["size"][::-1], 3)
        corners = np.array(stored["pairs"][file])
        assert len(corners) == record["good_windows"]
        assert (corners >= 0).all() and (corners + 100 <= frames[0].shape[:2]).all()
        grays = [frame.mean(2) for frame in frames]
        fitting = [
            np.corrcoef(*(g[t : t + 100, left : left + 100].ravel() for g in grays))[0, 1]
            for t, left in corners
        ]
        assert np.median(fitting) > 0.95


def test_turned_and_cropped_scenes(run):
    phone, _, output, *_ = run
    record = report(output)["turned"]
    assert record["good_share"] > 0.95 and record["median_residual_px"] < 0.2
    left, top, right, bottom = record["crop"]
    upright = opened(phone / "turned.jpg")[::-1, ::-1]  # as EXIF says
    assert (opened(output / "input" / "turned.png") == upright[top:bottom, left:right]).all()
    record = report(output)["cut"]
    assert record["good_share"] > 0.95 and record["median_residual_px"] < 0.2
    # Phone's columns 250 on; the camera's frame ends at column 1000 of 1218, 1.48 px per px.
    assert record["size"][0] < 590 - 100 and record["size"][1] < 420 - 100


def test_failures_are_named_and_stop_nothing(run):
    _, _, output, status, lines = run
    assert status == 1
    scenes = report(output)
    assert {name for name, r in scenes.items() if r["status"] == "failed"} == {"unlike", "broken"}
    assert "another subject, or too much movement" in scenes["unlike"]["reason"]
    assert "broken.jpg is not a readable JPEG" in scenes["broken"]["reason"]
    text = "\n".join(lines)
    assert "6 scenes matched by name" in text and "no partner for lonely.jpg" in text
    assert "ppcn-jax pair: unlike: only " in text and "4 scenes are paired in" in text
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "4 of 6 scenes are paired" in page and "http" not in page
    for name in ("004", "011", "turned", "cut"):
        assert f'src="report/{name}.jpg"' in page and (output / "report" / f"{name}.jpg").is_file()
    assert not list(output.rglob("*.partial"))


def test_running_again_pairs_only_what_changed(run, tmp_path, capsys, monkeypatch):
    phone, camera, output, *_ = run
    copy = tmp_path / "out"
    shutil.copytree(output, copy)
    small = [tmp_path / "phone", tmp_path / "camera"]
    for folder, source in zip(small, (phone, camera), strict=True):
        folder.mkdir()
        for path in source.glob("[0c]*"):
            shutil.copy2(path, folder)
    before = {p.name: p.stat().st_mtime_ns for p in (copy / "target").iterdir()}
    aligned = []
    from ppcn_jax.pairing import scene

    align = scene.align
    monkeypatch.setattr(scene, "align", lambda *frames: aligned.append(1) or align(*frames))
    pair(*small, copy)
    printed = capsys.readouterr().out
    assert not aligned and "3 of 3 were paired before" in printed
    assert "turned is from an earlier run and stays; to drop it, delete" in printed
    assert {p.name: p.stat().st_mtime_ns for p in (copy / "target").iterdir()} == before
    assert "unlike" not in report(copy)  # failed, and its photos are no longer there
    # A file that vanished, a changed photo, and one that now fails.
    (copy / "target" / "turned.png").unlink()
    (copy / "report" / "cut.jpg").unlink()
    changed = small[0] / "004.jpg"
    changed.write_bytes(changed.read_bytes() + b" ")
    Image.new("RGB", (400, 300), "gray").save(small[1] / "011.JPG")
    pair(*small, copy, status=1)
    assert len(aligned) == 3
    windows = json.loads((copy / "windows.json").read_text(encoding="utf-8"))["pairs"]
    assert set(windows) == {"004.png", "cut.png"}
    assert (
        not (copy / "input" / "011.png").exists() and not (copy / "input" / "turned.png").exists()
    )
    assert report(copy)["011"]["status"] == "failed"


def swapped_profile():
    """A profile whose red is sRGB's green and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"tmp_").replace(b"gXYZ", b"rXYZ").replace(b"tmp_", b"gXYZ")
    return profile.replace("sRGB".encode("utf-16-be"), "GRBs".encode("utf-16-be"))


def test_jpeg_and_color_profiles(scenes, tmp_path, capsys):
    phone, camera, output = (tmp_path / name for name in ("phone", "camera", "out"))
    phone.mkdir()
    camera.mkdir()
    with Image.open(scenes / "iphonex" / "009.jpg") as frame:
        frame.crop((150, 120, 450, 370)).save(phone / "a.png")
    with Image.open(scenes / "nikon" / "009.jpg") as frame:
        frame = frame.resize((812, 580)).crop((150, 120, 450, 370))
    frame.save(camera / "a.png")
    pair(phone, camera, output)
    plain = opened(output / "target" / "a.png").mean((0, 1))
    assert plain[0] > plain[1] + 10  # a red scene
    assert "warning" not in capsys.readouterr().out

    red, green, blue = frame.split()
    frame = Image.merge("RGB", (green, red, blue))
    frame.save(camera / "a.png", icc_profile=swapped_profile())
    pair(phone, camera, output)
    assert "colors were converted from GRBs" in capsys.readouterr().out
    np.testing.assert_allclose(opened(output / "target" / "a.png").mean((0, 1)), plain, atol=1)

    # Another format replaces the pairs; a profile that is not for RGB cannot be used.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    frame.save(camera / "a.png", icc_profile=lab)
    pair(phone, camera, output, "--format", "jpeg")
    printed = capsys.readouterr().out
    assert "1 scene is paired" in printed
    assert "a.png is read without its color profile Lab" in " ".join(printed.split())
    assert [path.name for path in (output / "input").iterdir()] == ["a.jpg"]
    with Image.open(output / "target" / "a.jpg") as file:
        assert file.format == "JPEG" and {layer[1:3] for layer in file.layer} == {(1, 1)}  # 4:4:4
    assert list(json.loads((output / "windows.json").read_text(encoding="utf-8"))["pairs"]) == [
        "a.jpg"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p", "p", "o"), "PHONE and CAMERA are the same folder"),
        (("p", "p/../p", "o"), "PHONE and CAMERA are the same folder"),
        (("p", "c", "p/out"), "--output p/out and PHONE lie within each other"),
        (("p", "c", "."), "lie within each other"),
        (("p", "missing", "o"), "missing is missing"),
        (("p", "empty", "o"), "empty contains no photos"),
        (("p", "c", "file"), "--output file is a file"),
        (("p", "c", "full"), "full holds files that ppcn-jax pair did not write"),
        (("p", "c", "foreign"), "report.json or windows.json cannot be used"),
        (("p", "other", "o"), "no photo has a partner: name both photos of a scene alike"),
    ],
)
def test_messages(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("p", "c", "empty", "full", "foreign", "other"):
        pathlib.Path(name).mkdir()
    for name in ("p/a.png", "c/a.png", "other/b.png"):
        Image.new("RGB", (8, 8)).save(name)
    pathlib.Path("file").touch()
    pathlib.Path("full/x.txt").touch()
    pathlib.Path("foreign/report.json").write_text("{}", encoding="utf-8")
    code = pair(*arguments, status=1)
    assert code.startswith("ppcn-jax pair: ") and message in code and "\n" not in code
    assert not pathlib.Path("o").exists()


def test_opencv_is_optional(monkeypatch, tmp_path):
    find = command.importlib.util.find_spec
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name == "cv2" else find(name)
    )
    code = pair("p", "c", tmp_path / "o", status=1)
    assert "pairing needs opencv-python-headless: run pip install '.[pair]'" in code


def test_unusable_tolerance(capsys):
    for text in ("0", "-3", "nan", "x"):
        assert pair("p", "c", "o", "--tolerance", text, status=2) == 2
    assert "not a positive number of seconds" in capsys.readouterr().err
