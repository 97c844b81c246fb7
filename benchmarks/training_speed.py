"""How fast a training goes, beside a plain loop in torch on the same network, and beside nnU-Net on the same images.

    python benchmarks/training_speed.py --download DRIVE [--peers PEERS/bin/python]

Mini-Net on crops of 256 pixels, four in a step, one thread. The plain loop runs twice: with the network as leanseg
trains it, whose blocks are merged exactly while they learn, and layer by layer, channels last. Times are those of a
further step: what a training needs to begin and end is left out by comparing two lengths. Rounds take turns; the
fastest of each counts. nnU-Net trains its own 2-D network with its own patches and batches, so pixels a second are
compared. Linux.
Writes benchmarks/results/training_speed.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn
from torch.nn import functional as F

from harness import Results
from leanseg import nets
from leanseg.data.dataset import Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.nets import mini_net
from leanseg.workflows.recipe import Recipe
from leanseg.workflows.train import Train

CROP, BATCH, ROUNDS, STEPS = 256, 4, 2, 12
LENGTHS = (12, 60)
"""Steps of two trainings whose times are subtracted."""

PEER_STEPS = 2
"""The first one warms up."""

PEER = """
import json, os, sys, time
os.environ["nnUNet_compile"] = "f"
import torch
torch.set_num_threads(1)
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

