"""WT-BCP on ACDC: what copy-paste, size and wavelets bring with few labelled patients.

    python benchmarks/wt_bcp_acdc.py --labelled 3 --download DIR --work DIR [--decisive]

Slices of half resolution; the same steps and validation patients (four) for every arm; what takes the method apart has
half the steps and stands beside BCP of that length. ``--decisive`` leaves those arms out. Stated before running: with
three labelled patients BCP is far above supervised training and several points above the mean teacher; with seven,
about level with the mean teacher; the wavelet branches bring little or nothing beyond three copies of the image.

These test patients have been scored before: with a third of the epochs for stage 1 and a tenth of the learning rate
in stage 2, BCP was level with supervised training (three patients, three seeds) or below it (seven, one seed). That
was the reason to look again; the choice, among five pairs of share and rate, was made on the validation patients with
a seed that is not reported. Then the default recipe was scored while cross-entropy of the mean teacher counted half,
the agreement of branches was not pooled, and statistics of normalisation were always estimated anew; all arms are
trained again since, and a table whose commit is older has the former figures.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from acdc import convert
from harness import Arm, Trial, run_arms, summed
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.images.image import Image
from leanseg.workflows.contestants import Answer
from leanseg.workflows.evaluation import evaluate_cases

TRIAL = "most probable class"
EVERYBODY = 18
"""Training patients that are not for validation."""

RECIPE: dict[str, Any] = {
    "epochs": 24, "epoch_steps": 250, "crop": 112, "batch": 4, "threads": 1, "precision": "bf16-mixed",
    "baseline": False, "loss_keywords": {"pooled": True},
}  # fmt: skip
"""Developed on the validation patients; the first arm learns from the same crops, as many steps, with the same loss."""

SHORT = {**RECIPE, "epochs": RECIPE["epochs"] // 2}
SHORTENED = "shortened to 3,000 steps"


def unet(base: int) -> dict[str, Any]:
    """Options of the U-Net that is one branch of XNet-Plus."""
    return {"net": "unet", "net_keywords": {"widths": [base << level for level in range(5)], "up": "nearest-conv"}}


def xnet(consistency: float, **keywords: Any) -> dict[str, Any]:
    """Options of the three branches."""
    return {
        **SHORT,
        "net": "xnet-plus",
        "net_keywords": {"base": 8, **keywords},
        "method": "wt-bcp",
        "method_keywords": {"consistency": consistency},
    }


SUPERVISED = Arm(name="supervised", options={**RECIPE, **unet(8)})
DECISIVE = [
    SUPERVISED,
    Arm(name="BCP", options={**RECIPE, **unet(8), "method": "wt-bcp"}),
    Arm(name="mean teacher", options={**RECIPE, **unet(8), "method": "wt-bcp", "method_keywords": {"mix": False}}),
]
SECONDARY = [
    Arm(name=name, options=options, note=SHORTENED)
    for name, options in (
        ("BCP, short", {**SHORT, **unet(8), "method": "wt-bcp"}),
        ("BCP, matched capacity", {**SHORT, **unet(15), "method": "wt-bcp"}),
        ("three branches (x, x, x)", xnet(0.5, inputs="copies")),
        ("three branches (x, L, H)", xnet(0.5)),
        ("three branches (x, L, H), no consistency", xnet(0.0)),
    )
]
CEILING = Arm(name="supervised, all labels", options=SUPERVISED.options, seeds=(0,))


class Prior:
    """The most frequent class at each place of the aligned masks of some cases.

    Args:
        dataset: their data set.
        cases: labelled volumes.
        side: of the map in pixels.
    """

    name = "class prior"

    def __init__(self, dataset: Dataset, cases: tuple[Case, ...], side: int = 64) -> None:
        self.classes = len(dataset.classes.names)
        planes = [_nearest(plane, (side, side)) for case in cases for plane in dataset.read_labels(case)]
        shares = [np.mean([plane == number for plane in planes], axis=0) for number in range(self.classes + 1)]
        self.labels = np.argmax(shares, axis=0).astype(np.uint8)

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """The same for every slice."""
        plane = _nearest(self.labels, image.shape[-2:])
        masks = np.stack([plane == number for number in range(1, self.classes + 1)])
        return Answer(np.repeat(masks[:, None], image.shape[0], 1))


def _nearest(plane: Any, shape: tuple[int, ...]) -> Any:
    return cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_NEAREST)


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--download", type=Path, required=True, help="holds slices/, volumes/ and the lists")
    parser.add_argument("--labelled", type=int, choices=(3, 7), required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/wt_bcp_acdc"))
    parser.add_argument("--decisive", action="store_true")
    given = parser.parse_args()
    few, everything = (given.work / f"acdc-{count}" for count in (given.labelled, EVERYBODY))
    for folder, count in ((few, given.labelled), (everything, EVERYBODY)):
        if not folder.exists():
            convert(given.download, folder, labelled=count)
    name, trials = f"wt_bcp_acdc_{given.labelled}", [Trial(name=TRIAL, data=few, cl_dice=False)]
    run_arms(name, few, DECISIVE, trials, work=given.work / f"runs-{given.labelled}")
    results = run_arms(name, everything, [CEILING], trials, work=given.work / "runs-all")
    if not results.holds(Prior.name, 0):
        dataset = open_dataset(few)
        started = time.perf_counter()
        scores = summed(evaluate_cases(dataset, dataset.subset("test"), [Prior(dataset, dataset.subset("train"))]))
        results.add({"arm": Prior.name, "seed": 0, "options": {}, "note": "", "parameters": 0,
                     "seconds": time.perf_counter() - started, "trials": {TRIAL: scores}})  # fmt: skip
    if not given.decisive:
        run_arms(name, few, SECONDARY, trials, work=given.work / f"runs-{given.labelled}")


if __name__ == "__main__":
    main()
