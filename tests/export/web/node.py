"""Run the page's own JavaScript in Node and get numpy arrays back, so that tests compare it with Python."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(str(resources.files("leanseg"))) / "export" / "web"

KINDS = {
    "Uint8Array": np.uint8,
    "Uint16Array": np.uint16,
    "Int16Array": np.int16,
    "Int32Array": np.int32,
    "Float32Array": np.float32,
    "Float64Array": np.float64,
}

RUNNER = """
import { readFileSync, writeFileSync } from "node:fs";
const kinds = { Uint8Array, Uint16Array, Int16Array, Int32Array, Float32Array, Float64Array };
const [given, wanted, root] = process.argv.slice(2);
const revive = (_, value) => {
  if (!value?.$array) return value;
  const bytes = Uint8Array.from(Buffer.from(value.data, "base64"));
  return new kinds[value.$array](bytes.buffer);
};
const spell = (_, value) => {
  if (!ArrayBuffer.isView(value)) return value;
  const data = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  return { $array: value.constructor.name, data };
};
const input = JSON.parse(readFileSync(given), revive);
const load = (module) => import(`file://${root}/${module}`);
const run = async () => {
  /* BODY */
};
writeFileSync(wanted, JSON.stringify((await run()) ?? null, spell));
"""


def run(body: str, folder: Path, **inputs: object) -> Any:
    """Run statements of JavaScript and give what they return.

    Args:
        body: sees ``input`` (the inputs) and ``load`` (imports a module of the page), and returns a value.
        folder: where temporary files go.
        inputs: plain values and arrays.

    Raises:
        AssertionError: the statements throw; the message is theirs.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    script, given, wanted = (folder / name for name in ("run.mjs", "input.json", "output.json"))
    script.write_text(RUNNER.replace("/* BODY */", body), encoding="utf-8")
    given.write_text(json.dumps(inputs, default=_spell), encoding="utf-8")
    done = subprocess.run(
        [node, str(script), str(given), str(wanted), str(PAGE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(wanted.read_text(encoding="utf-8"), object_hook=_revive)


def _spell(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        name = next(name for name, kind in KINDS.items() if np.dtype(kind) == value.dtype)
        return {"$array": name, "data": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()}
    if isinstance(value, bytes):
        return _spell(np.frombuffer(value, np.uint8))
    return value.item()


def _revive(value: dict[str, Any]) -> Any:
    if "$array" not in value:
        return value
    return np.frombuffer(base64.b64decode(value["data"]), KINDS[value["$array"]])
