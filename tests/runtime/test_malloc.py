"""Freed memory that the process keeps causes no new page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from ppcn_jax.runtime.malloc import keep_freed_memory
if "keep" in sys.argv:
    print(keep_freed_memory())
for count in range(5):
    np.full(16 * 2**20, 1.0, np.float32)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    if count:
        print(faults - before)
    before = faults
"""


def lines(*arguments):
    program = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(program, capture_output=True, check=True, encoding="utf-8").stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator, on Linux")
def test_only_the_first_block_costs_faults():
    # Blocks of 64 MiB: 16,384 pages of 4 KiB; fewer faults where the system uses larger pages.
    kept, *faults = lines("keep")
    if kept == "False":
        pytest.skip("this C library is not glibc")
    given_back = list(map(int, lines()))
    assert max(map(int, faults)) < min(given_back) / 4
