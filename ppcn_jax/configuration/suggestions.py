"""Fields that a misspelt, abbreviated or misplaced name may stand for."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_MOST = 4  # more fields are no help


def dotted_names(groups: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields in nested groups, without those of the groups themselves."""
    for name, value in groups.items():
        if isinstance(value, Mapping) and value:
            yield from dotted_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def suggestion(wrong: str, known: Collection[str]) -> str:
    """Return "; did you mean FIELD or FIELD?" for a wrong dotted name, or ""."""
    found = _similar(wrong, known)
    return f"; did you mean {' or '.join(found)}?" if 0 < len(found) <= _MOST else ""


def _similar(wrong: str, known: Collection[str]) -> list[str]:
    """The fields of the first of these kinds: equal, abbreviated, or similar last names.

    Fields of the same group, which may be misspelt, come before those of all groups. If there is
    no such field, but a similar group: that group.
    """
    group, name = _split(wrong)
    similar = _similar_group(group, known)
    within = [field for field in known if _split(field)[0] == similar]
    for fields in (within, known):
        if found := [field for field in fields if _split(field)[1] == name]:
            return found
    for fields in (within, known):
        if found := [field for field in fields if _abbreviates(name, _split(field)[1])]:
            return found
    near = difflib.get_close_matches(name, [_split(field)[1] for field in within], 1)
    if near or similar == group:
        return [field for field in within if _split(field)[1] in near]
    return [similar] if similar else []


def _similar_group(wrong: str, known: Collection[str]) -> str:
    """The group whose dotted name is similar in each part, or ""."""
    group = ""
    for part in wrong.split("."):
        start = f"{group}." if group else ""
        inside = [field.removeprefix(start) for field in known if field.startswith(start)]
        near = difflib.get_close_matches(part, {f.split(".")[0] for f in inside if "." in f}, 1)
        if not near:
            return ""
        group = f"{start}{near[0]}"
    return group


def _split(field: str) -> tuple[str, str]:
    group, _, name = field.rpartition(".")
    return group, name


def _abbreviates(short: str, name: str) -> bool:
    """Return True for `lr`, `learning`, `rate` and `learn_rate` of `learning_rate`."""
    words = name.split("_")
    return len(short) > 1 and (
        any(word.startswith(short) for word in words) or _joins(short.replace("_", ""), words)
    )


def _joins(short: str, words: list[str]) -> bool:
    """Return True if a text consists of the beginnings of all words in turn."""
    if not words:
        return not short
    first, *rest = words
    return any(
        short.startswith(first[:length]) and _joins(short[length:], rest)
        for length in range(1, len(first) + 1)
    )
