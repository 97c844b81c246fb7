"""Mini-Net and its baselines on one set of vessels: what ``mini_net_drive.py`` and ``mini_net_chase.py`` run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness import Arm, Trial, run_arms
from leanseg.data.public import public_set

RECIPE: dict[str, Any] = {"field_of_view": "fundus", "epochs": 20, "threads": 1, "precision": "32-true"}
SHORT: dict[str, Any] = {**RECIPE, "epochs": 6}
LONG: dict[str, Any] = {**RECIPE, "epochs": 60}
QUICK: dict[str, Any] = {"field_of_view": "fundus", "minutes": 5, "precision": "32-true"}
UNET = {"net": "unet"}
MATCHED = {**UNET, "net_keywords": {"widths": [9, 18, 36]}}
LARGE = {**UNET, "net_keywords": {"widths": [64, 128, 256]}, "precision": "bf16-mixed"}
SHORTENED = "shortened to 1,200 steps"
REFITTED = "trained again with the validation images"
DECISIVE = [
    Arm(name="Mini-Net A", options=RECIPE),
    Arm(name="U-Net, matched", options={**RECIPE, **MATCHED}),
    Arm(name="Mini-Net cascade", options={**RECIPE, "net": "mini-net-cascade"}),
]
ABLATIONS = [
    Arm(name="Mini-Net A, short", options=SHORT, note=SHORTENED),
    *(
        Arm(name=f"alpha {alpha:g}", options={**SHORT, "alpha": alpha}, note=SHORTENED)
        for alpha in (0.0, 0.25, 0.75, 1.0)
    ),
    Arm(name="without squeeze", options={**SHORT, "net_keywords": {"squeeze": False}}, note=SHORTENED),
    Arm(name="AdamW", options={**SHORT, "optimiser": "adamw"}, note=SHORTENED),
    Arm(name="several images in a step", options={**SHORT, "one_image": "False"}, note=SHORTENED),
]
VARIANTS = [
    Arm(name="Mini-Net A, five minutes", options=QUICK, seeds=(0,), note="--minutes 5 on both cores"),
    Arm(name="Mini-Net B", options={**RECIPE, "net_keywords": {"variant": "b"}}),
    Arm(name="Mini-Net A, paper head", options={**RECIPE, "net_keywords": {"head": "paper"}}),
    Arm(name="Mini-Net A, refit", options={**RECIPE, "refit": True}, seeds=(0,), note=REFITTED),
    Arm(name="U-Net, 1.9 M", options={**RECIPE, **LARGE}, seeds=(0,)),
    Arm(name="Mini-Net A, long", options=LONG, note="12,000 steps"),
    Arm(name="U-Net, matched, long", options={**LONG, **MATCHED}, note="12,000 steps"),
]
ARMS = (*DECISIVE, *ABLATIONS, *VARIANTS)


def compare(*, name: str, public: str) -> None:
    """Prepare the data and run what is missing.

    Args:
        name: of the comparison, which names its results.
        public: registered name of the data set.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--download", type=Path, required=True, help=f"the downloaded folder of {public}")
    parser.add_argument("--work", type=Path, default=Path("runs") / name)
    given = parser.parse_args()
    data = given.work / "data"
    if not data.exists():
        public_set(public).convert(given.download, data)
    trials = [
        Trial(name="threshold from validation", data=data),
        Trial(name="threshold from validation, flips", data=data, flips=True),
        Trial(name="threshold 0.5, flips", data=data, flips=True, threshold=0.5),
    ]
    for arms in (DECISIVE, ABLATIONS, VARIANTS):
        run_arms(name, data, arms, trials, work=given.work)
