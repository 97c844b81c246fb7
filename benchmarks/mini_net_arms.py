"""Mini-Net and its baselines on one set of vessels: what ``mini_net_drive.py`` and ``mini_net_chase.py`` run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness import Arm, Trial, run_arms
from leanseg.data.public import public_set

RECIPE: dict[str, Any] = {"field_of_view": "fundus", "epochs": 20, "threads": 1}
SHORT: dict[str, Any] = {**RECIPE, "epochs": 6}
UNET = {"net": "unet"}
ARMS = [
    Arm(name="Mini-Net A", options=RECIPE),
    Arm(name="U-Net, matched", options={**RECIPE, **UNET, "net_keywords": {"widths": [9, 18, 36]}}),
    Arm(name="Mini-Net A, paper head", options={**RECIPE, "net_keywords": {"head": "paper"}}),
    Arm(name="Mini-Net B", options={**RECIPE, "net_keywords": {"variant": "b"}}),
    Arm(name="U-Net, 1.9 M", options={**RECIPE, **UNET, "net_keywords": {"widths": [64, 128, 256]}}),
    *(
        Arm(name=f"alpha {alpha:g}", options={**SHORT, "alpha": alpha}, note="shortened to 1,200 steps")
        for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)
    ),
    Arm(name="without squeeze", options={**SHORT, "net_keywords": {"squeeze": False}}, note="shortened to 1,200 steps"),
]


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
    run_arms(name, data, ARMS, trials, work=given.work)
