"""Loading the libraries that compute leaves nothing in the home folder and nothing to send."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LOAD = """
import sys
from leanseg import silent
module = silent.{library}()
print(*[name for name in sys.modules if name.startswith("openvino_telemetry")])
"""


def load(library: str, home: Path) -> str:
    """Load a library in a fresh process as a user would, and not as a server of tests, where it might keep quiet."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    command = [sys.executable, "-c", LOAD.format(library=library)]
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_onnx_runtime(tmp_path: Path) -> None:
    load("onnxruntime", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'leanseg[openvino]'")
def test_openvino(tmp_path: Path) -> None:
    assert load("openvino", tmp_path).strip() == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'leanseg[openvino]'")
def test_what_the_caller_had_loaded_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from leanseg import silent

    known = object()
    monkeypatch.setitem(sys.modules, "openvino_telemetry", known)
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.setattr(silent, "require", lambda name, extra: sys.modules["openvino_telemetry"])
    assert silent.openvino() is None
    assert sys.modules["openvino_telemetry"] is known
