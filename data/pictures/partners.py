"""Which picture of one folder belongs to which of another, by their names."""

import collections
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from data.errors import DataError, first_of
from data.pictures.folders import natural_key, pictures_below

SAME = "{}"  # the template of inputs that are named as their targets


def check_template(template: str) -> None:
    """Raise `DataError` unless a template of input names holds "{}" once, and no folder."""
    if template.count(SAME) != 1 or "/" in template:
        raise DataError(
            f"input_name is {template!r}; it must contain {{}} once, in place of the target's name "
            "without suffix, such as '{}x4'"
        )


def paired_names(
    inputs: pathlib.Path, targets: pathlib.Path, template: str = SAME
) -> dict[str, str]:
    """The input's name for each target's name, in natural order (2.jpg before 10.jpg).

    Names are paths relative to the folders, which are searched with their subfolders.

    Raises:
      DataError: if a folder is missing or empty, a picture has no partner, or several pictures
        could be the same partner.
    """
    input_names = pictures_below(inputs, without=targets)
    target_names = pictures_below(targets, without=inputs)
    if not input_names and not target_names:
        raise DataError(
            f"{inputs} and its subfolders hold no pictures; put pairs into it and into {targets}"
        )
    found = match(inputs, input_names, targets, target_names, template)
    _check_partners(inputs, input_names, {*found.values()}, targets, template, _target_name)
    _check_partners(targets, target_names, found.keys(), inputs, template, _input_name)
    return found


def known_partners(
    inputs: pathlib.Path,
    targets: pathlib.Path,
    target_names: Sequence[str],
    template: str = SAME,
) -> dict[str, str]:
    """The input's name for each target's name with which a run started.

    A target without a partner gets the name that it would have; reading it raises.

    Raises:
      DataError: if there is no folder of inputs, or several pictures could be the same partner.
    """
    found = match(inputs, pictures_below(inputs), targets, target_names, template)
    return {name: found.get(name, _input_name(name, template)) for name in target_names}


def match(
    inputs: pathlib.Path,
    input_names: Collection[str],
    targets: pathlib.Path,
    target_names: Sequence[str],
    template: str = SAME,
) -> dict[str, str]:
    """The input's name for each target's name that has one.

    A picture with the same suffix is preferred. Otherwise the suffixes may differ, if no other
    picture could be meant.

    Args:
      inputs: the folder of the inputs, for messages.
      input_names: names in it.
      targets: the folder of the targets, for messages.
      target_names: names in it.
      template: the input's name without suffix, with "{}" for the target's.

    Raises:
      DataError: if several inputs, or several targets, could be meant.
    """
    there = set(input_names)
    same = {name: _input_name(name, template) for name in target_names}
    found = {name: partner for name, partner in same.items() if partner in there}
    candidates = _by_stem(there - {*found.values()})
    others = _by_stem(name for name in target_names if name not in found)
    for names in others.values():
        partners = candidates.get(_stem(same[names[0]]), [])
        if len(partners) == 1 == len(names):
            found[names[0]] = partners[0]
        elif len(partners) > 1:
            raise _ambiguous(inputs, partners, targets)
        elif partners:
            raise _ambiguous(targets, names, inputs)
    return {name: found[name] for name in target_names if name in found}


def _check_partners(
    folder: pathlib.Path,
    names: Sequence[str],
    used: Collection[str],  # sets
    other: pathlib.Path,
    template: str,
    partner: Callable[[str, str], str | None],
) -> None:
    """Raise `DataError` for the pictures of a folder that have no partner in the other."""
    alone = [name for name in names if name not in used]
    if not alone:
        return
    first = alone[0]
    stem = _stem(first)
    if others := sorted((name for name in used if _stem(name) == stem), key=natural_key):
        raise _ambiguous(folder, [first, *others], other)
    expected = partner(first, template)
    if expected is None:
        reason = f", because its name does not follow input_name={template!r}"
        remedy = "rename"
    else:
        reason = f" {other / expected}"
        remedy = "add the partner under this name, with any suffix,"
    more = f" ({len(alone)} pictures of this folder have none: {first_of(alone)})"
    raise DataError(
        f"{folder / first} has no partner{reason}{more if len(alone) > 1 else ''}; {remedy} "
        "or remove the picture, or set input_name to how the inputs are named, such as '{}x4' for "
        "1x4.png beside 1.png"
    )


def _ambiguous(folder: pathlib.Path, names: Sequence[str], other: pathlib.Path) -> DataError:
    return DataError(
        f"{folder} holds {' and '.join(names)}, and it is not clear which of them belongs to the "
        f"picture in {other}; keep one"
    )


def _stem(name: str) -> str:
    path = pathlib.PurePosixPath(name)
    return str(path.with_name(path.stem))


def _by_stem(names: Iterable[str]) -> Mapping[str, list[str]]:
    found = collections.defaultdict(list)
    for name in sorted(names, key=natural_key):
        found[_stem(name)].append(name)
    return found


def _input_name(target: str, template: str) -> str:
    if template == SAME:
        return target
    path = pathlib.PurePosixPath(target)
    return str(path.with_name(template.replace(SAME, path.stem) + path.suffix))


def _target_name(input: str, template: str) -> str | None:
    """The target's name with the same suffix; None if the input does not follow the template."""
    path = pathlib.PurePosixPath(input)
    before, after = template.split(SAME)
    stem = path.stem.removeprefix(before).removesuffix(after)
    fits = stem and before + stem + after == path.stem
    return str(path.with_name(stem + path.suffix)) if fits else None
