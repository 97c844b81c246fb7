"""A headless Chromium that is driven through its own pipe, without any further library."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

fcntl = pytest.importorskip("fcntl", reason="Chromium is driven through pipes as POSIX has them")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page, which notes every request that page and workers make.

    Args:
        profile: an empty folder for the browser's own files.
        width, height: of the window, in CSS pixels.
        phone: a touch screen with two device pixels per CSS pixel.
    """

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 800, phone: bool = False) -> None:
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if program is None:
            pytest.skip("Chromium is not installed")
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._count = 0
        self._buffer = b""
        self._workers: list[str] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._start([program, *FLAGS, f"--user-data-dir={profile}", "about:blank"])
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._page = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._watch(self._page)
        self.call("Page.enable")
        self.resize(width, height, phone=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the Chrome DevTools Protocol to the page."""
        return self._send(method, self._page, **params)

    def resize(self, width: int, height: int, *, phone: bool) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: str) -> None:
        """Colours that the system prefers: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Open a page and wait until its files are there."""
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({url!r}) && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page; promises are waited for."""
        return self._evaluate(expression, self._page)

    def evaluate_in_worker(self, expression: str) -> Any:
        """The value of JavaScript in the first worker that the page started."""
        return self._evaluate(expression, self._workers[0])

    def _evaluate(self, expression: str, session: str) -> Any:
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self._send("Runtime.evaluate", session, expression=expression, **options)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until JavaScript is true, for a minute at most."""
        end = time.monotonic() + 60
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition}: {self.evaluate('document.body.innerText')} {self.problems}"
            self._listen(0.05)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in an input."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", objectId=node, files=[str(file) for file in files])

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        code = {"Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Enter": 13, "Escape": 27}.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code)

    def download_to(self, folder: Path) -> None:
        self._send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _start(self, command: list[str]) -> None:
        (their_in, self._to), (self._from, their_out) = os.pipe(), os.pipe()
        # Chromium reads from descriptor 3 and writes to 4; copies far away cannot be in each other's way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (their_in, their_out)]

        def arrange() -> None:
            for end, number in zip(ends, (3, 4), strict=True):
                os.dup2(end, number)

        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, preexec_fn=arrange, close_fds=False, **quiet)
        for end in (their_in, their_out, *ends):
            os.close(end)

    def _watch(self, session: str) -> None:
        """Note requests and errors of a page or a worker, and of workers that it starts; waits for no answer."""
        for method in ("Network.enable", "Runtime.enable", "Log.enable"):
            self._post(method, session)
        options = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self._post("Target.setAutoAttach", session, **options)

    def _post(self, method: str, session: str | None, **params: Any) -> int:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._count

    def _send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = self._post(method, session, **params)
        end = time.monotonic() + 60
        while number not in self._answers:
            assert time.monotonic() < end, f"Chromium does not answer {method}"
            self._listen(1.0)
        answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer)
        return dict(answer["result"])

    def _listen(self, seconds: float) -> None:
        """Take in what comes within some time."""
        if not select.select([self._from], [], [], seconds)[0]:
            return
        data = os.read(self._from, 2**20)
        assert data, "Chromium has ended"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif method == "Target.attachedToTarget" and params["targetInfo"]["type"] != "page":
            self._workers.append(params["sessionId"])
            self._watch(params["sessionId"])
            self._post("Runtime.runIfWaitingForDebugger", params["sessionId"])
