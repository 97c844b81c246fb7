"""Mini-Net and its baselines on one set of vessels: what ``mini_net_drive.py`` and ``mini_net_chase.py`` run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import Arm, Trial, run_arms
from leanseg.data.public import public_set

RECIPE: dict[str, Any] = {
    "field_of_view": "fundus", "epochs": 20, "threads": 1, "precision": "32-true", "one_image": "True",
}  # fmt: skip
SHORT: dict[str, Any] = {**RECIPE, "epochs": 6}
QUICK: dict[str, Any] = {"field_of_view": "fundus", "minutes": 5, "precision": "32-true", "one_image": "True"}
UNET = {"net": "unet"}
MATCHED = {**UNET, "net_keywords": {"widths": [9, 18, 36]}}
LARGE = {**UNET, "net_keywords": {"widths": [64, 128, 256]}, "precision": "bf16-mixed"}
REFITTED = "trained again with the validation images"


def _short(name: str, seeds: tuple[int, ...] = (0, 1, 2), **options: Any) -> Arm:
    return Arm(name=f"{name}, short", options={**SHORT, **options}, seeds=seeds, note="shortened to 1,200 steps")


DECISIVE = [
    Arm(name="Mini-Net A", options=RECIPE),
    Arm(name="U-Net, matched", options={**RECIPE, **MATCHED}),
    Arm(name="Mini-Net cascade", options={**RECIPE, "net": "mini-net-cascade"}),
]
SHORTENED = [
    _short("Mini-Net A"),
    *(_short(f"alpha {alpha:g}", alpha=alpha) for alpha in (0.0, 0.25, 0.75, 1.0)),
    _short("Mini-Net B", net_keywords={"variant": "b"}),
    _short("Mini-Net A, paper head", net_keywords={"head": "paper"}),
    _short("without squeeze", net_keywords={"squeeze": False}),
    _short("U-Net, matched", **MATCHED),
    _short("AdamW", optimiser="adamw"),
    _short("several images in a step", one_image="False"),
]
ONCE = [
    _short("U-Net, 1.9 M", seeds=(0,), **LARGE),
    Arm(name="Mini-Net A, five minutes", options=QUICK, seeds=(0,), note="--minutes 5 on both cores"),
    Arm(name="Mini-Net B", options={**RECIPE, "net_keywords": {"variant": "b"}}, seeds=(0,)),
    Arm(name="Mini-Net A, refit", options={**RECIPE, "refit": True}, seeds=(0,), note=REFITTED),
]


def compare(*, name: str, public: str, groups: Sequence[list[Arm]]) -> None:
    """Prepare the data and run what is missing.

    Args:
        name: of the comparison, which names its results.
        public: registered name of the data set.
        groups: of arms, one group after the other.
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
    for arms in groups:
        run_arms(name, data, arms, trials, work=given.work)
