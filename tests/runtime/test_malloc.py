"""Memory that the process keeps causes no new page faults, and few ones in large pages."""

import mmap
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from ppcn_jax.runtime.malloc import keep_freed_memory
if "keep" in sys.argv:
    print(keep_freed_memory())
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for count in range(5):
    before = faults()
    # NumPy asks for large pages itself, bytes do not.
    np.full(16 * 2**20, 1.0, np.float32) if "numpy" in sys.argv else b"x" * 2**26
    print(faults() - before)
"""
PAGES = 2**26 // mmap.PAGESIZE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator, on Linux")


def lines(*arguments):
    program = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(program, capture_output=True, check=True, encoding="utf-8").stdout.split()


@pytest.fixture(scope="module")
def kept():
    """Page faults of blocks of 64 MiB, one after the other."""
    able, *faults = lines("keep")
    if able == "False":
        pytest.skip("this C library is not glibc")
    return [int(count) for count in faults]


def test_only_the_first_block_costs_faults(kept):
    # 16,384 pages of 4 KiB; fewer faults where the system uses large pages for everything.
    given_back = [int(count) for count in lines()]
    assert max(kept[1:]) < min(given_back) / 4


def test_the_first_block_is_in_large_pages(kept):
    if int(lines("numpy")[0]) > PAGES / 4:
        pytest.skip("this system has no large pages, or none are free")
    assert kept[0] < PAGES / 4
