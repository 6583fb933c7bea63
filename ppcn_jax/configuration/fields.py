"""What each field of a configuration may hold, by task.

A rule looks at one value and returns what is wrong with it, or None. A configuration has exactly
the fields of its table: missing and misspelt fields are reported before anything runs.
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ppcn_jax.configuration.suggestions import dotted_names, suggestion
from ppcn_jax.models.layers import PADDINGS, SMALLEST_SIDE
from ppcn_jax.models.super_resolver import SCALES
from ppcn_jax.weights.model import TRAINED_AS_ENHANCERS

Rule = Callable[[Any], str | None]
Rules = Mapping[str, Any]  # name -> a rule, or the table of a group of fields

_LARGEST_INTEGER = 2**31 - 1  # steps are counted in int32
_LARGEST_FLOAT = 3.4e38  # float32
_LARGEST_CROP = 16_384  # px; photos of phones are no larger
# px; what a super-resolver's border of up to 4 px leaves of it is larger than SSIM's window
_SMALLEST_SCORED = 32
_LARGEST_SEED = 2**32 - 1  # random keys keep 32 bits of a seed


def integer(least: int = 1, most: int = _LARGEST_INTEGER) -> Rule:
    """A rule for whole numbers from `least` to `most`."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return "it must be a whole number"
        if value < least:
            return f"it must be {f'at least {least}' if least != 1 else 'positive'}"
        return f"it must be at most {most:,}" if value > most else None

    return rule


