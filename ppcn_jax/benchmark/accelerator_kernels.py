"""The kernels of an accelerator that a program spends its time in."""

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
    """Profile a program and return `longest_kernels`; empty on processors, which have none.

    `run` must wait until its work is done.
    """
    with tempfile.TemporaryDirectory(prefix="ppcn-jax-profile-") as folder:
        with jax.profiler.trace(folder):
            run()
        files = pathlib.Path(folder).rglob("*.trace.json.gz")
        traces = [json.loads(gzip.decompress(file.read_bytes())) for file in files]
    return longest_kernels([e for trace in traces for e in trace["traceEvents"]], most=most)


def longest_kernels(events: Iterable[Mapping[str, Any]], *, most: int) -> list[Kernel]:
    """The kernels with the longest total time in a profile in Chrome's trace format.

    Kernels are the events on streams of processes named "/device:...", or on their lines
    "XLA Ops" where there are no streams (TPUs).

    Returns:
        `{"kernel", "calls", "milliseconds", "share"}` of the `most` longest, in order; the share
        is of the time of all kernels.
    """
    events = list(events)
    names = [event for event in events if event.get("ph") == "M" and "name" in event["args"]]
    devices = {
        event["pid"]
        for event in names
        if event["name"] == "process_name" and event["args"]["name"].startswith("/device:")
    }
    lines = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in names
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
