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
import urllib.parse
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import psutil

from ppcn_jax.inference.runtimes import describe_runtime
from ppcn_jax.runtime.errors import InputError, install_hint
from ppcn_jax.serving.page import label_choices, make_page
from ppcn_jax.weights.model import Model

# Limit of an upload; a photo of 100 megapixels has about 60 MB as JPEG, 200 MB as PNG.
MOST_BYTES = 200 * 2**20


def serve(
    models: Iterable[tuple[str, Model]], *, host: str, port: int, runtime: str = "auto"
) -> None:
    """Serve the page until Ctrl-C, which ends in a KeyboardInterrupt.

    Models come with the name given by the user, or "", and are loaded one by one, after the address
    is known to be free. Port 0 chooses a free one. For `runtime` see `choose_runtime`. Raises InputError if Gradio is missing, the
    address cannot be used or a model cannot be loaded.
    """
    if not importlib.util.find_spec("gradio"):
        raise InputError(f"the page needs gradio: {install_hint('web')}")
    try:
        with _listen(host, port) as listener, tempfile.TemporaryDirectory() as folder:
            choices = label_choices(models, runtime)
            # Gradio reads these on import, when a page is built and at each upload.
            os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
            os.environ["GRADIO_TEMP_DIR"] = os.environ["GRADIO_EXAMPLES_CACHE"] = folder
            page = make_page(choices, pathlib.Path(folder))
            app = _make_app(page, trusted_hosts(listener.getsockname()[0], host))
            address = _address(host, listener)
            runtimes = {operation.runtime for operation in choices.values()}
            by = f" by {describe_runtime('openvino')}" if "openvino" in runtimes else ""
            print(f"{', '.join(choices)}{by} at {address}; press Ctrl-C to stop", flush=True)
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


def trusted_hosts(address: str, host: str) -> list[str]:
    """Names under which a browser may reach the page: all others are refused.

    Otherwise a foreign website could point a name of its own at this computer, and read what the
    page answers (DNS rebinding).
    """
    hosts = {"localhost", "127.0.0.1", "[::1]", host}
    if ipaddress.ip_address(address).is_unspecified:  # all addresses of this computer
        hosts |= {socket.gethostname(), socket.getfqdn()}
        for interface in psutil.net_if_addrs().values():
            families = (socket.AF_INET, socket.AF_INET6)
            hosts |= {
                entry.address.partition("%")[0] for entry in interface if entry.family in families
            }
    return sorted(f"[{name}]" if ":" in name and name[0] != "[" else name.lower() for name in hosts)


class _SameOrigin:
    """Refuse requests that another website sends through the user's browser."""

    def __init__(self, app: Any, trusted: Collection[str]):
        self._app, self._trusted = app, trusted

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.datastructures import Headers
        from starlette.responses import PlainTextResponse

        if scope["type"] in ("http", "websocket"):
            origin = Headers(scope=scope).get("origin")
            host = urllib.parse.urlsplit(origin or "").hostname or ""
            if origin and (f"[{host}]" if ":" in host else host) not in self._trusted:
                await PlainTextResponse("Foreign origin", status_code=400)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _make_app(page: Any, trusted: Sequence[str]) -> Any:
    import fastapi
    import gradio as gr
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = fastapi.FastAPI(openapi_url=None)
    app.add_middleware(_SameOrigin, trusted=trusted)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=trusted, www_redirect=False)
    return gr.mount_gradio_app(
        app,
        page,
        path="",
        max_file_size=MOST_BYTES,
        # System fonts: others would be downloaded. Colors with enough contrast to be read.
        theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
            block_label_text_color="*primary_800",
            block_title_text_color="*primary_800",
            block_info_text_color="*neutral_600",
            body_text_color_subdued="*neutral_600",
            button_primary_background_fill="*primary_700",
            button_primary_background_fill_hover="*primary_800",
            checkbox_label_background_fill_selected="*primary_700",
        ),
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
