"""Med-2D SegNet beside a plain U-Net of its size, Mini-Net, and what needs no training, on five kinds of image.

    python benchmarks/med2d_segnet.py --set polyps --downloads DIR --work DIR
    python benchmarks/med2d_segnet.py --set polyps --downloads DIR --work DIR --curve

``--downloads`` holds the public sets. Whole images at 192 pixels (128 for chest and heart), 800 steps (1,200 on
polyps), all arms of a set alike. Models of polyps and skin also meet sets from elsewhere, which are opened for scoring
alone. ``--curve`` trains with 8 to 64 labelled images, beside which the same 18 labelled ones choose weights and
threshold in every arm.

Expected cost, in seconds of one thread of an EPYC for a step of two crops of 192 pixels, or four of 128: Med-2D SegNet
0.5, matched U-Net 0.4, Mini-Net 0.12. So the three arms of a set with three seeds take three quarters of an hour,
polyps over one. The network is taken apart on polyps alone.

Stated before running. Polyps: 0.6 to 0.8 inside Kvasir-SEG, a clear drop on other sets. Nowhere is Med-2D SegNet ahead
of the matched U-Net beyond the interval: then at equal size the Med Block gives no measurable gain over plain
convolutions on these sets. Both are ahead of Mini-Net on polyps and level with it on nuclei; on polyps Mini-Net is
ahead with 8 labelled images and behind with 64. The gate, which can only halve a channel, changes little, learned or
not, and kernel 3 costs little.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from acdc import convert
from harness import Arm, Trial, run_arms
from leanseg.bundle import read_bundle
from leanseg.data.dataset import Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import complete_splits, write_splits
from leanseg.quality.appearance import appearance
from leanseg.quality.likeness import Likeness
from leanseg.workflows.contestants import Contestant
from near_duplicates import NEAR, near_duplicates
from quality_sets import SOURCES, Source
from untrained import Everything, MeanMask, Otsu, Redness, add_untrained
from wt_bcp_acdc import EVERYBODY

INSIDE = "test images"
MED = "Med-2D SegNet"
NETS: dict[str, dict[str, Any]] = {
    MED: {"net": "med2d-segnet"},
    "U-Net, matched": {"net": "unet", "net_keywords": {"widths": [33, 66, 132, 264]}},
    "Mini-Net A": {"net": "mini-net"},
    "U-Net, small": {"net": "unet", "net_keywords": {"widths": [9, 18, 36]}},
}
"""Arms and their networks; the first three decide, the last one has the size of Mini-Net."""

RECIPE: dict[str, Any] = {"epochs": 4, "epoch_steps": 200, "threads": 1, "precision": "32-true", "snapshots": 0}
LARGE: dict[str, Any] = {**RECIPE, "longest": 192, "crop": 192, "batch": 2}
SMALL: dict[str, Any] = {**RECIPE, "crop": 128, "batch": 4}
SHORT = {"epochs": 2}
SHORTENED = "shortened to 400 steps"
VARIANTS: dict[str, dict[str, Any]] = {
    "Med-2D SegNet, short": {},
    "no gate": {"gate": "none"},
    "learned gate": {"gate": "learned"},
    "kernel 3": {"kernel": 3},
    "fewer, wider blocks": {"widths": [31, 62, 124, 248], "repeats": [1, 1, 1, 2]},
}
LABELLED = (8, 16, 32, 64)


def polyps(downloads: Path, out: Path) -> None:
    """Kvasir-SEG, with near-duplicates in one split."""
    dataset = public_set("kvasir-seg").convert(downloads / "Polyps/Kvasir-SEG", out)
    groups = near_duplicates([dataset.read_image(case).pixels for case in dataset.cases])
    cases = [replace(case, patient=f"group-{number}") for case, number in zip(dataset.cases, groups, strict=True)]
    write_splits(complete_splits(cases, seed=0), out / "splits.csv")


def heart(downloads: Path, out: Path) -> None:
    """All training patients of ACDC but those for validation, as volumes of slices."""
    convert(downloads / "ACDC", out, labelled=EVERYBODY)


SETS: dict[str, Source] = {
    "polyps": replace(SOURCES["polyps"], prepare=polyps, options={**LARGE, "epochs": 6}),
    "skin": replace(SOURCES["skin"], options=LARGE),
    "nuclei": replace(SOURCES["nuclei"], options=LARGE),
    "chest": replace(SOURCES["chest"], options=SMALL),
    # Many slices show no heart, or not all of it.
    "heart": Source(prepare=heart, options={**SMALL, "loss_keywords": {"pooled": True}}),
}
THRESHOLDS: dict[str, Callable[[Dataset], Contestant]] = {"polyps": lambda _: Redness(), "skin": lambda _: Otsu()}
UNTRAINED: tuple[Callable[[Dataset], Contestant], ...] = (
    lambda dataset: Everything(len(dataset.classes.names)),
    lambda dataset: MeanMask(dataset, shares=tuple(np.arange(0.05, 1, 0.05))),
)


def whole(recipe: Mapping[str, Any], names: tuple[str, ...]) -> list[Arm]:
    """Networks, trained to the end."""
    return [Arm(name=name, options={**recipe, **NETS[name]}) for name in names]


def taken_apart(recipe: Mapping[str, Any]) -> list[Arm]:
    """The network with other parts."""
    options = {**recipe, **NETS[MED], **SHORT}
    return [
        Arm(name=name, options={**options, "net_keywords": keywords}, note=SHORTENED)
        for name, keywords in VARIANTS.items()
    ]


def curve(recipe: Mapping[str, Any]) -> list[Arm]:
    """Both networks with few labelled images; near-duplicates count as one."""
    return [
        Arm(
            name=f"{name}, {count} labelled",
            options={**recipe, **NETS[name], **SHORT, "labelled": count},
            note=f"{count} labelled images and 18 for validation, {SHORTENED}",
        )
        for count in LABELLED
        for name in (MED, "Mini-Net A")
    ]


def main() -> None:
    """Prepare the set, train what is missing, score what needs no training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--downloads", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/med2d_segnet"))
    parser.add_argument("--curve", action="store_true", help="with few labelled images instead")
    given = parser.parse_args()
    source, work, name = SETS[given.set], given.work / given.set, f"med2d_segnet_{given.set}"
    trials = prepared(source, given.downloads, work)
    data, runs, recipe = trials[0].data, work / "runs", source.options
    if given.curve:
        run_arms(f"{name}_curve", data, curve(recipe), trials, work=work / "curve")
        return
    *decisive, small = NETS
    results = run_arms(name, data, whole(recipe, tuple(decisive)), trials, work=runs)
    if not results.holds(Everything.name, 0):
        results.content["remarks"] = remarks(trials, runs / f"{MED}-0" / "model")
    add_untrained(results, trials, [*UNTRAINED, *([THRESHOLDS[given.set]] if given.set in THRESHOLDS else [])])
    run_arms(name, data, whole(recipe, (small,)), trials, work=runs)
    if given.set == "polyps":
        run_arms(name, data, taken_apart(recipe), trials, work=runs)


