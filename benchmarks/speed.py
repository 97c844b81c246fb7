"""How fast Mini-Net answers, beside larger networks and other tools, and how far that is from what the machine can do.

    python benchmarks/speed.py --image PHOTOGRAPH [--peers PEERS/bin/python] [--work DIR]

Networks alone, without reading and writing: one image of 256, 512 and 1024 pixels, one and two threads. Every arm is a
process of its own; rounds go round the arms, so that other load meets all, and the fastest call of an arm counts. The
roofline is measured in the same run: the rate of a large matrix product in torch, in float32 and bfloat16, and the rate
of copying memory. Masks are those of the bundled model `vessels`, compared with torch's. PEERS is an environment with
nnU-Net, MONAI and segmentation-models-pytorch. Linux. Writes benchmarks/results/speed.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from harness import Results
from leanseg import nets
from leanseg.bundle import Bundle, read_bundle
from leanseg.images.image import Image
from leanseg.images.resample import whole
from speed_runner import EXACT, PLAIN, ROOFLINE, UNETS

SIDES, THREADS, ROUNDS = (256, 512, 1024), (1, 2), 2
OURS = (
    EXACT, "torch, folded", "torch, folded, channels last", "torch, folded, bf16", "torch, folded, compiled", PLAIN,
    "ONNX Runtime, folded", "OpenVINO, f32", "OpenVINO, bf16", "OpenVINO, int8", *UNETS,
)  # fmt: skip
PEERS = ("nnU-Net, 2-D default", "MONAI BasicUNet", "smp U-Net, ResNet-34", "smp U-Net, MobileNetV2")
SLOW = {*UNETS, *PEERS}
REPEATS = {False: 12, True: 1}
"""Calls after the first one at 256 pixels, of small and of large networks; fewer of larger images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    given = parser.parse_args()
    bundle = read_bundle("vessels")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(bundle, given.image, folder)
        # Of the logit, where the mask begins.
        limit = float(np.log(bundle.threshold[0] / (1 - bundle.threshold[0]))) * bundle.parts[0].temperature[0]
        arms = dict.fromkeys(OURS, sys.executable) | (dict.fromkeys(PEERS, str(given.peers)) if given.peers else {})
        results = Results("speed")
        for turn, threads in itertools.product(range(ROUNDS), THREADS):
            if not results.holds(ROOFLINE, turn, threads=threads):
                results.add({"arm": ROOFLINE, "seed": turn, "threads": threads, **_roofline(threads), **_work()})
            for arm, python in arms.items():
                if not results.holds(arm, turn, threads=threads):
                    print(f"round {turn + 1}, {threads} threads: {arm}", flush=True)
                    rows = _run(arm, python, threads, folder, limit=limit if arm in OURS[: -len(UNETS)] else None)
                    results.add({"arm": arm, "seed": turn, "threads": threads, "rows": rows})


def _prepare(bundle: Bundle, photograph: Path, folder: Path) -> None:
    """Weights, graphs and normalised images."""
    for file in ("model.onnx", "model.safetensors"):
        (folder / file).write_bytes(bundle.path(file).read_bytes())
    net = nets.create("mini-net").eval()
    from safetensors.torch import load_file

    net.load_state_dict(load_file(folder / "model.safetensors"))
    example = torch.zeros(1, 3, 256, 256)
    axes = {"x": {2: "h", 3: "w"}}
    torch.onnx.export(net, (example,), folder / "model-plain.onnx", dynamo=False, input_names=["x"], dynamic_axes=axes)
    for side in SIDES:
        picture = Pillow.open(photograph).convert("RGB").resize((side, side), Pillow.Resampling.LANCZOS)
        settings = replace(bundle.preprocessing, diameter=None)
        prepared = settings.prepare(Image(np.asarray(picture).transpose(2, 0, 1)))
        pixels = np.ascontiguousarray(prepared.read(whole((side, side)))[None])
        np.save(folder / f"image-{side}.npy", pixels)
        with torch.inference_mode():
            np.save(folder / f"exact-{side}.npy", net(torch.from_numpy(pixels)).numpy())
    _quantise(folder)


def _quantise(folder: Path) -> None:
    """Eight bits for weights and activations, ranges from the images themselves: the kindest case."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = [np.load(folder / f"image-{side}.npy") for side in SIDES]

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            pixels = next(self.left, None)
            return None if pixels is None else {name: pixels}

    import onnx

    name = onnx.load(folder / "model.onnx").graph.input[0].name
    quant_pre_process(str(folder / "model.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True)
    quantization.quantize_static(str(folder / "ready.onnx"), str(folder / "model-int8.onnx"), Images(),
                                 per_channel=True, quant_format=quantization.QuantFormat.QDQ)  # fmt: skip


def _run(arm: str, python: str, threads: int, folder: Path, *, limit: float | None) -> list[dict[str, Any]]:
    """One row for each side; with the share of pixels that get the same mask as by the network as it was trained."""
    script = str(Path(__file__).with_name("speed_runner.py"))
    words = [python, script, arm, str(threads), str(folder), str(REPEATS[arm in SLOW])]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    rows = [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("ROW")]
    for row in rows if limit is not None else []:
        exact, found = (np.load(folder / f"{name}-{row['side']}.npy") for name in ("exact", "answer"))
        row["agreement"] = float(((exact > limit) == (found > limit)).mean())
    return rows


def _roofline(threads: int) -> dict[str, float]:
    """Operations and bytes a second that this machine reaches just now."""
    torch.set_num_threads(threads)
    size = 2048
    rates = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(size, size).to(kind) for _ in range(2))
        rates[str(kind).removeprefix("torch.")] = 2 * size**3 / _fastest(lambda a=a, b=b: a @ b)
    source, target = torch.randn(2**26), torch.empty(2**26)
    copied = 2 * source.numel() * 4 / _fastest(lambda: target.copy_(source))
    return {**rates, "copied": copied}


def _fastest(call: Callable[[], Any]) -> float:
    call()
    times = []
    for _ in range(10):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times)


def _work() -> dict[str, float]:
    """Operations of the folded network for each pixel, and bytes if every layer reads and writes memory once."""
    from leanseg.nets.folding import folded

    net = folded(nets.create("mini-net").eval())
    side, counts = 256, {"operations": 0.0, "bytes": 0.0}

    def count(layer: Any, given: Any, answer: Any) -> None:
        # A transposed convolution does its work for every input pixel, the other one for every output pixel.
        places = (given[0] if isinstance(layer, torch.nn.ConvTranspose2d) else answer)[0, 0].numel()
        counts["operations"] += 2.0 * layer.weight.numel() * places
        counts["bytes"] += 4.0 * (given[0].numel() + answer.numel())

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        net(torch.zeros(1, 3, side, side))
    return {name: value / side**2 for name, value in counts.items()}


if __name__ == "__main__":
    main()
