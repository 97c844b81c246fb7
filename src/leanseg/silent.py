"""Libraries that report their use to their makers, loaded so that they do not: nothing leaves the machine."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

from leanseg.errors import require


def onnxruntime() -> ModuleType:
    """ONNX Runtime without its reports.

    Since 1.29 it would keep an identifier of the machine and a queue of events in the home folder and upload them. It
    asks once, when it is first loaded, whether it may: a program that imports it before leanseg answers for itself.

    Example:
        >>> "CPUExecutionProvider" in onnxruntime().get_available_providers()
        True
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    module = import_module("onnxruntime")
    # On Windows the variable is not read everywhere.
    module.disable_telemetry_events()
    return module


def openvino() -> ModuleType:
    """OpenVINO without its reports: importing it would otherwise send one.

    Raises:
        MissingExtra: it is not installed.
    """
    loaded = sys.modules.get("openvino")
    if loaded is not None:
        return loaded
    reporter = "openvino_telemetry"
    known = sys.modules.get(reporter)
    # None makes its import fail, upon which OpenVINO takes a stub of its own that sends nothing.
    sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        return require("openvino", extra="openvino")
    finally:
        del sys.modules[reporter]
        if known is not None:
            sys.modules[reporter] = known
