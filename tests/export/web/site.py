"""The exported page on a static server, for tests in a browser."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import skimage

from export.web.chromium import Chromium
from leanseg.bundle import Bundle
from leanseg.export.web import ARCHIVE, export_web

PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "retina.jpg"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(bundle: Bundle, folder: Path) -> Iterator[ThreadingHTTPServer]:
    """A static server of a model's page that knows no more than any other."""
    runtime = os.environ.get("LEANSEG_TEST_WEB_RUNTIME")
    if runtime is None:
        pytest.skip(f"ONNX Runtime Web is not here: npm pack, and LEANSEG_TEST_WEB_RUNTIME={ARCHIVE}")
    export_web(bundle, folder, runtime=Path(runtime))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def opened(chromium: Chromium, server: ThreadingHTTPServer) -> None:
    """Open the page and wait until the model is loaded."""
    chromium.open(f"http://127.0.0.1:{server.server_port}/")
    chromium.wait("document.getElementById('status').textContent === 'Ready'")


def saved(chromium: Chromium, button: str, *paths: Path) -> Path:
    """Press a button and wait for the files; the first of them."""
    chromium.evaluate(f"document.getElementById('{button}').click()")
    end = time.monotonic() + 30
    for path in paths:
        while not path.is_file():
            assert time.monotonic() < end, f"{path.name} was not saved"
            chromium.wait("true")
    return paths[0]
