"""Color lookup tables: what is fitted, what is written, and the command."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ppcn_jax import command
from ppcn_jax.inference.lut import Fit, Table, explained
from ppcn_jax.photos.color_space import color_space
from ppcn_jax.photos.levels import from_float, to_float, to_uint8
from ppcn_jax.photos.lut_files import hald_colors, write_cube, write_hald
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import encode_photo
from tests.photos.profiles import SPACES


def look(colors):
    """A known change of colors: a tone curve, and less saturation."""
    luma = colors @ np.float32([0.299, 0.587, 0.114])
    return (0.9 * colors**0.8 + 0.1 * luma[..., None]).astype(np.float32)


def fit(before, after, size=17):
    one = Fit(size)
    one.add(before, after)
    return one.solve()


def test_a_change_of_colors_is_found_where_there_are_colors():
    before = np.random.default_rng(0).random((50_000, 3), np.float32)
    table = fit(before, look(before))
    assert explained(table, before, look(before)) > 0.999
    inside = 0.1 + 0.8 * np.random.default_rng(1).random((1000, 3), np.float32)
    np.testing.assert_allclose(table.apply(inside), look(inside), atol=0.01)


def test_colors_that_no_photo_has_change_smoothly_and_keep_their_order():
    rng = np.random.default_rng(0)
    before = (0.4 + 0.2 * rng.random((20_000, 3))).astype(np.float32)
    after = np.clip(before - 5 * (before - 0.5), 0, 1)  # few colors, and a negative slope
    nodes = fit(before, after).nodes
    assert nodes.min() >= 0 and nodes.max() <= 1
    for channel in range(3):
        assert np.all(np.diff(nodes[..., channel], axis=channel) >= 0)
    brighter = fit(before, before + np.float32(0.1)).nodes
    gray = brighter[np.arange(17), np.arange(17), np.arange(17)]
    raised = np.linspace(0.1, 1.1, 17)[2:15]
    np.testing.assert_allclose(gray[2:15], np.stack([raised] * 3, axis=-1), atol=0.01)


def test_photos_count_the_same_whatever_their_size():
    small, large = (np.full((count, 3), 0.5, np.float32) for count in (100, 10_000))
    both = Fit(5)
    both.add(small, small + np.float32(0.2))
    both.add(large, large)
    np.testing.assert_allclose(both.solve().apply(small[:1]), 0.6, atol=1e-3)


def test_a_cube_file_is_read_as_other_programs_read_it(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    before = to_float(photo).reshape(-1, 3)
    table = fit(before, look(before) * np.float32([1, 0.8, 0.6]), size=9)
    write_cube(tmp_path / "look.cube", table.nodes, "a look")
    lines = (tmp_path / "look.cube").read_text(encoding="ascii").splitlines()
    assert lines[:2] == ['TITLE "a look"', "LUT_3D_SIZE 9"]
    rows = [tuple(map(float, line.split())) for line in lines[2:]]
    filtered = Image.fromarray(photo).filter(ImageFilter.Color3DLUT(9, rows))
    ours = to_uint8(table.apply(to_float(photo)))
    assert np.abs(np.asarray(filtered).astype(int) - ours).max() <= 1


def test_a_haldclut_has_red_fastest_and_16_bits(tmp_path):
    colors = hald_colors(33)  # level 6: 36 nodes per axis
    assert colors.shape == (216, 216, 3)
    np.testing.assert_allclose(colors[0, :3], [[0, 0, 0], [1 / 35, 0, 0], [2 / 35, 0, 0]])
    np.testing.assert_allclose(colors[0, 36], [0, 1 / 35, 0])
    np.testing.assert_allclose(colors[6, 0], [0, 0, 1 / 35])
    identity = Table(np.stack(np.meshgrid(*[np.linspace(0, 1, 33)] * 3, indexing="ij"), axis=-1))
    write_hald(tmp_path / "look.png", identity.apply(colors))
    written = read_photo(tmp_path / "look.png").pixels
    assert written.dtype == np.uint16
    np.testing.assert_allclose(written / 65535, colors, atol=2e-5)


def test_the_command_says_how_much_of_the_change_the_table_holds(tmp_path, capsys):
    smooth = np.linspace(40, 200, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    output = tmp_path / "look.cube"
    arguments = ["lut", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--output", str(output)]
    with pytest.raises(SystemExit) as exit:
        command.main([*arguments, "--size", "5"])
    assert exit.value.code == 1
    printed = capsys.readouterr()
    assert "b.png" in printed.err and "it is skipped" in printed.err
    assert "a.png: " in printed.out and "of the network's change" in printed.out
    assert f"wrote {output} from 1 photo(s)" in printed.out
    assert len(output.read_text(encoding="ascii").splitlines()) == 2 + 5**3


@pytest.mark.parametrize(
    ("output", "problem"), [("look.txt", "must end in .cube"), ("none/look.cube", "does not exist")]
)
def test_a_bad_output_is_reported_before_work(tmp_path, output, problem, capsys):
    with pytest.raises(SystemExit) as exit:
        command.main(["lut", str(tmp_path), "--output", str(tmp_path / output)])
    assert problem in exit.value.code


def test_a_photo_in_another_space_gives_a_table_for_srgb(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(40, 216, (8, 8, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    linear = from_float(color_space(SPACES["linear"]).from_srgb(pixels), np.uint16)
    tables = []
    for stored, icc in ((pixels, b""), (linear, SPACES["linear"])):
        photo = Photo(stored, None, False, "png", icc=icc)
        (tmp_path / "photo.png").write_bytes(encode_photo(photo, "png"))
        arguments = ["lut", str(tmp_path / "photo.png"), "--size", "5"]
        command.main([*arguments, "--output", str(tmp_path / "look.cube")])
        tables.append(np.loadtxt(tmp_path / "look.cube", skiprows=2))
    np.testing.assert_allclose(tables[1], tables[0], atol=0.02)
