"""The flags of launch.py. A mistake in them or in a configuration file is reported in one line."""

import difflib
import itertools
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import absl
import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from ppcn_jax.configuration.suggestions import dotted_names, suggestion
from ppcn_jax.runtime.files import check_file_name
from ppcn_jax.runtime.storage import to_path

_LIBRARIES = tuple(os.path.dirname(str(module.__file__)) for module in (absl, ml_collections))
# Python's messages for wrong numbers, in plain words.
_PLAIN = {
    r"invalid literal for int\(\).*": "it must be a whole number",
    r"could not convert string to float.*": "it must be a number",
}
_PROCESSES = ("coordinator", "process_count", "process_index")

# `--help` lists the flags as those of launch.py, which calls `define_flags`.
flags.disclaim_key_flags()


def define_flags() -> flags.FlagValues:
    """Define all flags, once in a process; returns their values."""
    config_flags.DEFINE_config_file("config", None, "Configuration file, e.g. configs/student.py.")
    flags.DEFINE_string("workdir", None, "Folder for everything that is written, or gs://...")
    flags.DEFINE_string("coordinator", None, "Address host:port of process 0.")
    flags.DEFINE_integer("process_count", None, "Number of processes.")
    flags.DEFINE_integer("process_index", None, "Index of this process, from 0.")
    flags.DEFINE_bool("distributed", True, "Join other processes when a cluster is detected.")
    flags.DEFINE_float("silence", 60.0, "Seconds after which a silent process counts as dead.", 1.0)
    flags.DEFINE_string("heartbeat_file", None, "Local file to touch while this process is alive.")
    flags.register_multi_flags_validator(
        _PROCESSES,
        lambda values: len({value is None for value in values.values()}) == 1,
        "give all three or none",
    )
    return flags.FLAGS


def parse_flags(arguments: list[str]) -> list[str]:
    """Parse the command line, for `absl.app.run(main, flags_parser=parse_flags)`.

    Args:
        arguments: of the command line, the program's name first.

    Returns:
        The program's name only.

    Raises:
        SystemExit: with a line that names the flag, or the place in the configuration file; the
            exit status is 1. With status 0 after `--help`.
    """
    try:
        program, *rest = flags.FLAGS(["--help" if text == "-h" else text for text in arguments])
        if rest:
            raise flags.Error(f"unexpected arguments: {' '.join(rest)}")
        if flags.FLAGS.config is None:
            raise flags.Error("--config is missing: name a file, e.g. configs/student.py")
        # If ml_collections could not load the file, it raises only at the first access.
        if not hasattr(flags.FLAGS.config, "task"):
            raise flags.Error(
                "get_config() in the configuration file must return a ConfigDict with a field `task`"
            )
        if not flags.FLAGS.workdir:
            raise flags.Error("--workdir is missing: name a folder for everything that is written")
        to_path(flags.FLAGS.workdir, "--workdir")
        check_file_name(flags.FLAGS.workdir, "--workdir")
        _check_heartbeat_file(flags.FLAGS.heartbeat_file)
    except SystemExit:
        # absl ends with status 1 after it has printed the help.
        sys.exit(0 if any(text.startswith(("-h", "--help", "-?")) for text in arguments) else 1)
    except Exception as error:  # noqa: BLE001  a configuration file may raise anything
        file = _config_file(arguments)
        text = _wrong_field(arguments, file) or _one_line(error, file)
        sys.exit(f"launch.py: {text}")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # Orbax logs every detail of every save
    return [program]


def _check_heartbeat_file(name: str | None) -> None:
    try:
        if name is not None:
            pathlib.Path(name).touch()
    except OSError as error:
        raise flags.Error(f"--heartbeat_file cannot be written: {error}") from error


def _config_file(arguments: list[str]) -> str:
    """The value of --config, or "" without it."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            return value if equals else following
    return ""


def _wrong_field(arguments: list[str], file: str) -> str:
    """What is wrong with the first flag that sets no field of the configuration, or ""."""
    values = flags.FlagValues()
    command = [arguments[0], f"--config={file}"]
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=command)
    try:
        values(command)
        config = values.config.to_dict()
    except Exception:  # noqa: BLE001  the file itself is wrong
        return ""
    for argument in arguments[1:]:
        match = re.fullmatch(r"--?(?:no)?config\.([^=]+)(=.*)?", argument, re.DOTALL)
        problem = _field_problem(match[1], match[2] or "=VALUE", config) if match else ""
        if problem:
            return problem
    return ""


def _field_problem(field: str, equals_value: str, config: Mapping[str, Any]) -> str:
    group: Any = config
    above: list[str] = []
    for name in field.split("."):
        if not isinstance(group, Mapping):
            place = ".".join(above)
            return f"{place} is a field and no group: write --config.{place}{equals_value}"
        if name not in group:
            hint = suggestion(field, [*dotted_names(config)])
            return f"the configuration has no field {field}{hint}"
        group = group[name]
        above.append(name)
    if isinstance(group, Mapping):
        if "weight" in group or len(group) == 1:
            name = "weight" if "weight" in group else next(iter(group))
            return f"{field} is a group of fields: write --config.{field}.{name}{equals_value}"
        listed = ", ".join(f"--config.{field}.{name}" for name in group)
        return f"{field} is a group of fields: set one of {listed}"
    return ""


def _one_line(error: BaseException, config: str) -> str:
    file, _, variant = config.partition(":")
    in_get_config = "Traceback" in str(error)  # ml_collections prints it into the message
    while in_get_config and (cause := error.__cause__ or error.__context__):
        error = cause
    while error.args and isinstance(
        error.args[0], BaseException
    ):  # an AttributeError of a KeyError
        error = error.args[0]
    text, place = f"{type(error).__name__}: {error}", _place(error)
    if isinstance(error, OSError) and file and not os.path.isfile(file):
        text = f"--config={config}: there is no file {file}{_similar_file(file)}"
    elif isinstance(error, TypeError) and in_get_config and not place:  # wrong number of arguments
        text = (
            f"{file} has no variants: drop ':{variant}'"
            if variant
            else f"{file} has several variants: name one after a colon, as in {file}:VARIANT"
        )
    elif isinstance(error, flags.Error | OSError | ValueError):
        text = str(error)
        for python, plain in _PLAIN.items():
            text = re.sub(python, plain, text)
    return " ".join(f"{text}{place}".split())


def _similar_file(file: str) -> str:
    """Return "; did you mean FILE?" for a misspelt name of a configuration file, or ""."""
    folder, name = os.path.split(file)
    try:
        known = [entry for entry in os.listdir(folder or ".") if entry.endswith(".py")]
    except OSError:
        return ""
    near = difflib.get_close_matches(name, known, 1, 0.8)
    return f"; did you mean {os.path.join(folder, near[0])}?" if near else ""


def _place(error: BaseException) -> str:
    """The line of a configuration file that raised, or ""."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((__file__, "<frozen", *_LIBRARIES)):
            return f" ({frame.filename}, line {frame.lineno})"
    return ""