def prepared(source: Source, downloads: Path, work: Path) -> list[Trial]:
    """Write the data folders that are missing; gives the trial on the set's own test images, then the unseen sets."""
    data = work / "data"
    if not data.exists():
        source.prepare(downloads, data)
    trials = [Trial(name=INSIDE, data=data, cl_dice=False)]
    for name, folder in source.others.items():
        public = public_set(name)
        if not (work / name).exists():
            public.convert(downloads / folder, work / name)
        trials.append(Trial(name=f"unseen: {public.title}", data=work / name, split="all", cl_dice=False))
    return trials


def remarks(trials: list[Trial], model: Path) -> list[str]:
    """What to know of the images: how many are nearly the same, and how many are unlike the training images."""
    own, found = open_dataset(trials[0].data), []
    if own.name == public_set("kvasir-seg").title:
        groups = len({case.patient for case in own.cases})
        found = [f"{len(own.cases)} images in {groups} groups of near-duplicates (at most {NEAR} bits of a perceptual "
                 "hash apart), which stay in one split."]  # fmt: skip
    bundle = read_bundle(model)
    likeness = Likeness.from_dict(bundle.reference)
    for trial in trials:
        dataset = open_dataset(trial.data)
        cases = dataset.cases if trial.split == "all" else dataset.subset(trial.split)
        looks = [appearance(bundle.preprocessing.prepare(dataset.read_image(case))) for case in cases]
        unlike = sum(likeness(look)[0] for look in looks)
        found.append(f"{trial.name[:1].upper()}{trial.name[1:]}: {unlike} of {len(cases)} unlike the training images.")
    return found


if __name__ == "__main__":
    main()
