"""How large the install without torch is, and where the time of segmenting one photograph goes, whole process.

    python benchmarks/start_up.py --image FILE [--pip-options "-c constraints.txt"]

Two fresh virtual environments: leanseg alone, and with OpenVINO. Every run is a new process; the first one of each also
fills the caches of the system and is given apart from the median of the others. Linux.
Writes benchmarks/results/start_up.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np

from harness import Results

ROOT = Path(__file__).parents[1]
ARMS = {"leanseg": ("onnx", str(ROOT)), "leanseg[openvino]": ("openvino", f"{ROOT}[openvino]")}
REPEATS = 9

SIZES = """
import json, os
from importlib.metadata import distributions
sizes = {}
for one in distributions():
    files = [one.locate_file(file) for file in one.files or ()]
    sizes[one.name] = sum(os.path.getsize(file) for file in files if os.path.isfile(file))
print(json.dumps(sizes))
"""

PROBE = """
import json, sys, time
begun = time.perf_counter()
from leanseg.cli import main
from leanseg.workflows import segment, segment_one
from leanseg.inference.predictor import Predictor
seconds = {"import": time.perf_counter() - begun}
def timed(owner, name, key):
    inner = getattr(owner, name)
    def outer(*words, **keywords):
        begun = time.perf_counter()
        try:
            return inner(*words, **keywords)
        finally:
            seconds[key] = seconds.get(key, 0.0) + time.perf_counter() - begun
    setattr(owner, name, outer)
timed(segment.Segment, "_predictor", "load")
timed(segment_one, "open_image", "read")
timed(Predictor, "whole", "compute")
begun = time.perf_counter()
code = main(sys.argv[1:])
rest = time.perf_counter() - begun
seconds["write"] = rest - sum(seconds[key] for key in ("load", "read", "compute"))
print("SECONDS", json.dumps(seconds))
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--pip-options", default="")
    given = parser.parse_args()
    results = Results("start_up")
    results.content["runs"] = []
    for arm, (backend, wanted) in ARMS.items():
        with tempfile.TemporaryDirectory() as folder:
            python = _installed(wanted, Path(folder), given.pip_options.split())
            sizes = json.loads(subprocess.run([python, "-c", SIZES], check=True, capture_output=True, text=True).stdout)
            runs = [_run(python, given.image, backend, Path(folder)) for _ in range(REPEATS + 1)]
        medians = {key: float(np.median([run[key] for run in runs[1:]])) for key in runs[0]}
        results.add({"arm": arm, "seed": 0, "backend": backend, "repeats": REPEATS, "bytes": sizes,
                     "first": runs[0], "median": medians})  # fmt: skip


def _installed(wanted: str, folder: Path, options: list[str]) -> str:
    """The Python of a new environment that holds one distribution and what it needs, pip left out again."""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *options, wanted], check=True)
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip"], check=True)
    return python


def _run(python: str, image: Path, backend: str, folder: Path) -> dict[str, float]:
    """Seconds of one process, its processor time, and its peak memory in bytes."""
    words = ["segment", str(image), "--model", "vessels", "--out", str(folder / "out"), "--backend", backend]
    command = [python, "-c", PROBE, *words, "--threads", "2"]
    # To a file: nobody would empty a pipe while wait4 waits.
    output = folder / "output"
    with output.open("w") as file:
        begun = os.times().elapsed
        process = subprocess.Popen(command, stdout=file)
        _, status, used = os.wait4(process.pid, 0)
        whole = os.times().elapsed - begun
    if status:
        raise RuntimeError(f"leanseg ended with {os.waitstatus_to_exitcode(status)}: {output.read_text()}")
    line = next(line for line in output.read_text().splitlines() if line.startswith("SECONDS"))
    return {"whole": whole, **json.loads(line.partition(" ")[2]), "processor": used.ru_utime + used.ru_stime,
            "peak_bytes": used.ru_maxrss * 1024.0}  # fmt: skip


if __name__ == "__main__":
    main()
