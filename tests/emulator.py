"""An emulator of Google Cloud Storage on this machine, in a process of its own.

    python -m tests.emulator     # prints its port, and serves until its standard input is closed

gcp-storage-emulator serves everything but conditions on generations, which are added here as
https://docs.cloud.google.com/storage/docs/request-preconditions describes them.
"""

import contextlib
import functools
import http.server
import importlib.util
import logging
import os
import subprocess
import sys
import threading

import pytest

BUCKET = "bucket-one"


def environment(port):
    """What makes gcsfs, Google's client and Orbax's TensorStore use the emulator."""
    address = f"http://127.0.0.1:{port}"
    return {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "FSSPEC_GCS": '{"token": "anon"}',
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # would ask Google about the bucket
        "NO_GCE_CHECK": "true",  # would look for credentials in the network
    }


@contextlib.contextmanager
def running():
    """Yield the environment of a fresh emulator with an empty bucket `BUCKET`."""
    for package in ("gcp_storage_emulator", "gcsfs"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install -e '.[test]'")
    command = [sys.executable, "-m", "tests.emulator"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, encoding="utf-8", **pipes) as process:
        try:
            yield environment(int(process.stdout.readline()))
        finally:
            process.stdin.close()


def conditional(handler):
    """Check the conditions of a request on the object's generation, and name it in the answer."""

    @functools.wraps(handler)
    def checked(request, response, storage):
        name = request.params.get("object_id") or request.query.get("name", [None])[0]
        name = name or request.data["meta"]["name"]
        found = storage.objects.get(request.params["bucket_name"], {}).get(name)
        generation = found["generation"] if found else "0"
        same, other = (
            request.query.get(f"ifGeneration{kind}Match", [None])[0] for kind in ("", "Not")
        )
        if same not in (None, generation):
            response.status = http.HTTPStatus.PRECONDITION_FAILED
            response.json({"error": {"code": 412, "message": "conditionNotMet"}})
        elif found and other == generation:
            response.status = http.HTTPStatus.NOT_MODIFIED
        else:
            if found and request.query.get("alt") == ["media"]:
                response["x-goog-generation"] = generation
            handler(request, response, storage)

    return checked


def serve():
    """Serve on a free port until standard input is closed."""
    from gcp_storage_emulator import server

    logging.disable(logging.CRITICAL)
    objects = server.objects
    for _, methods in server.HANDLERS:
        for method, handler in methods.items():
            if handler in (objects.insert, objects.delete, objects.get, objects.download):
                methods[method] = conditional(handler)
    # A client that is suspended must not stop the others; the storage itself takes turns.
    turns, handle = threading.Lock(), server.Router.handle

    def in_turn(router, method):
        with turns:
            handle(router, method)

    server.Router.handle = in_turn
    storage = server.Storage(use_memory_fs=True)
    server.buckets.create_bucket(BUCKET, storage)
    http.server.ThreadingHTTPServer.request_queue_size = 128
    requests = functools.partial(server.RequestHandler, storage)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), requests) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        print(httpd.server_port, flush=True)
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    serve()
