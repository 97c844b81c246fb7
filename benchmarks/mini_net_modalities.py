"""Mini-Net on skin lesions and on nuclei: against a U-Net of its size, Otsu's threshold, and its own parts left out.

    python benchmarks/mini_net_modalities.py --public isic2017 --download DIR --work DIR
    python benchmarks/mini_net_modalities.py --public monuseg --download DIR --work DIR

All arms are shortened to 1,200 steps. Where a set has no official split, one is drawn, the same for all arms and seeds.
Expected: level with the U-Net, far above Otsu on skin and less so on nuclei; no alpha apart from the others; crops of
several images in a step above crops of one where images differ (skin), by less where they are alike (nuclei).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness import Arm, Trial, run_arms
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import complete_splits, write_splits
from untrained import Otsu, add_untrained

MATCHED = {"net": "unet", "net_keywords": {"widths": [9, 18, 36]}}
RECIPES: dict[str, dict[str, Any]] = {
    "isic2017": {"epochs": 6, "threads": 1, "precision": "32-true", "longest": 192, "crop": 140, "batch": 5},
    "monuseg": {"epochs": 6, "threads": 1, "precision": "32-true", "one_image": "True"},
}


def decisive(recipe: dict[str, Any]) -> list[Arm]:
    """The network against the U-Net of its size."""
    return [Arm(name="Mini-Net A", options=recipe), Arm(name="U-Net, matched", options={**recipe, **MATCHED})]


def crops_in_a_step(recipe: dict[str, Any]) -> Arm:
    """The other way to fill a step than the recipe's."""
    if recipe.get("one_image") == "True":
        return Arm(name="several images in a step", options={**recipe, "one_image": "False"})
    return Arm(name="one image in a step", options={**recipe, "one_image": "True"})


def taken_apart(recipe: dict[str, Any]) -> list[Arm]:
    """The other way to fill a step; with one seed, the network without one of its parts and other losses."""
    changes: dict[str, dict[str, Any]] = {
        "alpha 0": {"alpha": 0.0},
        "alpha 1": {"alpha": 1.0},
        "without squeeze": {"net_keywords": {"squeeze": False}},
        "paper head": {"net_keywords": {"head": "paper"}},
    }
    parts = [Arm(name=name, options={**recipe, **change}, seeds=(0,)) for name, change in changes.items()]
    return [crops_in_a_step(recipe), *parts]


def main() -> None:
    """Prepare the set, train what is missing, score Otsu."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", choices=RECIPES, required=True)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/mini_net_modalities"))
    given = parser.parse_args()
    name = f"mini_net_{given.public}"
    data = given.work / given.public
    if not data.exists():
        public_set(given.public).convert(given.download, data)
        write_splits(complete_splits(open_dataset(data).cases, seed=0), data / "splits.csv")
    trial = "threshold from validation"
    trials = [Trial(name=trial, data=data)]
    work = given.work / f"{given.public}-runs"
    results = run_arms(name, data, decisive(RECIPES[given.public]), trials, work=work)
    add_untrained(results, trials, [lambda _: Otsu()])
    run_arms(name, data, taken_apart(RECIPES[given.public]), trials, work=work)


if __name__ == "__main__":
    main()