def number(*, zero: bool = False, most: float = _LARGEST_FLOAT) -> Rule:
    """A rule for numbers up to `most` that are positive, or also 0."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "it must be a number"
        if not (value > 0 or zero and value == 0):  # both are false for NaN
            return f"it must be {'0 or more' if zero else 'positive'}"
        return f"it must be at most {most:g}" if value > most else None

    return rule


def below(limit: float) -> Rule:
    """A rule for numbers from 0 to just below `limit`."""
    rule = number(zero=True)
    return lambda value: rule(value) or (None if value < limit else f"it must be below {limit}")


def crop_or_zero(value: Any) -> str | None:
    """A rule for the side of a crop that is scored, px, or 0."""
    rule = integer(0, _LARGEST_CROP)
    return rule(value) or (
        f"it must be 0 or at least {_SMALLEST_SCORED}" if 0 < value < _SMALLEST_SCORED else None
    )


def choice(*values: Any) -> Rule:
    """A rule for one of a few values of the same type."""
    listed = ", ".join(map(repr, values))
    problem = f"it must be {'one of ' if len(values) > 1 else ''}{listed}"
    return lambda value: None if value in values and type(value) is type(values[0]) else problem


def string(value: Any) -> str | None:
    """A rule for strings."""
    return None if isinstance(value, str) else "it must be a string"


def boolean(value: Any) -> str | None:
    """A rule for True and False."""
    return None if isinstance(value, bool) else "it must be True or False"


def name_template(value: Any) -> str | None:
    """A rule for file names with "{}" in place of another name."""
    fits = isinstance(value, str) and value.count("{}") == 1 and "/" not in value
    return None if fits else "it must contain {} once, and no folder, such as '{}x4'"


def increasing(value: Any) -> str | None:
    """A rule for positive whole numbers in increasing order."""
    numbers = [0, *value] if isinstance(value, tuple | list) else [0, 0]
    rises = all(isinstance(b, int) and a < b for a, b in itertools.pairwise(numbers))
    return (
        None if rises else "it must be positive whole numbers that increase, such as (1000, 2000)"
    )


def sizes(value: Any) -> str | None:
    """A rule for pairs of height and width, px."""
    pairs = value if isinstance(value, tuple | list) and value else [None]
    problem = integer(SMALLEST_SIDE)
    fit = all(
        isinstance(pair, tuple | list) and len(pair) == 2 and not any(map(problem, pair))
        for pair in pairs
    )
    return None if fit else f"it must be pairs (height, width) of at least {SMALLEST_SIDE} px"


_DATA: Rules = {
    "source": string,
    "dir": string,
    "test_dir": string,
    "phone": string,
    "input": string,
    "target": string,
    "input_name": name_template,
    "holdout": integer(0),
    "validation": integer(0),
    "photos": string,
    "photo_share": number(most=1),
    "crop": integer(SMALLEST_SIDE, _LARGEST_CROP),
    "scale": choice(*SCALES),
    "in_memory": boolean,
}
_TRAINING: Rules = {
    "task": choice("train"),
    "preset": choice("paper", "released"),
    "start_from": string,
    "data": _DATA,
    "objective": {},  # every loss has its own parameters; see check.py
    "train": {
        "steps": integer(),
        "steps_per_call": integer(),
        "batch_size": integer(),
        "seed": integer(0, _LARGEST_SEED),
        "learning_rate": number(),
        "boundaries": increasing,
        "decay": number(most=1),
        "optimizer": choice("adam", "muon"),
        "weight_decay": number(zero=True),
        "ema": below(1),
        "epsilon_corrected": boolean,
        "guard": {"total_limit": number(zero=True), "stop_after": integer()},
        "unreadable": number(zero=True, most=1),
    },
    "checkpoint": {"every": integer(), "keep": integer()},
    "evaluate": {
        "every": integer(),
        "images": integer(0),
        "largest": crop_or_zero,
        "photos": string,
    },
    "log": {"every": integer()},
    "hang": {"report_after": number(), "end_after": number(zero=True)},
}
_PRECISION = choice("float32", "bfloat16")
ENHANCER: Rules = {
    **_TRAINING,
    "model": choice(*TRAINED_AS_ENHANCERS),
    "model_settings": {"padding": choice(*PADDINGS)},
    "teacher": string,
    "imitation": number(zero=True, most=1),
    "vgg": {"weights": string},
    "precision": dict.fromkeys(("vgg", "discriminator", "generator"), _PRECISION),
    "discriminator": {
        "outputs": choice(1, 2),
        "first_norm": boolean,
        "learning_rate": number(),
        "real_label": number(most=1),
        "clip": boolean,
    },
}
SUPER_RESOLVER: Rules = {
    **_TRAINING,
    "model": choice("super_resolver"),
    "model_settings": {"scale": choice(*SCALES)},
    "train": {**_TRAINING["train"], "clip": boolean},
}
_LOADER: Rules = {"data": _DATA, "batch_size": integer()}
OTHERS: Mapping[str, Rules] = {
    "evaluate": {
        "task": string,
        "weights": string,
        "evaluate": {"largest": crop_or_zero},
        "data": _DATA,
    },
    "comparison": {"task": string, "recipes": string, "data": _DATA},
    "photo_faults": {
        "task": string,
        "models": string,
        "photos": string,
        "targets": string,
        "every": integer(),
    },
    "table1": {
        "task": string,
        "models": string,
        "kernel": choice("pillow", "matlab"),
        "timing": {"runs": integer()},
        "data": {"dir": string},
    },
    "table3": {"task": string, "models": string, "timing": {"runs": integer()}, "data": _DATA},
    "benchmark": {
        "task": string,
        "parts": string,
        "competitors": string,
        "models": string,
        "rounds": integer(),
        "peaks": {"side": integer(), "size": integer(1, 2**40)},
        "inference": {"height": integer(SMALLEST_SIDE), "width": integer(SMALLEST_SIDE)},
        "large_photos": {"sizes": sizes, "rounds": integer()},
        "training": ENHANCER,
        "compilation": {"rounds": integer()},
        "loading": {"pairs": _LOADER, "crops": _LOADER},
        "contextual": {"side": integer(), "channels": integer()},
    },
    "accelerator": {
        "task": string,
        "formats": string,
        "competitors": string,
        "batch_sizes": increasing,
        "sizes": sizes,
        "rounds": integer(),
        "steps": integer(),
        "peaks": {"side": integer(), "size": integer(4, 2**40)},
        "training": ENHANCER,
    },
    "scaling": {
        "task": string,
        "devices": increasing,
        "training": ENHANCER,
        "utilization": number(most=1),
        "latency": number(zero=True),
    },
}


def rules_of(config: Mapping[str, Any]) -> Rules | None:
    """The table for a configuration's task, or None if the task is unknown."""
    task = config.get("task")
    if task == "train":
        # The fields of a super-resolver, whatever its field `model` says.
        settings = config.get("model_settings")
        scaled = isinstance(settings, Mapping) and "scale" in settings
        return SUPER_RESOLVER if scaled or config.get("model") == "super_resolver" else ENHANCER
    return OTHERS.get(task) if isinstance(task, str) else None


def problems(
    config: Mapping[str, Any], rules: Rules, prefix: str = "", known: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Check every field by itself.

    Args:
        config: nested dictionaries.
        rules: from `rules_of`.
        prefix: of the fields' dotted names.
        known: dotted names of all fields, for suggestions; by default those of the rules.

    Yields:
        (field, what is wrong) for fields that are missing, unknown or hold a wrong value.
    """
    known = known or list(dotted_names(rules))
    for name in sorted({*config, *rules}):
        field = f"{prefix}{name}"
        if name not in rules:
            if rules:  # the empty table of the objective allows any name
                hint = suggestion(field, known)
                yield field, f"is not a field of this configuration{hint}"
        elif name not in config:
            yield field, "is missing"
        elif isinstance(rules[name], Mapping):
            if isinstance(config[name], Mapping):
                yield from problems(config[name], rules[name], f"{field}.", known)
            else:
                yield field, f"is {config[name]!r}; it must be a group of fields"
        elif problem := rules[name](config[name]):
            yield field, f"is {config[name]!r}; {problem}"
