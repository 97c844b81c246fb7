"""Runs arms times seeds through leanseg's own commands and keeps every score; what the JSON holds is not run again."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leanseg import __version__
from leanseg.bundle import Bundle, read_bundle
from leanseg.data.folder import open_dataset
from leanseg.images.atomic import replacing
from leanseg.inference.predictor import Predictor
from leanseg.workflows.contestants import Model
from leanseg.workflows.evaluation import Evaluation, evaluate_cases

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train.

    Args:
        name: as in the tables.
        options: of ``leanseg train``, by name.
        seeds: one run each.
        note: what differs from the other arms, for instance a shorter training.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One way to use a trained model on one data set.

    Args:
        name: as in the tables.
        data: a prepared data set.
        split: "train", "val", "test" or "all".
        flips: average over mirrored images.
        threshold: instead of the one chosen on validation images.
        preprocessing: changes of the model's preprocessing, for instance {"diameter": 540}.
        cl_dice: score centre lines as well, which pictures have.
    """

    name: str
    data: Path
    split: str = "test"
    flips: bool = False
    threshold: float | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    cl_dice: bool = True


class Results:
    """``benchmarks/results/NAME.json``: machine, and one record for each arm and seed.

    Args:
        name: of the comparison.
    """

    def __init__(self, name: str) -> None:
        self.file = RESULTS / f"{name}.json"
        self.content: dict[str, Any] = {"name": name, "runs": []}
        if self.file.is_file():
            self.content = json.loads(self.file.read_text(encoding="utf-8"))

    def holds(self, arm: str, seed: int, **more: Any) -> bool:
        """Whether a run is there already."""
        wanted = {"arm": arm, "seed": seed, **more}
        return any(wanted.items() <= run.items() for run in self.content["runs"])

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a run at once."""
        self.content["runs"].append({**record, "commit": commit(), "machine": machine(), "when": now()})
        self.save()

    def save(self) -> None:
        """Write what is there."""
        with replacing(self.file) as part:
            part.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")


def train(data: Path, out: Path, options: Mapping[str, Any], seed: int) -> Path:
    """Run ``leanseg train``, or go on where an earlier call stopped; gives the model's folder.

    Raises:
        RuntimeError: the folder holds a run with other options.
    """
    asked = json.dumps({"seed": seed, "options": dict(options)}, indent=1, sort_keys=True)
    note = out.with_name(f"{out.name}.json")
    if out.is_dir() and note.is_file() and note.read_text(encoding="utf-8") != asked:
        raise RuntimeError(f"{out} was run with other options, see {note}: take it away")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(asked, encoding="utf-8")
    if not (out / "report.html").is_file():
        words = [sys.executable, "-m", "leanseg.cli", "train", str(data), "--out", str(out)]
        if (out / "config.json").is_file():
            words.append("--resume")
        else:
            words += ["--seed", str(seed), *_flags(options)]
        subprocess.run(words, check=True)
    return out / "model"


def run_arms(name: str, data: Path, arms: list[Arm], trials: list[Trial], *, work: Path) -> Results:
    """Train every arm with every seed and score it in every trial; seeds go round, so that arms stay comparable."""
    results = Results(name)
    for seed in sorted({seed for arm in arms for seed in arm.seeds}):
        for arm in arms:
            if seed not in arm.seeds or results.holds(arm.name, seed):
                continue
            run = work / f"{arm.name}-{seed}"
            bundle = read_bundle(train(data, run, arm.options, seed))
            scores = {trial.name: score(bundle, trial) for trial in trials}
            results.add({"arm": arm.name, "seed": seed, "options": dict(arm.options), "note": arm.note,
                         **run_facts(run), "trials": scores})  # fmt: skip
    return results


def score(bundle: Bundle, trial: Trial) -> dict[str, Any]:
    """Scores of every image and their means."""
    dataset = open_dataset(trial.data)
    cases = dataset.cases if trial.split == "all" else dataset.subset(trial.split)
    if trial.threshold is not None:
        bundle = replace(bundle, threshold=(trial.threshold,) * len(bundle.classes.names))
    if trial.preprocessing:
        bundle = replace(bundle, preprocessing=replace(bundle.preprocessing, **trial.preprocessing))
    predictor = Predictor(bundle=bundle, flips=trial.flips)
    model = Model(name=bundle.name, predictor=predictor, classes=bundle.classes, wanted=dataset.classes)
    result = evaluate_cases(dataset, cases, [model], cl_dice=trial.cl_dice)
    return {**summed(result), "threshold": list(bundle.threshold)}


def summed(result: Evaluation) -> dict[str, Any]:
    """Every image's scores, and the pooled Dice.

    Raises:
        RuntimeError: some image could not be scored.
    """
    if result.failed:
        raise RuntimeError(f"not scored: {result.failed}")
    rows = [{"image": row.image, "class": row.name, "patient": row.patient, **row.scores} for row in result.rows]
    pooled = sum((row.counts for row in result.rows[1:]), result.rows[0].counts)
    return {"images": rows, "pooled_dice": pooled.dice}


def cost_key(runs: Iterable[Mapping[str, Any]]) -> str:
    """The time by which runs are compared: the processor's where all have it, since other work lengthens the other."""
    return "processor_seconds" if all("processor_seconds" in run for run in runs) else "seconds"


def run_facts(run: Path) -> dict[str, Any]:
    """Time, memory and size of a finished training."""
    facts: dict[str, Any] = json.loads((run / "facts.json").read_text(encoding="utf-8"))
    return facts


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    count = subprocess.run([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"],
                           capture_output=True, text=True, check=False).stdout.strip()  # fmt: skip
    return {"cpu": model, "cores": count, "python": platform.python_version(), "leanseg": __version__}


def commit() -> str:
    """The commit that the figures were made with."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=RESULTS).stdout.strip()


def now() -> str:
    """Date of a record."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def _flags(options: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, json.dumps(value) if isinstance(value, dict) else str(value)]
    return words
