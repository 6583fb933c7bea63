"""Serve the local page until it is stopped."""

import errno
import importlib.util
import ipaddress
import os
import pathlib
import signal
import socket
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

from ppcn_jax.runtime.errors import InputError, install_hint
from ppcn_jax.serving.page import label_choices, make_page
from ppcn_jax.weights.model import Model

# Limit of an upload; a photo of 100 megapixels has about 60 MB as JPEG, 200 MB as PNG.
MOST_BYTES = 200 * 2**20


def serve(models: Iterable[tuple[str, Model]], *, host: str, port: int) -> None:
    """Serve the page until Ctrl-C, which ends in a KeyboardInterrupt.

    Models come with the name given by the user, or "", and are loaded one by one, after the address
    is known to be free. Port 0 chooses a free one. Raises InputError if Gradio is missing, the
    address cannot be used or a model cannot be loaded.
    """
    if not importlib.util.find_spec("gradio"):
        raise InputError(f"the page needs gradio: {install_hint('web')}")
    try:
        with _listen(host, port) as listener, tempfile.TemporaryDirectory() as folder:
            choices = label_choices(models)
            # Gradio reads these on import, when a page is built and at each upload.
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
            os.environ["GRADIO_TEMP_DIR"] = os.environ["GRADIO_EXAMPLES_CACHE"] = folder
            app = _make_app(make_page(choices, pathlib.Path(folder)))
            address = _address(host, listener)
            print(f"{', '.join(choices)} at {address}; press Ctrl-C to stop", flush=True)
            _run(app, listener)
    except KeyboardInterrupt:
        _exit_if_busy()
        raise


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} of {host} is in use; choose another --port") from error
        raise InputError(f"cannot listen on --host {host}, --port {port}: {error}") from error


def _address(host: str, listener: socket.socket) -> str:
    found, port = listener.getsockname()[:2]
    others = "" if ipaddress.ip_address(found).is_loopback else ", open to other computers"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{others}"


def _make_app(page: Any) -> Any:
    import fastapi
    import gradio as gr

    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page,
        path="",
        max_file_size=MOST_BYTES,
        # System fonts: others would be downloaded.
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )


def _run(app: Any, listener: socket.socket) -> None:
    import uvicorn

    # Handle a closed terminal and a kill like Ctrl-C, so that the temporary folder is deleted.
    for name in ("SIGHUP", "SIGTERM"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.default_int_handler)
    # An open page keeps a connection; closing it is not worth an error message.
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
    # run() returns only after a stop signal, and does not always raise it again.
    raise KeyboardInterrupt


def _exit_if_busy() -> None:
    """Exit at once if a photo is being processed: Python would wait for its thread to finish."""
    threads = set(threading.enumerate()) - {threading.main_thread()}
    if not all(thread.daemon for thread in threads):
        os._exit(130)
