"""The frozen networks of a run, by content: its teachers and VGG are the same when it is resumed.

Their files may be moved and renamed meanwhile. A teacher that was trained further under the same
path is another teacher.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from ppcn_jax.configuration.workdir import NETWORKS
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_json
from ppcn_jax.weights.checkpoint_record import digest
from ppcn_jax.weights.load import read_config

# The field that names each kind of network, and where the same parameters may be found.
_FIELDS = {
    "teachers": (
        "teacher",
        " (of a teacher that was trained further: its checkpoint WORKDIR/checkpoints/STEP)",
    ),
    "vgg": ("vgg.weights", ""),
}


def check_networks(
    workdir: pathlib.Path, frozen: Mapping[str, Any], *, complete: bool = True
) -> None:
    """Refuse frozen networks with other parameters than those with which the run started.

    Args:
        workdir: a workdir without a record of them, as older versions wrote, is accepted.
        frozen: "vgg" -> its parameters, "teachers" -> those of each teacher, for those in use.
        complete: False if `frozen` may lack networks that are in use.

    Raises:
        InputError: they differ; the message names the field and says how to continue.
    """
    path = workdir / NETWORKS
    if not path.is_file():
        return
    known = read_config(path)
    now = _digests(frozen)
    for name, (field, place) in _FIELDS.items():
        if name in now or complete:
            before, after = known.get(name, []), now.get(name, [])
            if before != after:
                raise InputError(
                    f"config.{field}: {_difference(before, after)}. Name the same parameters{place}, "
                    f"or start a new run with --config.start_from={workdir} and another --workdir"
                )


def record_networks(workdir: pathlib.Path, frozen: Mapping[str, Any]) -> None:
    """Write hashes of the frozen networks into a workdir that has none.

    Raises:
        InputError: they cannot be written.
    """
    path = workdir / NETWORKS
    if path.exists():
        return
    try:
        write_json(path, _digests(frozen))
    except OSError as error:
        raise InputError(f"--workdir {workdir} cannot be written: {error}") from error


def _digests(frozen: Mapping[str, Any]) -> dict[str, list[str]]:
    networks = {
        name: value if isinstance(value, list) else [value] for name, value in frozen.items()
    }
    return {name: [digest(params) for params in each] for name, each in networks.items()}


def _difference(before: list[str], after: list[str]) -> str:
    if len(before) != len(after):
        return f"names {len(after)} networks, but this run started with {len(before)}"
    if sorted(before) == sorted(after):
        return "names the networks of this run in another order"
    changed = [
        str(number) for number, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b
    ]
    which = "the network" if len(after) == 1 else f"network {', '.join(changed)} of {len(after)}"
    return f"{which} has other parameters than when this run started"
