"""The command `ppcn-jax` on real files, with small random networks."""

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import ppcn_jax
from ppcn_jax import command
from ppcn_jax.inference import devices
from ppcn_jax.inference import jobs as photo_jobs
from ppcn_jax.inference.damage import Damage
from ppcn_jax.inference.enhance import enhance_levels, upscale_levels
from ppcn_jax.inference.photo_commands import FORMATS, USES
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import SHIPPED, load_model
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model, make_network
from ppcn_jax.weights.safetensors_file import read_native, write_native

REPOSITORY = Path(__file__).resolve().parent.parent
H, W = 18, 24
PIXELS = np.random.default_rng(1).integers(0, 256, (H, W, 3), np.uint8)


@pytest.fixture(scope="module")
def models(random_params, tmp_path_factory):
    """Random models by name, written to NAME.safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    made = {}
    for name in ("student", "super_resolver"):
        module = make_network(name)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        path = folder / f"{name}.safetensors"
        made[name] = Model(name, "paper", {}, params, str(path))
        write_native(path, made[name])
    return made


@pytest.fixture(autouse=True)
def colors_are_kept(monkeypatch):
    """The networks here have random parameters and spoil the colors of every photo."""
    monkeypatch.setattr("ppcn_jax.inference.photo.find_damage", lambda *photos, **options: None)


@pytest.fixture(autouse=True)
def no_lines_while_waiting(monkeypatch):
    """However slow the machine is."""
    monkeypatch.setattr(photo_jobs, "heartbeat", lambda *_: contextlib.nullcontext())


@pytest.fixture
def run(models, tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; return exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments, use="enhance", model="default"):
        if model == "default":
            model = models["student" if use == "enhance" else "super_resolver"].source
        words = [use, *map(str, arguments), *(["--model", model] if model else [])]
        status = 0
        try:
            command.main(words)
        except SystemExit as end:
            status = end.code
            if isinstance(status, str):
                status = 1
                print(end.code, file=command.sys.stderr)
        written = capsys.readouterr()
        return status, written.out, written.err

    return run_command


def write_photo(path, pixels=PIXELS, form="png", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, form, **options)


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_enhance_a_folder(run, tmp_path, models):
    write_photo(tmp_path / "in" / "a.png")
    write_photo(tmp_path / "in" / "sub dir" / "ü.jpg", form="jpeg")
    status, out, err = run("in", "--output", "out")
    assert (status, err) == (0, "") and out.startswith("enhanced 2 photos in ")
    assert names_in(tmp_path / "out") == ["a.png", "sub dir/ü.jpg"]
    expected = enhance_levels([PIXELS], models["student"])[0]
    np.testing.assert_array_equal(pixels_of(tmp_path / "out" / "a.png"), expected)


def test_a_pattern_and_a_file_with_dots(run, tmp_path):
    write_photo(tmp_path / "in" / "a.png")
    write_photo(tmp_path / "b.png")
    status, out, _ = run("i*/*.png", "in/../b.png", "--output", "new/out")
    assert status == 0 and "enhanced 2 photos" in out
    assert names_in(tmp_path / "new" / "out") == ["a.png", "b.png"]


def test_upscale_and_compare(run, tmp_path, models):
    rgba = np.dstack([PIXELS, np.tile(np.arange(W, dtype=np.uint8) * 9, (H, 1))])
    write_photo(tmp_path / "a.png", rgba)
    status, out, _ = run("a.png", "--output", "out", "--compare", use="upscale")
    assert status == 0 and out.startswith("enlarged 1 photo in ")
    large = pixels_of(tmp_path / "out" / "a.png")
    expected = upscale_levels([PIXELS], models["super_resolver"])[0]
    np.testing.assert_array_equal(large[..., :3], expected)
    np.testing.assert_array_equal(large[..., 3:], enlarge(rgba[..., 3:], 4))
    comparison = pixels_of(tmp_path / "out" / "a.png.compare.png")
    np.testing.assert_array_equal(comparison[18 : 18 + 4 * H, 4 : 4 + 4 * W], enlarge(PIXELS, 4))
    np.testing.assert_array_equal(comparison[18 : 18 + 4 * H, 8 + 4 * W : 8 + 8 * W], expected)


def test_compare_shows_before_and_after(run, tmp_path):
    write_photo(tmp_path / "a.png")
    assert run("a.png", "--output", "out", "--compare")[0] == 0
    comparison = pixels_of(tmp_path / "out" / "a.png.compare.png")
    np.testing.assert_array_equal(comparison[18 : 18 + H, 4 : 4 + W], PIXELS)
    after = pixels_of(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(comparison[18 : 18 + H, 8 + W : 8 + 2 * W], after)


def test_the_enhanced_photo_is_upright(run, tmp_path, models):
    fields = Image.Exif()
    fields[0x0112], fields[0x010F] = 6, "Camera"
    write_photo(tmp_path / "a.jpg", form="jpeg", exif=fields.tobytes(), quality=100)
    assert run("a.jpg", "--output", "out", "--format", "png")[0] == 0
    with Image.open(tmp_path / "a.jpg") as image:
        upright = np.rot90(np.asarray(image), -1)
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert (image.getexif()[0x0112], image.getexif()[0x010F]) == (1, "Camera")
        np.testing.assert_array_equal(image, enhance_levels([upright.copy()], models["student"])[0])


def test_gray_stays_gray_and_neutral_stays_neutral(run, tmp_path, models):
    write_photo(tmp_path / "gray.png", PIXELS[..., 0])
    neutral = np.repeat(PIXELS[..., :1], 3, axis=2)
    write_photo(tmp_path / "neutral.png", neutral)
    assert run("gray.png", "neutral.png", "--output", "out")[0] == 0
    gray, colors = (pixels_of(tmp_path / "out" / f"{n}.png") for n in ("gray", "neutral"))
    assert gray.shape == (H, W) and colors.shape == (H, W, 3)
    np.testing.assert_array_equal(colors, np.repeat(gray[..., None], 3, axis=2))
    enhanced = Image.fromarray(enhance_levels([neutral], models["student"])[0])
    assert np.abs(gray - np.asarray(enhanced.convert("L")).astype(int)).max() <= 1


def test_16_bits_are_kept(run, tmp_path, models):
    wide = np.random.default_rng(2).integers(0, 65536, (H, W, 3)).astype(np.uint16)
    alpha = wide[..., 0].copy()
    (tmp_path / "a.png").write_bytes(encode_photo(Photo(wide, alpha, False, "png"), "png"))
    assert run("a.png", "--output", "out")[0] == 0
    photo = read_photo(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(photo.pixels, enhance_levels([wide], models["student"])[0])
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert run("a.png", "--output", "out4", use="upscale")[0] == 0
    photo = read_photo(tmp_path / "out4" / "a.png")
    assert photo.alpha.shape == (4 * H, 4 * W) and photo.alpha.dtype == np.uint16
    assert abs(photo.alpha.mean() - alpha.mean()) < 500


def test_photos_with_spoiled_colors_are_named_with_advice(run, tmp_path, monkeypatch):
    def find(before, after, *, strength, alpha, to_srgb):
        assert (strength, alpha) == (0.8, None)
        return Damage("turns hues", 0.5) if before.shape == (H, W, 3) else None

    monkeypatch.setattr("ppcn_jax.inference.photo.find_damage", find)
    write_photo(tmp_path / "in" / "a.png")
    write_photo(tmp_path / "in" / "b.png", PIXELS[:, : W - 1])
    status, out, err = run("in", "--output", "out", "--strength", 0.8)
    assert status == 0 and out.startswith("enhanced 2 photos")
    advice = "the network turns hues; --strength 0.5 keeps more of the photo"
    assert err == f"ppcn-jax enhance: in/a.png: {advice}\n"
    assert names_in(tmp_path / "out") == ["a.png", "b.png"]
    assert run("in", "--output", "large", use="upscale")[2] == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_blends_with_the_photo(run, tmp_path, models, dtype):
    most = np.iinfo(dtype).max
    pixels = np.random.default_rng(2).integers(0, most + 1, (H, W, 3)).astype(dtype)
    (tmp_path / "a.png").write_bytes(encode_photo(Photo(pixels, None, False, "png"), "png"))
    enhanced = enhance_levels([pixels], models["student"])[0]
    expected = {
        "0": pixels,
        "0.25": np.rint(0.75 * pixels + 0.25 * enhanced).astype(dtype),
        "1": enhanced,
    }
    for strength, result in expected.items():
        assert run("a.png", "--output", f"out{strength}", "--strength", strength)[0] == 0
        photo = read_photo(tmp_path / f"out{strength}" / "a.png")
        np.testing.assert_array_equal(photo.pixels, result)


def test_enhance_blends_floats(models):
    image = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    enhanced = ppcn_jax.enhance(image, models["student"])
    for strength, result in {0: image, 0.25: 0.75 * image + 0.25 * enhanced, 1: enhanced}.items():
        blend = ppcn_jax.enhance(image, models["student"], strength=strength)
        np.testing.assert_allclose(blend, result, rtol=0, atol=0 if strength in (0, 1) else 1e-6)
    with pytest.raises(ValueError, match="strength must be from 0 to 1, got 1.5"):
        ppcn_jax.enhance(image, models["student"], strength=1.5)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_out(run, tmp_path, form):
    write_photo(tmp_path / "a.png")
    quality = ["--quality", "70"] if form in ("jpeg", "webp") else []
    assert run("a.png", "--output", "out", "--format", form, *quality)[0] == 0
    (result,) = (tmp_path / "out").iterdir()
    with Image.open(result) as image:
        assert image.format == {"heic": "HEIF"}.get(form, form.upper()) and image.size == (W, H)
    assert result.suffix == {"jpeg": ".jpg", "tiff": ".tif"}.get(form, f".{form}")


def test_quality_is_kept_or_set(run, tmp_path):
    write_photo(tmp_path / "a.jpg", form="jpeg", quality=90)
    assert run("a.jpg", "--output", "same")[0] == 0
    assert run("a.jpg", "--output", "low", "--quality", "20")[0] == 0
    with Image.open(tmp_path / "same" / "a.jpg") as same, Image.open(tmp_path / "a.jpg") as first:
        assert same.quantization == first.quantization
    assert (tmp_path / "low" / "a.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size


def test_a_second_run_processes_what_is_new(run, tmp_path):
    for name in "ab":
        write_photo(tmp_path / "in" / f"{name}.png")
    write_photo(tmp_path / "out" / "a.png", PIXELS[::-1].copy())
    before = (tmp_path / "out" / "a.png").read_bytes()
    status, out, err = run("in", "--output", "out")
    assert (status, err) == (0, "")
    assert re.fullmatch(
        r"enhanced 1 photo in \d+ s, 1 is there already \(--overwrite replaces it\)\n", out
    )
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    status, out, err = run("in", "--output", "out")
    assert (status, err) == (0, "") and "enhanced 0 photos" in out
    assert "2 are there already (--overwrite replaces them)" in out
    assert run("in", "--output", "out", "--overwrite")[0] == 0
    assert (tmp_path / "out" / "a.png").read_bytes() != before


def test_a_result_that_is_no_file_fails(run, tmp_path):
    write_photo(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to("nowhere")
    status, _, err = run("a.png", "--output", "out")
    assert status == 1
    assert err == "ppcn-jax enhance: a.png is skipped: out/a.png exists (--overwrite replaces it)\n"


def test_an_existing_comparison_is_not_overwritten(run, tmp_path):
    write_photo(tmp_path / "a.png")
    write_photo(tmp_path / "out" / "a.png.compare.png")
    status, _, err = run("a.png", "--output", "out", "--compare")
    assert status == 1 and "a.png.compare.png exists" in err
    assert names_in(tmp_path / "out") == ["a.png.compare.png"]


def write_bad_files(folder):
    """Write files that are no usable photos; return the expected error for each name."""
    photo = io.BytesIO()
    Image.fromarray(PIXELS).save(photo, "jpeg", quality=95)
    (folder / "empty.jpg").touch()
    (folder / "short.jpg").write_bytes(photo.getvalue()[:-100])
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    write_photo(folder / "dot.png", PIXELS[:1, :1])
    frames = [Image.new("RGB", (W, H), color) for color in ("red", "blue")]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    (folder / "folder.png").mkdir()
    return {
        "empty.jpg": "empty.jpg is empty",
        "short.jpg": "short.jpg cannot be decoded: image file is truncated",
        "text.png": "text.png is not a readable JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL or BMP file",
        "notes.txt": "notes.txt is not a readable JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL or BMP file",
        "dot.png": "dot.png has 1 x 1 px; the networks need at least 16 px per side",
        "moving.webp": "moving.webp contains 2 images (an animation or several pages); one is expected",
    }


def test_bad_files_do_not_stop_the_others(run, tmp_path):
    reasons = write_bad_files(tmp_path)
    write_photo(tmp_path / "good.png")
    status, out, err = run(*reasons, "good.png", "--output", "out")
    assert status == 1
    assert re.search(rf"enhanced 1 photo in \d+ s, {len(reasons)} failed", out)
    lines = err.splitlines()
    assert len(lines) == len(reasons) and "Traceback" not in err
    for line, reason in zip(lines, reasons.values(), strict=True):
        assert line.startswith(f"ppcn-jax enhance: {reason}")
    assert names_in(tmp_path / "out") == ["good.png"]


def test_unusual_file_names(run, tmp_path, monkeypatch):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    names = ["with space.png", "[red]ü[bold].png", os.fsdecode(b"not utf-8 \xff.png")]
    try:
        for name in names:
            write_photo(tmp_path / "in" / name)
    except OSError:
        pytest.skip("this file system does not allow these names")
    status, out, _ = run("in", "--output", "out")
    assert status == 0 and "enhanced 3 photos" in out
    assert names_in(tmp_path / "out") == sorted(names)


def test_a_cmyk_photo_and_a_very_long_one(run, tmp_path):
    Image.new("CMYK", (W, H), (0, 200, 200, 10)).save(tmp_path / "cmyk.jpg")
    write_photo(tmp_path / "long.png", np.resize(PIXELS, (16, 20_000, 3)))
    status, _, err = run("cmyk.jpg", "long.png", "--output", "out")
    assert (status, err) == (0, "")
    with Image.open(tmp_path / "out" / "cmyk.jpg") as image:
        assert image.mode == "RGB"
    with Image.open(tmp_path / "out" / "long.png") as image:
        assert image.size == (20_000, 16)


def test_an_output_folder_that_cannot_be_created(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "a.png")
    (tmp_path / "file").touch()
    status, _, err = run("a.png", "--output", "file/out")
    assert status == 1 and "--output file/out cannot be created: Not a directory" in err
    monkeypatch.setattr("os.access", lambda *_: False)
    status, _, err = run("a.png", "--output", "out")
    assert status == 1 and "--output out: no permission to write there" in err


def test_a_result_that_cannot_be_written(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "in" / "sub" / "a.png")
    write_photo(tmp_path / "in" / "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").touch()
    status, out, err = run("in", "--output", "out")
    assert status == 1 and "in/sub/a.png: out/sub/a.png cannot be written: " in err
    assert "enhanced 1 photo" in out

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(photo_jobs, "write_bytes", fail)
    status, _, err = run("in/b.png", "--output", "new")
    assert status == 1 and "new/b.png cannot be written: Permission denied" in err


def test_running_out_of_memory_fails_one_photo(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "a.png")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(photo_jobs, "process_photos", fail)
    status, _, err = run("a.png", "--output", "out")
    assert status == 1 and "a.png cannot be processed: not enough memory" in err


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("absent.safetensors", "absent.safetensors cannot be read"),
        ("super_resolver", "holds a super_resolver; to enhance, name one of student"),
    ],
)
def test_the_model_is_checked_before_any_photo(run, tmp_path, models, model, message):
    write_photo(tmp_path / "a.png")
    model = models[model].source if model == "super_resolver" else model
    status, _, err = run("a.png", "--output", "out", model=model)
    assert status == 1 and re.search(message, err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("use", "model", "name"),
    [
        ("enhance", None, "student"),
        ("enhance", "teacher", "teacher"),
        ("upscale", None, "super_resolver"),
    ],
)
def test_included_networks_need_no_file(run, tmp_path, use, model, name):
    write_photo(tmp_path / "a.png")
    status, _, _ = run("a.png", "--output", "out", use=use, model=model)
    assert status == 0
    process = {"enhance": enhance_levels, "upscale": upscale_levels}[use]
    (expected,) = process([PIXELS], load_model(name))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/a.png")), expected)


def test_an_enhancer_cannot_upscale(run, tmp_path, models):
    write_photo(tmp_path / "a.png")
    source = models["student"].source
    status, _, err = run("a.png", "--output", "out", use="upscale", model=source)
    assert status == 1 and "holds a student; to enlarge, name one of super_resolver" in err


def test_convert_writes_metadata(models, tmp_path, capsys):
    target = tmp_path / "about.safetensors"
    about = ["--about", "license=CC0", "--about", "scores=a=b"]
    command.main(["convert", models["student"].source, str(target), *about])
    assert read_native(target).about == {"license": "CC0", "scores": "a=b"}
    command.main(["convert", str(target), str(target), "--about", "scores=", "--about", "seed=1"])
    assert read_native(target).about == {"license": "CC0", "seed": "1"}
    before = target.read_bytes()
    with pytest.raises(SystemExit, match="cannot be called preset"):
        command.main(["convert", str(target), str(target), "--about", "preset=x"])
    with pytest.raises(SystemExit):
        command.main(["convert", str(target), str(target), "--about", "license"])
    assert "'license' is not NAME=TEXT" in capsys.readouterr().err
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.png"],
        ["--output", "out"],
        ["a.png", "--output", "out", "--quality", "0"],
        ["a.png", "--output", "out", "--strength", "1.1"],
        ["a.png", "--output", "out", "--strength", "nan"],
        ["a.png", "--output", "out", "--quality", "high"],
        ["a.png", "--output", "out", "--format", "gif"],
        ["a.png", "--output", "out", "--format", "png", "--quality", "90"],
        ["a.png", "--output", "out", "--sharpen"],
    ],
)
def test_usage_errors(run, arguments):
    status, _, err = run(*arguments, model=None)
    assert status == 2 and "usage: ppcn-jax enhance" in err


@pytest.mark.parametrize("use", USES)
def test_help_offers_what_the_command_takes(use, capsys):
    with pytest.raises(SystemExit):
        command.main([use, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"usage: ppcn-jax {use} ")
    takes = {"enhance": ENHANCERS, "upscale": SUPER_RESOLVERS}[use]
    assert USES[use].included == tuple(name for name in SHIPPED if name in takes)
    for name in SHIPPED:
        assert (name in text) == (name in takes)
    assert ("--strength" in text) == (use == "enhance")


def test_an_unknown_option_shows_the_usage_of_its_command(run):
    status, _, err = run("a.png", "--output", "out", "--sharpen", "3", use="upscale", model=None)
    assert status == 2 and err.startswith("usage: ppcn-jax upscale ")
    assert "ppcn-jax upscale: error: unrecognized arguments: --sharpen 3" in err


def test_ctrl_c_ends_with_status_130(run, tmp_path, monkeypatch):
    write_photo(tmp_path / "a.png")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(photo_jobs, "process_photos", interrupt)
    assert run("a.png", "--output", "out")[0] == 130
    assert names_in(tmp_path / "out") == []


@pytest.fixture
def groups(monkeypatch):
    """Sizes of the groups of photos processed together, filled while the command runs."""
    sizes = []

    def count_and_process(photos, operation):
        sizes.append(len(photos))
        return process(photos, operation)

    process = photo_jobs.process_photos
    monkeypatch.setattr(photo_jobs, "process_photos", count_and_process)
    return sizes


def test_photos_of_one_size_share_the_devices(run, tmp_path, models, groups):
    # Nine of one size, two of another, and one of the first size in 16 bits.
    rng = np.random.default_rng(2)
    photos = {
        f"{k:02}": rng.integers(0, 256, (23 + k % 4 // 3, 29, 3), np.uint8) for k in range(11)
    }
    for name, pixels in photos.items():
        write_photo(tmp_path / "in" / f"{name}.png", pixels)
    wide = photos["00"].astype(np.uint16) * 257
    (tmp_path / "in" / "wide.png").write_bytes(encode_photo(Photo(wide, None, False, "png"), "png"))
    before = devices._apply_batch._cache_size()
    assert run("in", "--output", "out")[0] == 0
    assert sorted(groups) == [1, 1, 2, 4, 4]
    assert devices._apply_batch._cache_size() - before == 2
    for name, pixels in photos.items():
        expected = enhance_levels([pixels], models["student"])[0].astype(int)
        assert np.abs(pixels_of(tmp_path / "out" / f"{name}.png") - expected).max() <= 1


def test_photos_of_many_sizes_do_not_fill_the_memory(run, tmp_path, groups, monkeypatch):
    monkeypatch.setattr(photo_jobs, "_WAITING", 1)
    for k in range(7):
        write_photo(tmp_path / "in" / f"{k}.png", PIXELS[:, : 24 - k])
    waiting = []
    read = photo_jobs.read_photo
    monkeypatch.setattr(
        photo_jobs, "read_photo", lambda path: waiting.append(len(groups)) or read(path)
    )
    assert run("in", "--output", "out")[0] == 0
    assert groups == [1] * 7
    # At most one photo more than there are devices, four, is read and not yet processed.
    assert waiting == [0, 0, 0, 0, 0, 1, 2]
    assert len(names_in(tmp_path / "out")) == 7


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"ppcn-jax {ppcn_jax.__version__}\n"


def test_the_version_has_a_single_source():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"] and "version" not in settings["project"]
    attribute = settings["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "ppcn_jax.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", ppcn_jax.__version__)


def test_the_package_can_be_run_as_a_module(tmp_path):
    def run_module(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "ppcn_jax", *arguments],
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            encoding="utf-8",
        )

    assert run_module("--version").stdout == f"ppcn-jax {ppcn_jax.__version__}\n"
    missing = run_module("enhance", "missing.jpg", "--output", "out")
    assert missing.returncode == 1
    assert missing.stderr == "ppcn-jax enhance: missing.jpg does not exist\n"


def test_the_package_lists_its_public_names():
    public = {"InputError", "enhance", "load_model", "upscale"}
    assert set(ppcn_jax.__all__) == public
    assert public | {"__version__"} <= set(dir(ppcn_jax))
    for name in public:
        assert getattr(ppcn_jax, name).__name__ == name
    assert ppcn_jax.InputError is InputError
    with pytest.raises(AttributeError, match="has no attribute 'sharpen'"):
        _ = ppcn_jax.sharpen


def test_importing_the_package_is_light():
    program = (
        "import sys, ppcn_jax; dir(ppcn_jax); ppcn_jax.InputError; "
        "print({'jax', 'flax', 'numpy', 'PIL'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert run.stdout == "set()\n"
