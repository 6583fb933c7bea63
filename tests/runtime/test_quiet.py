"""Messages of libraries are discarded, and shown if something fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppcn_jax.runtime.quiet import quiet_libraries

REPOSITORY = Path(__file__).resolve().parents[2]


def test_messages_are_discarded(capfd):
    with quiet_libraries():
        os.write(2, b"noise")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_messages_are_shown_after_an_error(capfd):
    with pytest.raises(ValueError, match="broken"), quiet_libraries():
        os.write(2, b"the reason")
        raise ValueError("broken")
    assert capfd.readouterr().err == "the reason"


def test_a_closed_stderr_is_no_error():
    program = (
        "import os; os.close(2)\n"
        "from ppcn_jax.runtime.quiet import quiet_libraries\n"
        "with quiet_libraries(): print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == "done\n"
