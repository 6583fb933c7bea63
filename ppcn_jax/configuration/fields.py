"""What each field of a configuration may hold, by the task that reads it.

A rule looks at one value and says what is wrong with it, or nothing. A configuration has the
fields of its table and no others: one that is missing or misspelt is told before anything runs.
"""

import difflib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ppcn_jax.models.layers import SMALLEST_SIDE
from ppcn_jax.models.super_resolver import SCALES

Rule = Callable[[Any], str | None]
Rules = Mapping[str, Any]  # name -> a rule, or the table of a group of fields

LARGEST_INTEGER = 2**31 - 1  # steps are counted in int32
LARGEST_FLOAT = 3.4e38  # of float32
_LARGEST_CROP = 16_384  # px; phones' photos are no larger
_LARGEST_SEED = 2**32 - 1  # larger ones would share their random numbers with these


def whole(least: int = 1, most: int = LARGEST_INTEGER) -> Rule:
    """A rule for whole numbers from `least` to `most`."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return "it must be a whole number"
        if value < least:
            return f"it must be {f'at least {least}' if least != 1 else 'positive'}"
        return f"it must be at most {most:,}" if value > most else None

    return rule


def real(*, zero: bool = False, most: float = LARGEST_FLOAT) -> Rule:
    """A rule for positive numbers up to `most`, or also 0."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "it must be a number"
        if not (value > 0 or zero and value == 0):  # NaN is neither
            return f"it must be {'0 or more' if zero else 'positive'}"
        return f"it must be at most {most:g}" if value > most else None

    return rule


def choice(*known: Any) -> Rule:
    """A rule for one of a few values."""
    listed = ", ".join(map(repr, known))

    def rule(value: Any) -> str | None:
        return None if value in known and type(value) is type(known[0]) else f"there are {listed}"

    return rule


def text(value: Any) -> str | None:
    """A rule for texts."""
    return None if isinstance(value, str) else "it must be a text"


def flag(value: Any) -> str | None:
    """A rule for True and False."""
    return None if isinstance(value, bool) else "it must be True or False"


def steps(value: Any) -> str | None:
    """A rule for steps in increasing order."""
    numbers = [0, *value] if isinstance(value, tuple | list) else [0, 0]
    rises = all(isinstance(b, int) and a < b for a, b in itertools.pairwise(numbers))
    return None if rises else "they must be positive whole numbers that increase, as (1000, 2000)"


def sizes(value: Any) -> str | None:
    """A rule for pairs of height and width, px."""
    pairs = value if isinstance(value, tuple | list) and value else [None]
    known = whole(SMALLEST_SIDE)
    fit = all(
        isinstance(pair, tuple | list) and len(pair) == 2 and not any(map(known, pair))
        for pair in pairs
    )
    return None if fit else f"they must be pairs (height, width) of at least {SMALLEST_SIDE} px"


