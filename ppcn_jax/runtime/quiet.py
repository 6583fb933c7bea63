"""Silence what libraries written in C++ print, TensorFlow's above all."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

_STDERR = 2


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discard what is written to stderr, which is shown if the block fails.

    TensorFlow's converter prints before its logging is set up, and no variable changes that: the
    file descriptor is redirected. Nothing else should print to stderr in the meantime.
    """
    # Read when TensorFlow is imported: no messages about instructions and missing devices.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as discarded:
        try:
            stderr = os.dup(_STDERR)
        except OSError:  # it is closed
            yield
            return
        os.dup2(discarded.fileno(), _STDERR)
        try:
            yield
        except Exception:
            discarded.seek(0)
            os.write(stderr, discarded.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, _STDERR)
            os.close(stderr)
