"""The programs of OpenVINO for bands of an image, and for complete images."""

import collections
import dataclasses
import hashlib
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppcn_jax.graphs.graph import Graph
from ppcn_jax.graphs.networks import add_network
from ppcn_jax.graphs.openvino import Compiled
from ppcn_jax.inference.borders import border_of
from ppcn_jax.inference.reach import reach
from ppcn_jax.inference.streaming import Known, Results
from ppcn_jax.inference.structure import Structure, most_channels, structure_of, takes_variance
from ppcn_jax.runtime.memory import available_bytes
from ppcn_jax.weights.model import Model
from ppcn_jax.weights.trees import flatten

_IMAGES, _RESULT = "images", "result"
# Memory for a band, with twice the rows that its output depends on: few rows are computed twice.
_BAND_BYTES = 3 * 2**26
# A program takes at most so many times the memory of its largest map while it is in use. For maps
# of fewer channels, the other arrays of a band count too.
_MAPS, _FEWEST_CHANNELS = 4, 16
# Programs that were used last are kept, 20 MB each while they are not in use. A large photo takes
# one for each of its passes.
_MOST_PROGRAMS = 8


class OpenvinoPrograms:
    """The programs of a network that OpenVINO compiles; see `streaming.Programs`.

    They are compiled for one size each: for any size, they would take up to half as long again.

    Args:
        model: the network.
    """

    even = True

    def __init__(self, model: Model):
        self._model, self._digest = model, _digest(model)
        self.structure = structure_of(model)
        self.border = border_of(self.structure)

    def whole(self, image: np.ndarray) -> np.ndarray:
        """The output for a complete image."""
        program = self._program(image.shape, complete=True)
        return _compiled(program)({_IMAGES: image[None]})[0][0]

    def default_band(self, width: int) -> int:
        """Rows of an image of this width to compute at a time, at least twice the reach."""
        channels = max(most_channels(self.structure), _FEWEST_CHANNELS)
        pixels = int(min(available_bytes() // 4, _BAND_BYTES) / (4 * _MAPS * channels))
        around = 2 * reach(self.structure)
        return max(pixels // (width + 2 * self.border) - around, around)

    def moments(
        self, known: Known, rows: np.ndarray, given: Results, kept: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The moments of rows of the first unknown statistic; fills what is kept on the way.

        A variance that the network does not take is 0.
        """
        results = self._run(known, rows, given, kept)
        moments = results[: len(results) - len(kept)]
        # From [1, C, rows, 1] to [rows, 1, C].
        mean, *variance = (moment[0].transpose(1, 2, 0) for moment in moments)
        return mean, *(variance or [np.zeros_like(mean)])

    def output(self, known: Known, rows: np.ndarray, given: Results) -> np.ndarray:
        """The output inside the border, `[rows, W, 3]`, unclipped, if all statistics are known."""
        return self._run(known, rows, given, {})[0][0]

    def _program(self, shape: tuple[int, ...], **parts: Any) -> "_Program":
        height, width = shape[:2]
        return _Program(self._model, self.structure, self._digest, height, width, **parts)

    def _run(
        self, known: Known, rows: np.ndarray, given: Results, kept: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        program = self._program(
            rows.shape,
            known=tuple((name, mean.size) for name, (mean, _) in known.items()),
            given=tuple((name, result.shape[-1]) for name, result in given.items()),
            kept=tuple(kept),
        )
        feeds = {_IMAGES: rows[None]} | {name: result[None] for name, result in given.items()}
        for name, moments in known.items():
            for tensor, moment in zip(_moments(name), moments, strict=True):
                feeds[tensor] = moment.reshape(1, -1, 1, 1)
        return _compiled(program)(feeds, [place[None] for place in kept.values()])


@dataclasses.dataclass(frozen=True)
class _Program:
    """What a program computes for which size; equal ones have equal parameters.

    Attributes:
        model: the network.
        structure: of the model, since equal parameters may belong to different networks.
        digest: of the parameters.
        height: rows of the image.
        width: columns of the image.
        complete: the image is complete: it is continued, and its statistics are taken.
        known: statistics that are inputs, with their channels.
        given: layers whose results are inputs, with their channels.
        kept: layers whose results are outputs, after the moments of the first statistic that is
            not known.
    """

    model: Model = dataclasses.field(compare=False)
    structure: Structure
    digest: str
    height: int
    width: int
    complete: bool = False
    known: tuple[tuple[str, int], ...] = ()
    given: tuple[tuple[str, int], ...] = ()
    kept: tuple[str, ...] = ()

    def compile(self) -> Compiled:
        """Compile the program."""
        border, params = border_of(self.structure), self.model.params
        continued = border if self.complete else 0
        size = self.height + 2 * continued, self.width + 2 * continued
        graph = Graph(params, continued, margin=border, size=size)
        shapes: dict[str, tuple[int, ...]] = {_IMAGES: (1, self.height, self.width, 3)}
        for name, channels in self.given:
            shapes[name] = (1, self.height, self.width, channels)
            graph.given[name] = graph.op("Transpose", name, perm=[0, 3, 1, 2])
        for name, channels in self.known:
            graph.statistics[name] = _moments(name)
            shapes |= dict.fromkeys(_moments(name), (1, channels, 1, 1))
        images = graph.op("Transpose", _IMAGES, perm=[0, 3, 1, 2])
        result = add_network(graph, images, self.model.name, self.model.settings)
        unknown = [name for name in graph.measured if name not in graph.statistics]
        if self.complete or not unknown:
            graph.op("Transpose", result, perm=[0, 2, 3, 1], output=_RESULT)
            return Compiled(graph, shapes, [_RESULT])
        kept = (graph.op("Transpose", graph.results[name], perm=[0, 2, 3, 1]) for name in self.kept)
        measured = graph.measured[unknown[0]]
        if takes_variance(self.structure, unknown[0]):
            return Compiled(graph, shapes, [*graph.row_moments(measured, border), *kept])
        return Compiled(graph, shapes, [graph.row_mean(measured, border), *kept])


_programs: collections.OrderedDict[_Program, Compiled] = collections.OrderedDict()
_lock = threading.Lock()


def _compiled(program: _Program) -> Compiled:
    """A program, compiled unless it was used lately. The one used before gives back its memory."""
    with _lock:
        last = next(reversed(_programs), None)
        if last is not None and last != program:
            _programs[last].release()
        if program not in _programs:
            if len(_programs) >= _MOST_PROGRAMS:
                _programs.popitem(last=False)
            _programs[program] = program.compile()
        _programs.move_to_end(program)
        return _programs[program]


def _moments(statistic: str) -> tuple[str, str]:
    return f"{statistic}/mean", f"{statistic}/variance"


def _digest(model: Model) -> str:
    digest = hashlib.sha256()
    for _, array in sorted(flatten(model.params).items()):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()
