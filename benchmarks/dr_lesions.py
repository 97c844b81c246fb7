"""Lesions of diabetic retinopathy: four networks, one for each lesion, against one network with four maps.

    python benchmarks/dr_lesions.py --download DIR --work DIR

``--download`` holds the IDRiD images with all four lesions. Every second pair of images is left out once: a run trains
on five images, chooses by one and is scored on two, so that all images are scored four trainings later. Half the
resolution of the files, tiles of 256 pixels. One network with four maps learns from as many tiles as four networks
together, and is of the size of one of them or of all four. It differs in more than that: its tiles are centred on any
lesion, mostly hard exudates, and all its maps have one loss, while microaneurysms have a network and the Tversky loss
of their own; one arm has four networks with one loss. About two hours a seed on one thread for the decisive arms.

Stated before running: predicting nothing has an accuracy within one point of every model. Hard exudates are far above
the top-hat, microaneurysms at half the resolution near their prevalence. Between four networks and one there is no
clear winner with so few images; equalised lightness changes little. Soft exudates, which three images show, decide
nothing.

Left out for its cost: full resolution, where a training takes four times as many tiles to see as much of an image, and
tiles of 512 pixels.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from harness import Results, run_facts, train
from leanseg.bundle import read_bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import write_splits
from leanseg.images.image import Image
from leanseg.images.preprocess import Prepared, Preprocessing
from leanseg.images.resample import whole
from leanseg.inference.predictor import Predictor
from leanseg.metrics.audit import predict_nothing, prevalence
from leanseg.metrics.froc import LesionCounts
from leanseg.metrics.overlap import Confusion
from leanseg.metrics.ranking import RankingCounts, eleven_threshold_aupr
from leanseg.workflows.contestants import Answer, Contestant, Model
from leanseg.workflows.evaluation import evaluate_cases
from leanseg.workflows.scoring import ClassScores

PAIRS = (("IDRiD_01", "IDRiD_55"), ("IDRiD_02", "IDRiD_56"), ("IDRiD_03", "IDRiD_57"), ("IDRiD_04", "IDRiD_58"))
"""Each pair is left out once; those that show soft exudates (03, 55, 56) are never left out together."""

STEPS = 50
LEAN = '{"separable": true, "width": 64, "low_width": 24}'
AS_LARGE_AS_FOUR = '{"width": 164, "low_width": 56}'
RECIPE: dict[str, Any] = {
    "epoch_steps": STEPS, "diameter": 1700, "crop": 256, "batch": 4, "threads": 1, "precision": "32-true",
}  # fmt: skip
FOUR: dict[str, Any] = {**RECIPE, "method": "dr-lesions", "epochs": 16}
ONE: dict[str, Any] = {
    **RECIPE, "net": "deeplab-v3-plus", "net_keywords": LEAN, "clahe": 2.0, "foreground": 0.5, "epochs": 16,
}  # fmt: skip
DECISIVE = {
    "four networks": FOUR,
    "one network": ONE,
    "one network of the size of four": {**ONE, "net_keywords": AS_LARGE_AS_FOUR},
}
SECONDARY = {
    "one network, a quarter of the steps": {**ONE, "epochs": 4},
    "four networks, one loss": {**FOUR, "method_keywords": {"tiny": []}},
    "four networks, lightness as it is": {**FOUR, "clahe": 0},
    "four networks, whole frame": {
        **{key: value for key, value in FOUR.items() if key != "diameter"},
        "field_of_view": "none",
        "longest": 2144,
    },
    "four networks of the size of Mini-Net": {**FOUR, "net": "mini-net"},
}


class Counting:
    """A contestant whose answers are also counted lesion by lesion.

    Args:
        contestant: who answers.
        dataset: knows the truth.
    """

    def __init__(self, contestant: Contestant, dataset: Dataset) -> None:
        self.name, self.contestant, self.dataset = contestant.name, contestant, dataset
        self.counts: dict[str, list[LesionCounts]] = {name: [] for name in dataset.classes.names}

    def answer(self, case: Case, image: Image) -> Answer:
        """The answer of the contestant."""
        found = self.contestant.answer(case, image)
        assert found.probabilities is not None
        truths = self.dataset.read_labels(case, image=image) > 0
        valid = self.dataset.read_valid(case, image=image)
        for (_, counts), scores, truth in zip(self.counts.items(), found.probabilities, truths, strict=True):
            counts.append(LesionCounts.of(scores, truth, valid=valid))
        return found


class TopHat:
    """Small bright spots for exudates, small dark ones for the others: the top-hat of the green channel.

    Args:
        radius: of the disc in pixels of half the resolution; larger spots do not count.
    """

    name = "top-hat"

    def __init__(self, radius: int = 12) -> None:
        side = 2 * radius + 1
        self._disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """Scores are the heights of spots; masks those above Otsu's threshold of the image."""
        prepared, green, valid = _green(image)
        kinds = (cv2.MORPH_BLACKHAT, cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT, cv2.MORPH_TOPHAT)
        hats = [np.where(valid, cv2.morphologyEx(green, kind, self._disc), 0) for kind in kinds]
        return _above_otsu(prepared, np.stack(hats).astype(np.float32) / 255, valid)