class Short(nnUNetTrainer):
    def __init__(self, plans: dict, configuration: str, fold: int, dataset_json: dict,
                 device: torch.device = torch.device("cpu")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_iterations_per_epoch, self.num_val_iterations_per_epoch, self.num_epochs = 100, 1, 1

if __name__ == "__main__":
    extract_fingerprints([1], num_processes=1)
    plan_experiments([1])
    preprocess([1], configurations=["2d"], num_processes=[1])
    folder = os.path.join(os.environ["nnUNet_preprocessed"], "Dataset001_DRIVE")
    plans, dataset = (json.load(open(os.path.join(folder, name))) for name in ("nnUNetPlans.json", "dataset.json"))
    plans["continue_training"] = False
    trainer = Short(plans, "2d", "all", dataset, torch.device("cpu"))
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    seconds = []
    for _ in range(int(sys.argv[1])):
        begun = time.perf_counter()
        trainer.train_step(next(trainer.dataloader_train))
        seconds.append(time.perf_counter() - begun)
    settings = plans["configurations"]["2d"]
    answer = {"seconds": seconds, "batch": settings["batch_size"], "patch": settings["patch_size"],
              "parameters": sum(p.numel() for p in trainer.network.parameters())}
    print("ANSWER", json.dumps(answer), flush=True)
    os._exit(0)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        public_set("drive").convert(given.download, work / "drive")
        dataset = open_dataset(work / "drive")
        ways = _ways(dataset, work)
        seconds = {way: min(times) for way, times in _in_turns(ways).items()}
        peer = _peer(given.peers, dataset, work) if given.peers else None
    results = Results("training_speed")
    results.content["runs"] = []
    results.add({"arm": "training", "seed": 0, "crop": CROP, "batch": BATCH, "rounds": ROUNDS, "seconds": seconds,
                 "peer": peer})  # fmt: skip


def _in_turns(ways: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _, (way, call) in itertools.product(range(ROUNDS), ways.items()):
        found[way].append(call())
        print(f"{way}: {found[way][-1]:.4f} s", flush=True)
    return found


def _ways(dataset: Dataset, work: Path) -> dict[str, Callable[[], float]]:
    """Seconds of a step, in several ways."""
    cases = dataset.subset("train")
    options = Train(data=dataset.root, out=work / "unused", crop=CROP, batch=BATCH, epoch_steps=STEPS, threads=1)
    recipe = Recipe(options, dataset, cases)
    samples = recipe.samples(cases)
    plan = recipe.plan(samples, work / "plan.json")
    (stage,) = recipe.method(plan, 0, name="supervised", keywords="{}").stages(list(samples.values()), [])
    module: Any = stage.module
    optimiser = module.configure_optimizers()["optimizer"]
    batches = itertools.chain.from_iterable(itertools.repeat(stage.train))
    fixed = next(batches)

    def step(batch: Any) -> None:
        optimiser.zero_grad()
        module.training_loss(batch).backward()
        optimiser.step()

    images = [(s.image.float(), s.target.float()) for s in samples.values()]
    return {
        "leanseg train": lambda: _marginal(dataset.root, work),
        "leanseg: crops": lambda: _each(lambda: next(batches)),
        "leanseg: step": lambda: _each(lambda: step(fixed)),
        "plain loop": _plain_loop(images),
        "plain loop, layer by layer": _plain_loop(images, merged=False),
    }


def _each(call: Callable[[], Any]) -> float:
    call()
    begun = time.perf_counter()
    for _ in range(STEPS):
        call()
    return (time.perf_counter() - begun) / STEPS


def _marginal(data: Path, work: Path) -> float:
    """Of `leanseg train` itself, from the seconds between its first and last steps of an epoch of two lengths."""
    times = []
    for steps in LENGTHS:
        out = work / f"run-{len(list(work.glob('run-*')))}"
        words = [sys.executable, "-m", "leanseg.cli", "train", str(data), "--out", str(out), "--epochs", "1"]
        words += ["--crop", str(CROP), "--batch", str(BATCH), "--epoch-steps", str(steps), "--threads", "1"]
        begun = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return (times[1] - times[0]) / (LENGTHS[1] - LENGTHS[0])


def _plain_loop(images: list[tuple[torch.Tensor, torch.Tensor]], *, merged: bool = True) -> Callable[[], float]:
    """As one writes it at first: random crops and flips, cross-entropy and Dice, AdamW."""
    order = torch.contiguous_format if merged else torch.channels_last
    net = nets.create("mini-net").train().to(memory_format=order)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    random = np.random.default_rng(0)

    def step() -> None:
        pairs = [_crop(*images[random.integers(len(images))], random) for _ in range(BATCH)]
        pixels, truth = (torch.stack(part) for part in zip(*pairs, strict=True))
        logits = net(pixels.contiguous(memory_format=order))
        share = logits.sigmoid()
        dice = 1 - (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)
        loss = F.binary_cross_entropy_with_logits(logits, truth) + dice
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()

    def call() -> float:
        with mock.patch.object(mini_net, "folds_while_training", lambda _: merged):
            return _each(step)

    return call


def _crop(image: torch.Tensor, target: torch.Tensor, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    top, left = (int(random.integers(size - CROP + 1)) for size in image.shape[-2:])
    place = (..., slice(top, top + CROP), slice(left, left + CROP))
    axes = [axis for axis in (-2, -1) if random.random() < 0.5]
    return image[place].flip(axes), target.reshape(1, *target.shape[-2:])[place].flip(axes)


def _peer(python: Path, dataset: Dataset, work: Path) -> dict[str, Any]:
    """nnU-Net's own planning and trainer on the same training images."""
    raw = work / "raw" / "Dataset001_DRIVE"
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True)
    cases = dataset.subset("train")
    for case in cases:
        pixels, labels = dataset.read_image(case).pixels, dataset.read_labels(case)
        Pillow.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
            raw / "imagesTr" / f"{case.stem}_0000.png"
        )
        Pillow.fromarray((labels > 0).astype(np.uint8)).save(raw / "labelsTr" / f"{case.stem}.png")
    facts = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "vessel": 1},
             "numTraining": len(cases), "file_ending": ".png"}  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(facts))
    (work / "peer.py").write_text(PEER)
    folders = {
        name: str(work / name.partition("_")[2]) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    }
    environment = {**os.environ, **folders, "nnUNet_n_proc_DA": "1", "OMP_NUM_THREADS": "1"}
    words = [str(python), str(work / "peer.py"), str(PEER_STEPS)]
    log = work / "peer.log"
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment, start_new_session=True)
        process.wait()
        # Its processes that make crops would live on.
        os.killpg(process.pid, signal.SIGKILL)
    answers = [line for line in log.read_text().splitlines() if line.startswith("ANSWER")]
    if not answers:
        raise RuntimeError(f"nnU-Net did not train:\n{log.read_text()[-2000:]}")
    found: dict[str, Any] = json.loads(answers[0].partition(" ")[2])
    return found


if __name__ == "__main__":
    main()
