"""Read a compiled program: what its operations move in memory, and what devices exchange.

Sizes are those of arrays as they lie in memory: a TPU stores them in tiles, such as 8 x 128 numbers,
and fills up the last ones. Arrays that the compiler keeps in the memory of the processor itself (VMEM
of a TPU) move nothing; the copies to and from there do.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")

# Instructions that name or regroup arrays, or end what another one began.
_FREE = (
    *("parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all", "iota"),
    *("partition-id", "replica-id", "opt-barrier", "add-dependency"),
)
_SLICES = ("slice", "dynamic-slice")
_ARRAY = re.compile(r"\b([a-z]+\d+|pred)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition)=%?([\w.-]+)")
_BRANCHES = re.compile(r"\b(?:branch_computations|(?:true|false)_computation)=\{?([^}\s]*)\}?")


class Array(NamedTuple):
    """An array in the text of a compiled program."""

    shape: tuple[int, ...]
    numbers: int  # bytes without padding
    stored: int  # bytes with the padding of tiles
    outside: bool  # in the device's main memory


class Instruction(NamedTuple):
    """A line of a compiled program."""

    name: str
    opcode: str
    results: Sequence[Array]
    inside: str  # of the parentheses: operands, or the number of a parameter
    rest: str  # attributes

    @property
    def operands(self) -> list[str]:
        """Names of the instructions whose results it uses."""
        return re.findall(r"%([\w.-]+)", self.inside)


class Operation(NamedTuple):
    """What an instruction of a program, or of its loops, does each time the program runs."""

    name: str
    opcode: str
    source: str  # where in the traced function it comes from
    moved: int  # bytes read from and written to main memory, with padding
    padding: int  # part of them
    cycles: int  # the compiler's estimate; 0 where it has none


class Exchange(NamedTuple):
    """A collective: data that devices exchange."""

    name: str
    size: int  # bytes that a device contributes, without padding
    hidden: int  # estimated cycles of operations that run meanwhile; 0: all wait for it


class Convolutions(NamedTuple):
    """Convolutions of a program with the same numbers of features, and matrix products."""

    inputs: int  # features that are summed over, as in a matrix product
    outputs: int
    members: int
    numbers: int  # bytes of the maps that they read and write, without padding
    stored: int  # with the padding of tiles


Computations = dict[str, list[Instruction]]


def arrays(text: str) -> list[Array]:
    """All arrays in a piece of a program, such as `bf16[64,10]{1,0:T(8,128)(2,1)S(1)}`."""
    return [_array(*found) for found in _ARRAY.findall(text)]


def _array(kind: str, sides: str, order: str, layout: str) -> Array:
    bits = 8 if kind == "pred" else int(re.sub(r"^\D+", "", kind))
    shape = tuple(int(side) for side in sides.split(",") if side)
    tile = re.search(r"T\(([\d,]+)\)", layout)
    padded = list(shape)
    if tile:
        # The last sides of a tile are those of the dimensions that vary fastest.
        fast = [int(dimension) for dimension in order.split(",") if dimension]
        for side, dimension in zip(reversed(tile[1].split(",")), fast, strict=False):
            padded[dimension] = -(-shape[dimension] // int(side)) * int(side)
    numbers, stored = (-(-math.prod(each) * bits // 8) for each in (shape, padded))
    return Array(shape, numbers, stored, not re.search(r"S\([1-9]\d*\)", layout))


def computations(text: str) -> tuple[Computations, str]:
    """Instructions by computation, and the name of the entry computation."""
    found: Computations = {}
    entry, current = "", None
    for line in text.splitlines():
        if line.endswith("{") and (header := re.match(r"(ENTRY )?%?([\w.-]+) \(", line)):
            current = found.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif current is not None and (parts := _INSTRUCTION.match(line)):
            name, type_, opcode, rest = parts.groups()
            inside, _, attributes = rest.partition(")")
            current.append(Instruction(name, opcode, arrays(type_), inside, attributes))
    return found, entry


def operations(text: str) -> list[Operation]:
    """Operations of a compiled program in their order, with those of its loops counted often.

    Of the branches of a condition the one that moves most counts.
    """
    found, entry = computations(text)
    return list(_operations(found, entry))


def _operations(found: Computations, name: str, times: int = 1) -> Iterator[Operation]:
    results = {each.name: each.results for each in found[name]}
    for each in found[name]:
        if each.opcode in _FREE or each.opcode.endswith("-done"):
            continue
        called = _CALLED.findall(each.rest)
        if each.opcode == "while":
            trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', each.rest)
            count = times * int(trips[1]) if trips else times
            for computation in called:
                yield from _operations(found, computation, count)
        elif each.opcode == "call":
            yield from _operations(found, called[0], times)
        elif each.opcode == "conditional":
            names = re.findall(r"[\w.-]+", " ".join(_BRANCHES.findall(each.rest)))
            branches = [list(_operations(found, branch, times)) for branch in names]
            yield from max(branches, key=lambda some: sum(one.moved for one in some))
        else:
            moved, padding = _traffic(found, each, results)
            source = re.search(r'op_name="([^"]*)"', each.rest)
            yield Operation(
                each.name,
                each.opcode,
                source[1] if source else "",
                times * moved,
                times * padding,
                times * _cycles(each),
            )


def _traffic(found: Computations, each: Instruction, results: dict) -> tuple[int, int]:
    """Bytes that an instruction moves in main memory, and how many of them are padding."""
    read = [results.get(operand, ()) for operand in each.operands]
    written = each.results
    if each.opcode == "fusion":
        fused = found[_CALLED.findall(each.rest)[0]]
        read = [_read(fused, index, whole) for index, whole in enumerate(read)]
    elif each.opcode == "slice-start":  # results: all of the operand, the slice, its state
        written = each.results[1:2]
        read = [_slices(written, read[0])]
    elif each.opcode.endswith("-start"):  # results: the copy, its source, its state
        written = each.results[:1]
    elif each.opcode in _SLICES:
        read = [_slices(written, read[0])]
    moved = [array for group in (*read, written) for array in group if array.outside]
    return sum(a.stored for a in moved), sum(a.stored - a.numbers for a in moved)


def _read(fused: Sequence[Instruction], index: int, whole: Sequence[Array]) -> Sequence[Array]:
    """What a fusion reads of an operand: only slices of it, if it uses nothing else."""
    (parameter,) = (p for p in fused if p.opcode == "parameter" and p.inside == str(index))
    users = [user for user in fused if parameter.name in user.operands]
    if users and all(user.opcode in _SLICES for user in users):
        return [a for user in users for a in _slices(user.results, whole)]
    return whole


def _slices(slices: Sequence[Array], whole: Sequence[Array]) -> list[Array]:
    """Slices as they lie where the whole is."""
    return [each._replace(outside=whole[0].outside) for each in slices]


def exchanges(text: str) -> list[Exchange]:
    """Collectives of a compiled program in their order.

    One that has started runs beside the operations up to its end. A TPU's compiler also moves parts
    of one into the fusions that run meanwhile; these parts form a chain.
    """
    found, _ = computations(text)
    cycles: dict[str, int] = {}  # of fusions, by the computation that they call
    for each in (line for lines in found.values() for line in lines if line.opcode == "fusion"):
        cycles[_CALLED.findall(each.rest)[0]] = _cycles(each)
    chains: dict[str, Exchange] = {}
    for name, lines in found.items():
        for exchange, chain in _exchanges(lines):
            chain = chain or f"{name} {len(chains)}"
            first = chains.get(chain, exchange)
            chains[chain] = first._replace(hidden=first.hidden + cycles.get(name, 0))
    return list(chains.values())


def _exchanges(lines: Sequence[Instruction]) -> Iterator[tuple[Exchange, str]]:
    """Collectives of a computation, each with the name of its chain, if it is part of one."""
    sizes = {each.name: sum(a.numbers for a in each.results) for each in lines}
    for place, each in enumerate(lines):
        kind = each.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            continue
        hidden = 0
        if each.opcode.endswith("-start"):
            done = (n for n, line in enumerate(lines) if each.name in line.operands)
            hidden = sum(_cycles(line) for line in lines[place + 1 : next(done, place)])
        chain = re.search(r'chain_id="(\w+)"', each.rest)
        size = sum(sizes.get(operand, 0) for operand in each.operands)
        yield Exchange(kind, size, hidden), chain[1] if chain else ""


def padded_convolutions(text: str) -> list[Convolutions]:
    """Convolutions and matrix products of a compiled program by their numbers of features.

    Those whose maps have the most padding are first.
    """
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for lines in computations(text)[0].values():
        results = {each.name: each.results for each in lines}
        for each in lines:
            labels = re.search(r"dim_labels=(\w+)_\w+->(\w+)", each.rest)
            if each.opcode != "convolution" or not labels:
                continue
            source, (result,) = results[each.operands[0]][0], each.results
            features = source.shape[labels[1].index("f")], result.shape[labels[2].index("f")]
            maps = source.numbers + result.numbers, source.stored + result.stored
            groups.setdefault(features, []).append(maps)
    found = [
        Convolutions(*features, len(maps), *map(sum, zip(*maps, strict=True)))
        for features, maps in groups.items()
    ]
    return sorted(found, key=lambda each: each.numbers - each.stored)


def _cycles(each: Instruction) -> int:
    cycles = re.search(r'"estimated_cycles":"(\d+)"', each.rest)
    return int(cycles[1]) if cycles else 0
