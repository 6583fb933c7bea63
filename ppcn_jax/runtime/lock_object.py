"""An object in a bucket as a lock, with the methods of `LockFile`.

Google Cloud Storage creates or replaces an object only if a condition on its generation holds, which
is a number that every write changes. The age of a heartbeat is the difference of two times by the
clock of Cloud Storage.
"""

import contextlib
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any

from ppcn_jax.runtime.lock_file import FILE
from ppcn_jax.runtime.storage import bucket_and_name, bucket_errors


class LockObject:
    """The lock of a folder in a bucket; raises `OSError` if the bucket cannot be accessed."""

    def __init__(self, folder: pathlib.Path):
        self.path = folder / FILE
        self._bucket_name, self._name = bucket_and_name(self.path)
        self._bucket: Any = None

    def create(self, content: bytes) -> bool:
        """Create the lock; False if it exists."""
        return self._write(content, generation=0)

    def read(self) -> tuple[bytes, float] | None:
        """The content and the seconds since the last heartbeat; None if there is no lock."""
        with self._access() as bucket:
            found = self._found(bucket)
            if found is None:
                return None
            probe = bucket.blob(f"{self._name}.{uuid.uuid4().hex}")
            probe.upload_from_string(b"")
            probe.delete()
            return found[0], max((probe.updated - found[1].updated).total_seconds(), 0.0)

    def holds(self, content: bytes, *, beat: bool = False) -> bool:
        """Return if the lock has this content; with `beat`, its heartbeat is then now."""
        with self._access() as bucket:
            found = self._found(bucket)
        if found is None or found[0] != content:
            return False
        return not beat or self._write(content, generation=found[1].generation)

    def replace(self, old: bytes, new: bytes, *, patience: float) -> bool:
        """Replace the lock if its content is `old`; of several processes only one succeeds."""
        del patience  # nothing remains of a process that dies meanwhile
        with self._access() as bucket:
            found = self._found(bucket)
        return (
            found is not None
            and found[0] == old
            and self._write(new, generation=found[1].generation)
        )

    def remove(self, content: bytes) -> None:
        """Remove the lock if it has this content."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        with self._access() as bucket, contextlib.suppress(NotFound, PreconditionFailed):
            found = self._found(bucket)
            if found is not None and found[0] == content:
                found[1].delete(if_generation_match=found[1].generation)

    @contextlib.contextmanager
    def _access(self) -> Iterator[Any]:
        """The bucket."""
        with bucket_errors(self.path):
            if self._bucket is None:
                from google.cloud import storage

                self._bucket = storage.Client().bucket(self._bucket_name)
            yield self._bucket

    def _found(self, bucket: Any) -> tuple[bytes, Any] | None:
        """The content and the object of this generation; None if there is no lock."""
        from google.api_core.exceptions import NotFound

        blob = bucket.get_blob(self._name)
        try:
            return None if blob is None else (blob.download_as_bytes(), blob)
        except NotFound:  # replaced or removed just now
            return self._found(bucket)

    def _write(self, content: bytes, *, generation: int) -> bool:
        """Write the lock if it is of this generation, 0 for none; False if it is of another."""
        from google.api_core.exceptions import PreconditionFailed

        with self._access() as bucket:
            try:
                bucket.blob(self._name).upload_from_string(content, if_generation_match=generation)
                return True
            except PreconditionFailed:
                # An upload whose answer was lost is repeated, and fails because it had succeeded.
                found = self._found(bucket)
                return found is not None and found[0] == content
