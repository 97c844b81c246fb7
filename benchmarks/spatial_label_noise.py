"""Training on labels that are wrong in patches: lungs and skin lesions, with test labels that are true.

    python benchmarks/spatial_label_noise.py --set jsrt --level moderate --download DIR --work DIR

A seed draws the errors and the weights at once; all arms of a seed see the same errors, also in validation. The
threshold is 0.5: one chosen on wrong labels would be wrong itself. Stated before running: at the moderate and heavy
level a correlation of 0.75 is above none, which is at or above cross-entropy; at the mild level they are level.
The last arm was added when the moderate level on lungs was known: it accepts every correction, of training and
validation labels, that the run before it proposes, and trains anew on them. Stated before it ran: above the first.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import Arm, Results, Trial, run_facts, score, summed, train
from leanseg.bundle import read_bundle
from leanseg.data.folder import open_dataset
from leanseg.workflows.evaluation import evaluate_cases
from leanseg.workflows.review import Review
from small_sets import SETS, label_error_scores, write_set
from untrained import MeanMask

LEVELS = {"mild": (0.3, 0.5), "moderate": (0.5, 0.7), "heavy": (0.7, 0.7)}
"""Share of wrong labels, and by how much of the object."""

OPTIONS: dict[str, dict[str, Any]] = {"jsrt": {"one_image": "True"}, "isic2017": {}}
"""Of a set: chest films were measured while a step had crops of one image alone."""

TRIAL = "threshold 0.5"
RECIPE: dict[str, Any] = {
    "epochs": 12, "epoch_steps": 50, "crop": 96, "batch": 8, "threads": 1, "precision": "32-true",
    "loss": "cross-entropy", "baseline": False,
}  # fmt: skip


def doubting(**keywords: Any) -> dict[str, Any]:
    """Options of the method."""
    return {**RECIPE, "method": "spatial-label-noise", "method_keywords": keywords}


PLAIN = Arm(name="cross-entropy", options=RECIPE)
CLEAN = Arm(name="cross-entropy, true labels", options=RECIPE, note="the ceiling")
TIGHT = Arm(name="correlation 0.75, tight bound", options=doubting())
CORRECTED = Arm(name="cross-entropy, corrected labels", options=RECIPE)
ARMS = [
    PLAIN,
    CLEAN,
    Arm(name="labels smoothed by 0.1", options={**RECIPE, "loss_keywords": {"smoothing": 0.1}}),
    Arm(name="correlation 0, paper's bound", options=doubting(bound="paper", correlation=0.0)),
    Arm(name="correlation 0.75, paper's bound", options=doubting(bound="paper")),
    TIGHT,
    CORRECTED,
]


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--level", choices=LEVELS, required=True)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/spatial_label_noise"))
    given = parser.parse_args()
    share, amount = LEVELS[given.level]
    work = given.work / f"{given.set}-{given.level}"
    results = Results(f"spatial_label_noise_{given.set}_{given.level}")
    for seed in (0, 1, 2):
        noisy, clean = (work / f"{name}-{seed}" for name in ("noisy", "clean"))
        for folder, part in ((noisy, share), (clean, 0.0)):
            if not folder.exists():
                cases = SETS[given.set](given.download, given.work)
                write_set(cases, folder, names=("object",), share=part, amount=amount, seed=seed)
        for plain in ARMS:
            arm = replace(plain, options={**plain.options, **OPTIONS[given.set]})
            if not results.holds(arm.name, seed):
                labels = {CLEAN.name: clean, CORRECTED.name: work / f"corrected-{seed}"}.get(arm.name, noisy)
                if not labels.exists():
                    Review(folder=work / f"{TIGHT.name}-{seed}", worst=len(open_dataset(noisy).cases), out=labels).run()
                results.add(_run(arm, seed, labels, work))
        if not results.holds(MeanMask.name, seed):
            results.add(_trivial(seed, noisy))


def _run(arm: Arm, seed: int, data: Path, work: Path) -> dict[str, Any]:
    run = work / f"{arm.name}-{seed}"
    bundle = read_bundle(train(data, run, arm.options, seed))
    scores = score(bundle, Trial(name=TRIAL, data=data, threshold=0.5))
    record = {"arm": arm.name, "seed": seed, "options": dict(arm.options), "note": arm.note, **run_facts(run)}
    if "method" in arm.options:
        record["label_errors"] = label_error_scores(run, data)
    return {**record, "trials": {TRIAL: scores}}


def _trivial(seed: int, data: Path) -> dict[str, Any]:
    dataset, started = open_dataset(data), time.perf_counter()
    scores = summed(evaluate_cases(dataset, dataset.subset("test"), [MeanMask(dataset)], cl_dice=False))
    return {"arm": MeanMask.name, "seed": seed, "options": {}, "note": "", "parameters": 0,
            "seconds": time.perf_counter() - started, "trials": {TRIAL: scores}}  # fmt: skip


if __name__ == "__main__":
    main()
