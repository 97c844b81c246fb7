"""What the networks of ``med2d_segnet.py`` cost beside what they score: parameters, time, memory, Dice of each set.

    python benchmarks/pareto.py

Time of one image of 256 x 256 pixels on one thread, folded in ONNX Runtime as models are used, and as it was trained in
torch. It is processor time, which other work on the machine changes little, and the networks take turns. Memory is what
a fresh process needs to load the graph and segment an image, beyond the libraries (Linux). Scores are those that
``benchmarks/results`` holds; sets that were not run are left out. A U-Net of the usual 31 million parameters is there
for its cost alone.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import RESULTS, Results
from leanseg import nets
from leanseg.export.onnx import export_onnx
from leanseg.images.atomic import replacing
from leanseg.inference.backends import OnnxBackend
from med2d_segnet import INSIDE, NETS, SETS
from pareto_chart import picture
from tables import dice_of

SIDE, REPEATS = 256, 21
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "med2d-segnet-pareto.svg"
USUAL = {"U-Net, usual": {"net": "unet", "net_keywords": {"widths": [64, 128, 256, 512, 1024]}}}


def main() -> None:
    """Measure, gather, write the results and the picture."""
    found, scores = measured({**NETS, **USUAL}), dice()
    results = Results("pareto")
    results.content["runs"] = []
    results.add({"arm": "cost", "seed": 0, "side": SIDE, "repeats": REPEATS, "nets": found, "sets": scores})
    with replacing(PICTURE) as part:
        part.write_text(picture(found, scores) + "\n", encoding="utf-8")


def measured(choices: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Parameters, milliseconds and bytes of each network, with random weights."""
    torch.set_num_threads(1)
    modules = {name: nets.create(one["net"], **one.get("net_keywords", {})).eval() for name, one in choices.items()}
    pixels = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), np.float32)
    ways: dict[tuple[str, str], Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{number}.onnx" for number, name in enumerate(modules)}
        for name, file in files.items():
            file.write_bytes(export_onnx(modules[name], channels=3))
            ways[name, "milliseconds"] = partial(OnnxBackend(file, threads=1).run, pixels)
            ways[name, "unfolded milliseconds"] = partial(_in_torch, modules[name], pixels)
        with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            memory = pool.map(peak_memory, files.values(), chunksize=1)
    times = _medians(ways)
    return [
        {"name": name, "parameters": sum(p.numel() for p in module.parameters()), "bytes": needed}
        | {key: value for (other, key), value in times.items() if other == name}
        for (name, module), needed in zip(modules.items(), memory, strict=True)
    ]


def _in_torch(module: torch.nn.Module, pixels: Any) -> Any:
    with torch.inference_mode():
        image = torch.from_numpy(pixels).to(memory_format=torch.channels_last)
        return module.to(memory_format=torch.channels_last)(image)  # type: ignore[call-overload]


def _medians(ways: Mapping[tuple[str, str], Callable[[], Any]]) -> dict[tuple[str, str], float]:
    """Milliseconds of processor time of each way, taken in turns; the first turn is not counted."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(REPEATS + 1):
        for way, run in ways.items():
            begun = time.process_time()
            run()
            times[way].append(1000 * (time.process_time() - begun))
    return {way: float(np.median(some[1:])) for way, some in times.items()}


def peak_memory(file: Path) -> int:
    """Bytes that this process, which has done nothing yet, needs to load a graph and segment one image."""
    before = _status("VmRSS")
    OnnxBackend(file, threads=1).run(np.zeros((1, 3, SIDE, SIDE), np.float32))
    return _status("VmHWM") - before


def _status(entry: str) -> int:
    found = re.search(rf"{entry}:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return 1024 * int(found[1])


def dice() -> dict[str, dict[str, list[float]]]:
    """For each set that was run, and each network trained to the end: mean Dice and its interval."""
    scores: dict[str, dict[str, list[float]]] = {}
    for name in SETS:
        file = RESULTS / f"med2d_segnet_{name}.json"
        runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.is_file() else []
        some = {net: [run for run in runs if run["arm"] == net] for net in NETS}
        if any(some.values()):
            scores[name] = {net: dice_of(found, INSIDE) for net, found in some.items() if found}
    return scores


if __name__ == "__main__":
    main()
