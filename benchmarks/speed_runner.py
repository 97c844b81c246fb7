"""One network on one number of threads, in a process of its own; ``speed.py`` starts it.

    python benchmarks/speed_runner.py ARM THREADS FOLDER REPEATS        (of 256 pixels; fewer of larger images)

Also runs in an environment of the peers, without leanseg. FOLDER holds graphs, weights and image-SIDE.npy. Prints one
line of JSON for each side: seconds, processor seconds, and the peak memory so far in bytes.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[Any], Any]

EXACT, PLAIN = "torch, as trained", "ONNX Runtime, plain export"
"""What masks and times are compared with."""

ROOFLINE = "roofline"
"""The record of what the machine can do."""

UNETS = {"U-Net, 1.9 M": [16, 32, 64, 128, 256], "U-Net, 31 M": [64, 128, 256, 512, 1024]}


def main() -> None:
    arm, threads, folder, repeats = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    run = build(arm, threads, folder)
    for file in sorted(folder.glob("image-*.npy"), key=lambda file: int(file.stem.partition("-")[2])):
        pixels = np.load(file)
        answer = np.asarray(run(pixels), np.float32)
        seconds, processor = [], []
        for _ in range(max(1, repeats * 256 // pixels.shape[-1])):
            begun, used = time.perf_counter(), time.process_time()
            run(pixels)
            seconds.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
        row = {"side": pixels.shape[-1], "seconds": seconds, "processor": processor, "peak_bytes": _peak()}
        if answer.shape[1] == 1:
            np.save(folder / f"answer-{pixels.shape[-1]}.npy", answer)
        print("ROW", json.dumps(row), flush=True)


def build(arm: str, threads: int, folder: Path) -> Run:
    """A function from normalised pixels (1, 3, H, W) to logits."""
    if arm.startswith("ONNX Runtime"):
        return _onnx(folder / ("model-plain.onnx" if "plain" in arm else "model.onnx"), threads)
    if arm.startswith("OpenVINO"):
        backends = importlib.import_module("leanseg.inference.backends")
        file = "model-int8.onnx" if "int8" in arm else "model.onnx"
        return backends.OpenVinoBackend(folder / file, threads=threads, half="bf16" in arm).run
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    net = _net(arm, folder, torch)
    if "compiled" in arm:
        net = torch.compile(net)
    last = torch.channels_last if "channels last" in arm or "bf16" in arm or not arm.startswith("torch") else None

    def run(pixels: Any) -> Any:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in arm):
            batch = torch.from_numpy(pixels)
            answer = net(batch if last is None else batch.to(memory_format=last))
            return (answer[0] if isinstance(answer, list | tuple) else answer).float().numpy()

    if last is not None:
        net.to(memory_format=last)
    return run


def _peak() -> int:
    """Of this process alone; getrusage would count what the process that started it held, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def _onnx(path: Path, threads: int) -> Run:
    onnxruntime = importlib.import_module("leanseg.silent").onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0]


def _net(arm: str, folder: Path, torch: Any) -> Any:
    if arm.startswith("torch"):
        nets = importlib.import_module("leanseg.nets")
        net = nets.create("mini-net").eval()
        net.load_state_dict(importlib.import_module("safetensors.torch").load_file(folder / "model.safetensors"))
        return net if "as trained" in arm else importlib.import_module("leanseg.nets.folding").folded(net)
    if arm in UNETS:
        return importlib.import_module("leanseg.nets").create("unet", widths=UNETS[arm]).eval()
    return _peer(arm, torch).eval()


def _peer(arm: str, torch: Any) -> Any:
    if arm.startswith("nnU-Net"):
        unet = importlib.import_module("dynamic_network_architectures.architectures.unet")
        return unet.PlainConvUNet(
            3, 8, [32, 64, 128, 256, 512, 512, 512, 512], torch.nn.Conv2d, 3, [1] + [2] * 7, [2] * 8, 2, [2] * 7,
            conv_bias=True, norm_op=torch.nn.InstanceNorm2d, norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True},
        )  # fmt: skip
    if arm.startswith("MONAI"):
        return importlib.import_module("monai.networks.nets").BasicUNet(2, 3, 2)
    smp = importlib.import_module("segmentation_models_pytorch")
    return smp.Unet(
        {"smp U-Net, ResNet-34": "resnet34", "smp U-Net, MobileNetV2": "mobilenet_v2"}[arm], encoder_weights=None
    )


if __name__ == "__main__":
    main()
