"""Bands give what the whole image gives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import models
from ppcn_jax.graphs import networks
from ppcn_jax.inference import jax_programs, streaming
from ppcn_jax.inference.jax_programs import JaxPrograms
from ppcn_jax.inference.kept import kept_channels, kept_results, needs_image
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import can_keep, stream
from ppcn_jax.inference.structure import Structure, structure_of_module
from ppcn_jax.inference.windows import Window, windows_of
from ppcn_jax.models.layers import Conv, InstanceNorm, Statistics, check_images
from ppcn_jax.weights import model as weights
from ppcn_jax.weights.model import make_network

NETWORKS = {
    "student": {},
    "teacher": {},
    "srcnn": {},
    "vdsr": {},
    "dped_resnet": {"blocks": 2, "features": 8},
    "super_resolver": {},
}
WIDTH = 20


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, random_params):
    module = make_network(request.param, NETWORKS[request.param])
    return module, random_params(module, jnp.zeros((1, 16, 16, 3)))


def picture(height, seed=0):
    # Brighter below: statistics of a band are far from those of the whole.
    image = np.random.default_rng(seed).random((height, WIDTH, 3), np.float32)
    return image * np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]


def whole(module, params, image):
    return np.asarray(jax.jit(module.apply)({"params": params}, image[None])[0])


def streamed(module, params, image, band, keep=False):
    output = np.full_like(image, np.nan)
    for first, rows in stream(JaxPrograms(module, params), image, band=band, keep=keep):
        assert np.isnan(output[first : first + len(rows)]).all()
        output[first : first + len(rows)] = rows
    return output


@pytest.mark.parametrize("band", [7, 40, 1000])
def test_bands_equal_the_whole(network, band):
    module, params = network
    image = picture(180 if hasattr(module, "scale") else 101)
    expected = whole(module, params, image)
    for keep in (False, True):
        output = streamed(module, params, image, band, keep)
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


def test_what_is_kept_is_not_computed_again(random_params, monkeypatch):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    passes = []

    def compiled_too(function):
        def call(*arguments):
            text = function.lower(*arguments).compile().as_text()
            convolutions = text.count(" convolution(")
            passes.append((len(arguments[-3]), convolutions))
            return function(*arguments)

        return call

    for name in ("gather", "_output"):
        monkeypatch.setattr(jax_programs, name, compiled_too(getattr(jax_programs, name)))
    for _ in stream(JaxPrograms(module, params), picture(100), band=100, keep=True):
        pass
    assert [convolutions for _, convolutions in passes] == [0, 3, 2, 1]
    passes.clear()
    for _ in stream(JaxPrograms(module, params), picture(300), band=100, keep=True):
        pass
    reaches = [(rows - 100) // 2 for rows, _ in passes[::3]]
    assert reaches == [0, 3, 6, 1]


@pytest.mark.parametrize(("name", "rows"), [("student", 3000), ("teacher", 3000 + 2 * (90 + 20))])
def test_results_are_kept_where_there_is_memory(monkeypatch, name, rows):
    programs = JaxPrograms(make_network(name), {})
    needed = 4 * rows * 4000 * 16

    def available(size):
        monkeypatch.setattr(streaming, "available_bytes", lambda: size)

    available(4 * needed)
    assert can_keep(programs, 3000, 4000, 90)
    available(4 * needed - 4)
    assert not can_keep(programs, 3000, 4000, 90)


def test_integers_are_pixel_values(network):
    module, params = network
    levels = (picture(40) * 65535).astype(np.uint16)
    expected = whole(module, params, levels / np.float32(65535))
    output = np.concatenate(
        [rows for _, rows in stream(JaxPrograms(module, params), levels, band=16)]
    )
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * max(1, np.ptp(expected)))


class Branches(nn.Module):
    """A network of two branches of unequal length, called with keywords, with a layer of its own."""

    class Layer(Conv):
        """A subclass of Conv, which is a convolution to streaming too."""

    @nn.compact
    def __call__(self, images):
        check_images(images)
        long = self.Layer(4, (5, 5), name="long0")(x=images)
        long = self.Layer(4, (3, 3), dilation=2, before_norm=True, name="long1")(x=long)
        long = nn.relu(InstanceNorm(name="norm")(x=long))
        short = Conv(3, (3, 3), name="short")(images)
        mean, _ = Statistics(name="mean")(x=short)
        return Conv(3, (3, 1), name="last")(x=short - mean + Conv(3, (1, 1), name="mix")(long))


def branches_in_operators(graph, images, settings):
    long = graph.conv(images, "long0")
    long = graph.conv(long, "long1", dilation=2, before_norm=True)
    long = graph.op("Relu", graph.instance_norm(long, "norm"))
    short = graph.conv(images, "short")
    centered = graph.op("Sub", short, graph.image_mean(short, "mean"))
    return graph.conv(graph.op("Add", centered, graph.conv(long, "mix")), "last")


@pytest.fixture(scope="module")
def branches(random_params):
    module = Branches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "Branches", Branches, raising=False)
        patch.setitem(weights.NETWORKS, "branches", weights.Network("Branches", {}))
        patch.setitem(networks.NETWORKS, "branches", branches_in_operators)
        yield module, random_params(module, jnp.zeros((1, 16, 16, 3)))


def rows_looked_at(module, params, height, row):
    """Distances of the rows above and below that an output row has a gradient with respect to."""

    def intercept(call, args, kwargs, context):
        # Statistics of the whole image do not count.
        output = call(*args, **kwargs)
        is_statistic = isinstance(context.module, Statistics)
        return jax.lax.stop_gradient(output) if is_statistic else output

    @jax.jit
    @jax.grad
    def gradient(image):
        with nn.intercept_methods(intercept):
            return module.apply({"params": params}, image[None])[0, row].sum()

    rows = np.flatnonzero(np.abs(np.asarray(gradient(picture(height)))).max(axis=(1, 2)))
    return row - rows.min(), rows.max() - row


@pytest.mark.parametrize(
    ("name", "settings"),
    [*NETWORKS.items(), ("super_resolver", {"scale": 2}), ("super_resolver", {"scale": 3})],
)
def test_reach_is_what_gradients_say(name, settings, random_params):
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 48, 48, 3)))
    # The reach of a strided network counts from the edges of the row's group of `scale` rows.
    last = 120 + getattr(module, "scale", 1) - 1
    above, _ = rows_looked_at(module, params, 240, row=120)
    _, below = rows_looked_at(module, params, 240, row=last)
    assert max(above, below) == reach(structure_of_module(module))


def test_reach_of_branches_is_that_of_the_longest(branches):
    structure = structure_of_module(branches[0])
    assert reach(structure) == max(rows_looked_at(*branches, 100, row=50)) == 2 + 2 + 1
    # A given result shortens its own branch only.
    assert reach(structure, frozenset({"long1"})) == 1 + 1
    assert reach(structure, frozenset({"short"})) == 2 + 2 + 1
    assert reach(structure, frozenset({"short", "long1"})) == 1
    # What is wanted in place of the output may depend on fewer rows.
    assert reach(structure, wanted=frozenset({"norm/statistics"})) == 2 + 2
    assert reach(structure, wanted=frozenset({"mean", "long0"})) == 2
    assert reach(structure, frozenset({"long0"}), frozenset({"norm/statistics", "mean"})) == 2


def test_bands_of_a_network_of_branches(branches):
    module, params = branches
    image = picture(101)
    kept = kept_results(structure_of_module(module))
    assert [*map(set, kept)] == [{"long1"}, {"long1", "short"}]
    for keep in (False, True):
        output = streamed(module, params, image, 7, keep)
        np.testing.assert_allclose(output, whole(module, params, image), rtol=0, atol=1e-5)


def test_an_operator_that_mixes_rows_is_refused(monkeypatch):
    def cumulated(graph, images, settings):
        return graph.op("CumSum", images, graph.constant(2))

    monkeypatch.setitem(networks.NETWORKS, "cumulated", cumulated)
    with pytest.raises(ValueError, match="cannot follow the rows of an image through CumSum"):
        reach(Structure("cumulated", (), ()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("student", [(), ("conv1",), ("conv1", "conv3")]),
        ("teacher", [(), ("conv1",), ("conv3",), ("sum3",), ("sum3",)]),
        ("dped_resnet", [()] * 8),  # 64 channels are too many
        ("super_resolver", [()]),
        ("srcnn", []),
    ],
)
def test_results_worth_keeping(name, expected):
    structure = structure_of_module(make_network(name))
    assert [tuple(sorted(kept)) for kept in kept_results(structure)] == expected
    assert kept_channels(structure) == (16 if any(expected) else 0)


def test_a_result_takes_the_memory_of_one_before():
    plan = kept_results(structure_of_module(make_network("teacher")))
    memories = streaming._Memories(plan, 100, 5, Window(0, 9, 0, 20))
    last = plan[-1]
    # Each pass but the first keeps one result: conv1, conv3, sum3, and sum3 again.
    rows = [memories.rows(place) for kept in plan for place in kept.values()]
    assert {array.shape for array in rows} == {(100, 5, 16)}
    # What is written to a window is what no window from its top on reads.
    assert [np.shares_memory(rows[1][:20], rows[0][top:]) for top in (0, 1)] == [False, False]
    assert np.shares_memory(rows[1][20:21], rows[0][:1])
    assert np.shares_memory(rows[2][20:21], rows[1][:1])
    assert rows[0].base is rows[3].base and len(rows[0].base) == 100 + 2 * 20
    memories.drop_except(last)
    assert memories.rows(last["sum3"]).base is rows[0].base
    memories.drop_except({})
    assert memories.rows(last["sum3"]).base is not rows[0].base


def test_whether_the_image_is_needed():
    structure = structure_of_module(make_network("teacher"))

    def needed(*given, wanted=()):
        return needs_image(structure, frozenset(given), frozenset(wanted))

    assert needed() and needed("conv3") and needed(wanted=["contrast"])
    assert not needed("sum3") and not needed("conv1", wanted=["norm3/statistics"])
    assert needed("conv3", wanted=["norm3/statistics", "conv0"])


def test_default_band_follows_the_free_memory(network, monkeypatch):
    module, params = network
    monkeypatch.setattr(jax_programs, "_MOST_BYTES", 2**28)
    around = 2 * reach(structure_of_module(module))
    plenty = JaxPrograms(module, params).default_band(2000)
    monkeypatch.setattr(jax_programs, "_MOST_BYTES", 2**26)
    assert around <= JaxPrograms(module, params).default_band(2000) < plenty / 3
    monkeypatch.setattr(jax_programs, "_MOST_BYTES", 0)
    assert JaxPrograms(module, params).default_band(2000) == around


def test_a_band_has_a_row():
    module = make_network("student")
    with pytest.raises(ValueError, match="band must be at least 1"):
        next(stream(JaxPrograms(module, {}), picture(20), band=0))


def test_bands_are_even():
    student = structure_of_module(make_network("student"))
    windows = list(windows_of(student, 1500, 623))
    assert [last - first for first, last, _, _ in windows] == [500, 500, 500]
    assert {bottom - top for _, _, top, bottom in windows} == {500 + 2 * reach(student)}