_DATA: Rules = {
    "source": text,
    "dir": text,
    "test_dir": text,
    "phone": text,
    "input": text,
    "target": text,
    "holdout": whole(0),
    "validation": whole(0),
    "crop": whole(SMALLEST_SIDE, _LARGEST_CROP),
    "scale": choice(*SCALES),
    "in_memory": flag,
}
_TRAINING: Rules = {
    "task": choice("train"),
    "preset": choice("paper", "released"),
    "data": _DATA,
    "objective": {},  # every loss has knobs of its own: ppcn_jax/steps/objective.py
    "train": {
        "steps": whole(),
        "steps_per_call": whole(),
        "batch_size": whole(),
        "seed": whole(0, _LARGEST_SEED),
        "learning_rate": real(),
        "boundaries": steps,
        "decay": real(most=1),
        "optimizer": choice("adam", "muon"),
        "weight_decay": real(zero=True),
        "epsilon_corrected": flag,
        "guard": {"total_limit": real(zero=True), "stop_after": whole()},
        "unreadable": real(zero=True, most=1),
    },
    "checkpoint": {"every": whole(), "keep": whole()},
    "evaluate": {"every": whole()},
    "log": {"every": whole()},
    "hang": {"report_after": real(), "end_after": real(zero=True)},
}
_PRECISION = choice("float32", "bfloat16")
ENHANCER: Rules = {
    **_TRAINING,
    "model": choice("student", "teacher"),
    "teacher": text,
    "imitation": real(zero=True, most=1),
    "vgg": {"weights": text},
    "precision": dict.fromkeys(("vgg", "discriminator", "generator"), _PRECISION),
    "discriminator": {
        "outputs": choice(1, 2),
        "first_norm": flag,
        "learning_rate": real(),
        "real_label": real(most=1),
        "clip": flag,
    },
}
SUPER_RESOLVER: Rules = {
    **_TRAINING,
    "model": choice("super_resolver"),
    "model_settings": {"scale": choice(*SCALES)},
    "train": {**_TRAINING["train"], "clip": flag},
}
_LOADER: Rules = {"data": _DATA, "batch_size": whole()}
OTHERS: Mapping[str, Rules] = {
    "evaluate": {"task": text, "weights": text, "data": _DATA},
    "comparison": {"task": text, "recipes": text, "data": _DATA},
    "table1": {
        "task": text,
        "models": text,
        "kernel": choice("pillow", "matlab"),
        "timing": {"runs": whole()},
        "data": {"dir": text},
    },
    "table3": {"task": text, "models": text, "timing": {"runs": whole()}, "data": _DATA},
    "benchmark": {
        "task": text,
        "parts": text,
        "competitors": text,
        "models": text,
        "rounds": whole(),
        "peaks": {"side": whole(), "size": whole(1, 2**40)},
        "inference": {"height": whole(SMALLEST_SIDE), "width": whole(SMALLEST_SIDE)},
        "large_photos": {"sizes": sizes, "rounds": whole()},
        "training": ENHANCER,
        "compilation": {"rounds": whole()},
        "loading": {"pairs": _LOADER, "crops": _LOADER},
        "contextual": {"side": whole(), "channels": whole()},
    },
    "accelerator": {
        "task": text,
        "formats": text,
        "competitors": text,
        "batch_sizes": steps,
        "sizes": sizes,
        "rounds": whole(),
        "steps": whole(),
        "peaks": {"side": whole(), "size": whole(4, 2**40)},
        "training": ENHANCER,
    },
    "scaling": {
        "task": text,
        "devices": steps,
        "training": ENHANCER,
        "utilization": real(most=1),
        "latency": real(zero=True),
    },
}


def rules_of(config: Mapping[str, Any]) -> Rules | None:
    """The table of a configuration; None when it has no task that is known."""
    task = config.get("task")
    if task == "train":
        return SUPER_RESOLVER if "model_settings" in config else ENHANCER
    return OTHERS.get(task) if isinstance(task, str) else None


def problems(
    config: Mapping[str, Any], rules: Rules, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """What is wrong with the single fields of a configuration.

    Args:
        config: nested dictionaries.
        rules: of `rules_of`.
        prefix: of the fields' names.

    Returns:
        An iterator over (field, what is wrong) of those that are missing, unknown or hold what
        they cannot.
    """
    for name in sorted({*config, *rules}):
        field = f"{prefix}{name}"
        if name not in rules:
            if rules:  # none are of the objective, which is free
                yield field, f"is no field of this configuration{_similar(name, rules)}"
        elif name not in config:
            yield field, "is missing"
        elif isinstance(rules[name], Mapping):
            if isinstance(config[name], Mapping):
                yield from problems(config[name], rules[name], f"{field}.")
            else:
                yield field, f"is {config[name]!r}; it must be a group of fields"
        elif problem := rules[name](config[name]):
            yield field, f"is {config[name]!r}; {problem}"


def _similar(name: str, rules: Rules) -> str:
    close = difflib.get_close_matches(name, rules, n=1)
    return f"; did you mean {close[0]}?" if close else ""
