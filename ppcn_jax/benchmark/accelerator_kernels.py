"""Which kernels of an accelerator a program spends its time in."""

import collections
import gzip
import json
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

Kernel = dict[str, Any]


def profile_kernels(run: Callable[[], object], *, most: int) -> list[Kernel]:
    """Profile a program and add up the time of its kernels.

    Args:
        run: the program; returns when its work is done.
        most: how many kernels.

    Returns:
        As of `longest_kernels`; empty on processors, whose profiles have no kernels.
    """
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-profile-") as folder:
        with jax.profiler.trace(folder):
            run()
        files = pathlib.Path(folder).rglob("*.trace.json.gz")
        traces = [json.loads(gzip.decompress(file.read_bytes())) for file in files]
    return longest_kernels([e for trace in traces for e in trace["traceEvents"]], most=most)


def longest_kernels(events: Iterable[Mapping[str, Any]], *, most: int) -> list[Kernel]:
    """The kernels that take longest, in a profile in Chrome's trace format.

    Args:
        events: of the profile. Kernels are on the streams of processes "/device:...", or on their
            lines "XLA Ops" where there are no streams (TPUs).
        most: how many kernels.

    Returns:
        `{"kernel", "calls", "milliseconds", "share"}` of each, the longest first; the share is of
        the time of all kernels.
    """
    events = list(events)
    named = [event for event in events if event.get("ph") == "M" and "name" in event["args"]]
    devices = {
        event["pid"]
        for event in named
        if event["name"] == "process_name" and event["args"]["name"].startswith("/device:")
    }
    lines = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in named
        if event["name"] == "thread_name" and event["pid"] in devices
    }
    streams = {line for line, name in lines.items() if name.startswith("Stream")}
    streams = streams or {line for line, name in lines.items() if name == "XLA Ops"}
    durations = collections.defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in streams:
            durations[event["name"]].append(event["dur"] / 1000)
    total = sum(map(sum, durations.values()))
    longest = sorted(durations.items(), key=lambda item: (-sum(item[1]), item[0]))
    return [
        {"kernel": name, "calls": len(each), "milliseconds": sum(each), "share": sum(each) / total}
        for name, each in longest[:most]
    ]