class Brightness:
    """What is bright in its image for exudates, what is dark for the others: the rank of the green level."""

    name = "brightness"

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002
        """Scores are shares of the disc that are darker, or brighter; masks those above Otsu's threshold."""
        prepared, green, valid = _green(image)
        ranks = np.zeros(green.shape, np.float32)
        ranks[valid] = np.searchsorted(np.sort(green[valid]), green[valid]) / valid.sum()
        dark = np.where(valid, 1 - ranks, 0)
        return _above_otsu(prepared, np.stack([dark, dark, ranks, ranks]), valid)


SETTINGS = Preprocessing(field_of_view="fundus", diameter=1700, normalise="none")


def _green(image: Image) -> tuple[Prepared, Any, Any]:
    """At half the resolution, with the pixels inside the disc."""
    prepared = SETTINGS.prepare(image)
    everywhere = whole(prepared.shape)
    return prepared, prepared.read(everywhere)[1], prepared.valid(everywhere)


def _above_otsu(prepared: Prepared, maps: Any, valid: Any) -> Answer:
    limits = np.array([threshold_otsu(scores[valid]) for scores in maps], np.float32)
    scores = np.clip(prepared.to_source(maps), 0, 1)
    return Answer(scores > limits[:, None, None], scores)


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--download", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/dr_lesions"))
    given = parser.parse_args()
    base = given.work / "idrid"
    if not base.exists():
        public_set("idrid").convert(given.download, base)
    results = Results("dr_lesions")
    for untrained in (TopHat(), Brightness()):
        if not results.holds(untrained.name, 0):
            started, found = time.perf_counter(), Scored()
            found.add(base, [stem for pair in PAIRS for stem in pair], untrained)
            results.add({"arm": untrained.name, "seed": 0, "options": {}, "note": "", "parameters": 0,
                         "seconds": time.perf_counter() - started, "lesions": found.scores()})  # fmt: skip
    for seed in range(3):
        _run(DECISIVE, seed, "", given.work, results)
    _run(SECONDARY, 0, "one seed", given.work, results)


def _run(arms: dict[str, dict[str, Any]], seed: int, note: str, work: Path, results: Results) -> None:
    for name, options in arms.items():
        if results.holds(name, seed):
            continue
        found, facts = Scored(), []
        for number, left in enumerate(PAIRS):
            data = _fold(work, number, seed)
            run = work / f"{name}-{seed}-{number}"
            bundle = read_bundle(train(data, run, options, seed))
            model = Model(
                name=name, predictor=Predictor(bundle=bundle, threads=1), classes=bundle.classes, wanted=bundle.classes
            )
            found.add(data, left, model)
            facts.append(run_facts(run))
        results.add({"arm": name, "seed": seed, "options": options, "note": note, "parameters": facts[0]["parameters"],
                     "seconds": sum(one["seconds"] for one in facts), "lesions": found.scores()})  # fmt: skip


def _fold(work: Path, number: int, seed: int) -> Path:
    """The data with one pair for testing and one image of the next pair for validation, another one for each seed."""
    folder = work / f"fold-{number}-{seed}"
    if not folder.exists():
        shutil.copytree(work / "idrid", folder, copy_function=os.link)
        (folder / "splits.csv").unlink()
        chosen = PAIRS[(number + 1 + seed // 2) % len(PAIRS)][seed % 2]
        split = {chosen: "val", **dict.fromkeys(PAIRS[number], "test")}
        cases = open_dataset(folder).cases
        write_splits([replace(case, split=split.get(case.stem, "train")) for case in cases], folder / "splits.csv")
    return folder


class Scored:
    """What was scored so far."""

    def __init__(self) -> None:
        self.rows: list[ClassScores] = []
        self.counts: dict[str, list[LesionCounts]] = {}

    def add(self, data: Path, stems: Sequence[str], contestant: Contestant) -> None:
        """Score some images of a data set."""
        dataset = open_dataset(data)
        counting = Counting(contestant, dataset)
        result = evaluate_cases(dataset, [case for case in dataset.cases if case.stem in stems], [counting])
        if result.failed:
            raise RuntimeError(f"not scored: {result.failed}")
        self.rows += result.rows
        for name, counts in counting.counts.items():
            self.counts.setdefault(name, []).extend(counts)

    def scores(self) -> dict[str, Any]:
        """For each lesion: pooled over all images, and image by image."""
        return {
            name: _of_lesion([row for row in self.rows if row.name == name], reduce(add, counts))
            for name, counts in self.counts.items()
        }


def _of_lesion(rows: Sequence[ClassScores], lesions: LesionCounts) -> dict[str, Any]:
    counts = sum((row.counts for row in rows), Confusion())
    ranking: RankingCounts = reduce(add, [row.ranking for row in rows if row.ranking is not None])
    nothing = predict_nothing(counts)
    return {
        "prevalence": prevalence(counts),
        "images": len(rows),
        "images_with_lesion": sum(row.counts.tp + row.counts.fn > 0 for row in rows),
        "average_precision": ranking.average_precision,
        "eleven_thresholds": eleven_threshold_aupr(ranking),
        "auroc": ranking.auroc,
        "lesions": lesions.lesions,
        "sensitivity": lesions.sensitivity(false_alarms=1),
        "dice": counts.dice,
        "jaccard": counts.jaccard,
        "accuracy": counts.accuracy,
        "accuracy_of_nothing": nothing.accuracy,
        "by_image": {
            row.image: {score: row.scores[score] for score in ("average_precision", "dice", "jaccard")} for row in rows
        },
    }


if __name__ == "__main__":
    main()
