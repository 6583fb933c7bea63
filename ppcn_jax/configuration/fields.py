"""What each field of a configuration may hold, by task.

A rule looks at one value and returns what is wrong with it, or None. A configuration has exactly
the fields of its table: missing and misspelt fields are reported before anything runs.
"""

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ppcn_jax.configuration.rules import (
    LARGEST_CROP,
    below,
    boolean,
    choice,
    crop_or_zero,
    increasing,
    integer,
    name_template,
    number,
    paths,
    sizes,
    string,
)
from ppcn_jax.configuration.suggestions import dotted_names, suggestion
from ppcn_jax.models.definitions import PADDINGS, SCALES, SMALLEST_SIDE
from ppcn_jax.models.layers import PRECISIONS
from ppcn_jax.runtime.runtime_option import RUNTIMES
from ppcn_jax.weights.model import TRAINED_AS_ENHANCERS

Rules = Mapping[str, Any]  # name -> a rule, or the table of a group of fields

_MOST_TRACED = 1000  # steps; a trace grows by megabytes a step
_LARGEST_SEED = 2**32 - 1  # random keys keep 32 bits of a seed

_DATA: Rules = {
    "source": string,
    "dir": paths,
    "test_dir": paths,
    "phone": string,
    "input": string,
    "target": string,
    "input_name": name_template,
    "holdout": integer(0),
    "validation": integer(0),
    "photos": paths,
    "photo_share": number(most=1),
    "photo_extremes": number(zero=True, most=1),
    "crop": integer(SMALLEST_SIDE, LARGEST_CROP),
    "scale": choice(*SCALES),
    "in_memory": boolean,
}
_TRAINING: Rules = {
    "task": choice("train"),
    "preset": choice("paper", "released"),
    "start_from": paths,
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
        "quantize": boolean,
        "epsilon_corrected": boolean,
        "guard": {"total_limit": number(zero=True), "stop_after": integer()},
        "unreadable": number(zero=True, most=1),
    },
    "checkpoint": {"every": integer(), "keep": integer()},
    "evaluate": {
        "every": integer(),
        "images": integer(0),
        "largest": crop_or_zero,
        "photos": paths,
    },
    "log": {"every": integer(), "wandb": string},
    "profile": {"first_step": integer(0), "steps": integer(most=_MOST_TRACED)},
    "audit": {"every": integer(0)},
    "hang": {"report_after": number(), "end_after": number(zero=True)},
}
_PRECISION = choice(*PRECISIONS)
ENHANCER: Rules = {
    **_TRAINING,
    "model": choice(*TRAINED_AS_ENHANCERS),
    "model_settings": {"padding": choice(*PADDINGS)},
    "teacher": paths,
    "imitation": number(zero=True, most=1),
    "vgg": {"weights": paths},
    "precision": dict.fromkeys(("vgg", "discriminator", "generator"), _PRECISION),
    "discriminator": {
        "network": choice("paper", "patch"),
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
    "precision": {"generator": _PRECISION},
    "train": {**_TRAINING["train"], "clip": boolean},
}


def _in_float(training: Rules) -> Rules:
    """Rules of a training step that is only measured: it starts from no trained network."""
    return {**training, "train": {**training["train"], "quantize": choice(False)}}


_SCORES: Rules = {"task": string, "runtime": choice(*RUNTIMES)}
_TABLE: Rules = {**_SCORES, "models": paths, "timing": {"runs": integer()}}
_MEASURED: Rules = {
    "task": string,
    "competitors": string,
    "rounds": integer(),
    "training": _in_float(ENHANCER),
}
_LOADER: Rules = {"data": _DATA, "batch_size": integer()}
OTHERS: Mapping[str, Rules] = {
    "evaluate": {
        **_SCORES,
        "weights": paths,
        "evaluate": {"largest": crop_or_zero},
        "data": _DATA,
    },
    "comparison": {**_SCORES, "recipes": paths, "data": _DATA},
    "photo_faults": {
        **_SCORES,
        "models": paths,
        "photos": paths,
        "targets": paths,
        "every": integer(),
    },
    "table1": {**_TABLE, "kernel": choice("pillow", "matlab"), "data": {"dir": paths}},
    "table3": {**_TABLE, "data": _DATA},
    "benchmark": {
        **_MEASURED,
        "parts": string,
        "models": paths,
        "peaks": {"side": integer(), "size": integer(1, 2**40)},
        "inference": {"height": integer(SMALLEST_SIDE), "width": integer(SMALLEST_SIDE)},
        "large_photos": {"sizes": sizes, "models": string, "rounds": integer()},
        "compilation": {"rounds": integer()},
        "loading": {"pairs": _LOADER, "crops": _LOADER},
        "losses": {"sizes": functools.partial(sizes, images=True), "rounds": integer()},
        "contextual": {"side": integer(), "channels": integer()},
        "host": {"processes": integer(), "calls": integer()},
    },
    "accelerator": {
        **_MEASURED,
        "formats": string,
        "batch_sizes": increasing,
        "sizes": sizes,
        "steps": integer(),
        "peaks": {"side": integer(), "size": integer(4, 2**40)},
    },
    "compile_for": {
        "task": string,
        "topologies": string,
        "models": string,
        "formats": string,
        "batch_sizes": increasing,
        "operations": integer(0),
        "latency": number(zero=True),
        "student": _in_float(ENHANCER),
        "teacher": _in_float(ENHANCER),
        "super_resolver": _in_float(SUPER_RESOLVER),
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
