"""Few labels after contrastive pre-training: chest films and skin lesions, with 4, 8 or 10 % of the images labelled.

    python benchmarks/supercl.py --set jsrt --percent 4 --download DIR --work DIR

All arms have the same steps in total and, for a seed, the same labelled images; the unlabelled images are the other
training images. *Half the steps* is what the arms that pre-train have for labels. What takes the method apart runs with
4 % alone. Stated before running: with 4 % the full method is a few points above half the steps, level with all steps,
and level with grid cells.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from details import CURVE
from harness import Arm, Trial, run_arms
from leanseg.data.folder import open_dataset
from leanseg.workflows.fitting import METRICS
from small_sets import SETS, write_set

NAMES = {"jsrt": ("lungs", "heart"), "isic2017": ("lesion",)}
FEWEST = 4
"""Percent of the training images that have labels."""

RECIPE: dict[str, Any] = {
    "epochs": 10, "epoch_steps": 100, "crop": 128, "batch": 8, "threads": 1, "precision": "bf16-mixed",
    "net": "unet", "net_keywords": {"widths": [8, 16, 32, 64]}, "baseline": False,
}  # fmt: skip


def pretrained(**keywords: Any) -> dict[str, Any]:
    """Options of the method."""
    return {**RECIPE, "method": "supercl", "method_keywords": keywords}


DECISIVE = [
    Arm(name="supervised", options=RECIPE),
    Arm(name="supervised, half the steps", options={**RECIPE, "epochs": 5}),
    Arm(name="full", options=pretrained()),
    Arm(name="full, grid cells", options=pretrained(regions="grid")),
]
PARTS = [
    Arm(name="images only", options=pretrained(terms=["ins"])),
    Arm(name="images and regions", options=pretrained(terms=["ins", "intra"])),
    Arm(name="images and components", options=pretrained(terms=["ins", "inter"])),
]


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--percent", type=int, choices=(FEWEST, 8, 10), required=True)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/supercl"))
    given = parser.parse_args()
    data = given.work / f"data-{given.set}"
    if not data.exists():
        write_set(SETS[given.set](given.download, given.work), data, names=NAMES[given.set])
    labelled = round(len(open_dataset(data).subset("train")) * given.percent / 100)
    work = given.work / f"{given.set}-{given.percent}"
    trials = [Trial(name="threshold from validation", data=data)]
    chosen = [*DECISIVE, *(PARTS if given.percent == FEWEST else [])]
    arms = [Arm(name=arm.name, options={**arm.options, "labelled": labelled}) for arm in chosen]
    results = run_arms(f"supercl_{given.set}_{given.percent}", data, arms, trials, work=work)
    for record in results.content["runs"]:
        log = work / f"{record['arm']}-{record['seed']}" / "fold-0" / "fit" / METRICS
        if CURVE not in record and log.is_file():
            record[CURVE] = validation_curve(log)
    results.save()


def validation_curve(log: Path) -> list[float]:
    """The validation Dice after each epoch with labels, at even odds."""
    with log.open(newline="", encoding="utf-8") as file:
        return [float(row["val_dice"]) for row in csv.DictReader(file) if row["val_dice"]]


if __name__ == "__main__":
    main()
