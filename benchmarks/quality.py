"""What a model expects of its own masks, against the truth: single images and whole sets, clean and shifted.

    python benchmarks/quality.py --set polyps --downloads DIR --work DIR

``--downloads`` holds the public sets. For each set a good model (full length) and a poor one (a tenth of it), three
seeds. Stated before running: intervals keep 90 % on clean images and lose it under shift; where they do, most images
are called unlike; on clean sets carrying the held-out score over is hard to beat, under shift SPE's difference form
halves its error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from harness import Results, run_facts, train
from leanseg.bundle import Bundle, read_bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.public import public_set
from leanseg.data.splits import folds
from leanseg.estimate.baselines import confidence_baselines
from leanseg.estimate.degrade import sweep
from leanseg.estimate.fit_expected_dice import Seen, fit_expected_dice
from leanseg.estimate.in_context import Calibration as InContext
from leanseg.estimate.in_context import Lesson, References, calibrate
from leanseg.estimate.patch_fusion import PatchFusion
from leanseg.estimate.percentile_rule import percentile_rule
from leanseg.estimate.pseudo import Pseudo, pseudo_scores
from leanseg.estimate.set_estimate import estimate_set
from leanseg.estimate.set_metrics import scores_of
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor, Whole
from leanseg.metrics.calibration import Calibration, apply_temperature
from leanseg.quality.appearance import appearance
from leanseg.quality.expected_dice import ExpectedDice
from leanseg.quality.likeness import Likeness
from leanseg.types import Expected
from leanseg.workflows.appraise import observe
from leanseg.workflows.estimate_class import Labelled
from leanseg.workflows.estimate_masks import Seen as Look
from leanseg.workflows.estimate_masks import checkpoints, look
from leanseg.workflows.scoring import class_masks
from quality_sets import SHIFTS, SOURCES, Source, shifted

MODELS = {"good": {}, "poor": {"epochs": 1}}
MOST = 40
"""Images of a set that are used at most."""


def main() -> None:
    """Train and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=SOURCES, required=True)
    parser.add_argument("--downloads", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/quality"))
    given = parser.parse_args()
    source, work = SOURCES[given.set], given.work / given.set
    data = work / "data"
    if not data.exists():
        source.prepare(given.downloads, data)
    for name, folder in source.others.items():
        if not (work / name).exists():
            public_set(name).convert(given.downloads / folder, work / name)
    results = Results(f"quality_{given.set}")
    for seed in range(3):
        for name, changes in MODELS.items():
            if not results.holds(name, seed):
                run = work / f"{name}-{seed}"
                bundle = read_bundle(train(data, run, {**source.options, **changes}, seed))
                found = Bench(source, bundle, open_dataset(data), seed).targets(work)
                results.add({"arm": name, "seed": seed, "options": {**source.options, **changes}, "note": "",
                             **run_facts(run), **found})  # fmt: skip


class Bench:
    """One trained model and the images by which it is judged."""

    def __init__(self, source: Source, bundle: Bundle, dataset: Dataset, seed: int) -> None:
        self.bundle, self.dataset, self.seed = bundle, dataset, seed
        every = checkpoints(bundle, threads=1)
        self.predictors = [*every[1:-1:2], every[-1]]
        self.reverse = PatchFusion(size=source.grid, threads=1)
        train_cases, val = dataset.subset("train"), dataset.subset("val")
        if len(bundle.parts) > 1:
            # The snapshots are those of the first fold, which its validation images know nothing of.
            train_cases, val = folds((*train_cases, *val), count=len(bundle.parts), seed=seed)[0]
        self.learnt, self.held = labelled(dataset, train_cases[:MOST]), labelled(dataset, val[:MOST])
        self.known = look(self.predictors, self.held.images, lambda: None)
        self.known_by = self._known()
        self.plain = self._plain(val)
        self.likeness = Likeness.from_dict(bundle.reference)
        self.references = [self._references(number) for number in range(len(bundle.classes.names))]

    def _known(self) -> tuple[Any, list[Any]]:
        queries = [self.reverse.prepare(image.pixels) for image in self.learnt.images]
        supports = [self.reverse.prepare(image.pixels) for image in self.held.images]
        return self.reverse.fit(supports, queries), queries

    def _references(self, number: int) -> tuple[References, InContext, Any, Any]:
        """Labelled images that are segmented in reverse for single images, and what the held-out ones say of it."""
        queries = [truth[number] for truth in self.learnt.truths]
        references = References([image.pixels for image in self.learnt.images], queries, reverse=self.reverse)
        known = masks(self.known, number)[-1]
        lessons = [references.teach(image.pixels, mask) for image, mask in zip(self.held.images, known, strict=True)]
        dice = scores_of(known, [truth[number] for truth in self.held.truths])
        calibration = calibrate(lessons, dice, groups=list(self.held.patients), seed=self.seed)
        return references, calibration, np.stack([_every(lesson, references) for lesson in lessons]), dice

    def _plain(self, val: Sequence[Case]) -> list[ExpectedDice | None]:
        """The expected Dice as learnt from clean validation images alone."""
        parts = [replace(self.bundle, parts=(part,)) for part in self.bundle.parts]
        pools: list[list[Seen]] = [[] for _ in self.bundle.classes.names]
        train_cases, val_cases = self.dataset.subset("train"), self.dataset.subset("val")
        unseen = [val] if len(parts) == 1 else [
            left for _, left in folds((*train_cases, *val_cases), count=len(parts), seed=self.seed)
        ]  # fmt: skip
        for part, cases in zip(parts, unseen, strict=True):
            for found in observe(Predictor(bundle=part, threads=1), self.dataset, cases, spoilt_copies=0):
                for pool, one in zip(pools, found, strict=True):
                    pool.append(one)
        self.pools = pools
        return [fit_expected_dice(pool) for pool in pools]

    def targets(self, work: Path) -> dict[str, Any]:
        """Every target: the test images under every shift, and other sources."""
        test = labelled(self.dataset, self.dataset.subset("test")[:MOST])
        found = {
            name: self.target(replace(test, images=[shifted(image, name) for image in test.images])) for name in SHIFTS
        }
        for folder in sorted(work.iterdir()):
            if folder.is_dir() and (folder / "dataset.toml").is_file() and folder.name != "data":
                other = open_dataset(folder)
                found[folder.name] = self.target(labelled(other, other.cases[:MOST]))
        clean = [[{"dice": one.dice, "soft": one.traits.soft_dice, "area": one.traits.area / one.traits.field}
                  for one in pool] for pool in self.pools]  # fmt: skip
        return {"targets": found, "validation": clean, "classes": list(self.bundle.classes.names)}

    def target(self, target: Labelled) -> dict[str, Any]:
        """All images of one target, one by one and as a set."""
        seen = look(self.predictors, target.images, lambda: None)
        distances = [self.likeness.distance(self._looks(image)) for image in target.images]
        answers = [self.predictors[-1].whole(image, probabilities=True) for image in target.images]
        classes = range(len(self.bundle.classes.names))
        return {
            "images": [self._images(seen, number, target, answers, distances) for number in classes],
            "sets": [self._set(seen, number, target) for number in classes],
            "limit": self.likeness.limit,
            "calibration": [self._reliability(answers, target, number) for number in classes],
        }

    def _looks(self, image: Image) -> Any:
        return appearance(self.bundle.preprocessing.prepare(image))

    def _images(
        self,
        seen: Sequence[Sequence[Look]],
        number: int,
        target: Labelled,
        answers: Sequence[Whole],
        distances: Sequence[float],
    ) -> list[dict[str, Any]]:
        name = self.bundle.classes.names[number]
        real = scores_of(masks(seen, number)[-1], [truth[number] for truth in target.truths])
        rows = []
        for place, (answer, dice) in enumerate(zip(answers, real.tolist(), strict=True)):
            own, traits, plain = answer.quality.dice[name], answer.traits[number], self.plain[number]
            row = {"dice": dice, "soft": traits.soft_dice, "area": traits.area / traits.field}
            row |= {"distance": distances[place], **_named("ours", own)}
            row |= _named("clean only", plain(traits) if plain else Expected())
            mask = seen[-1][place].masks[number]
            references, calibration, known, known_dice = self.references[number]
            lesson = references.teach(target.images[place].pixels, mask)
            band = calibration.band(np.array([lesson.strength()]), np.array([lesson.spread]))
            published = percentile_rule(known, known_dice, _every(lesson, references)[None])
            for way, one in (("reverse", band), ("percentiles", published)):
                row |= _named(way, Expected(value=float(one[0][0]), low=float(one[1][0]), high=float(one[2][0])))
            rounded = {key: None if value is None else round(value, 4) for key, value in row.items()}
            rows.append({"patient": target.patients[place], **rounded})
        return rows

    def _set(self, seen: Sequence[Sequence[Look]], number: int, target: Labelled) -> dict[str, Any]:
        """Estimates of the mean for all checkpoints, and the truth."""
        rows_b, rows_c = masks(self.known, number), masks(seen, number)
        truths_b, queries = ([t[number] for t in part.truths] for part in (self.held, self.learnt))
        real_b = np.stack([scores_of(row, truths_b) for row in rows_b])
        real_c = [float(scores_of(row, [t[number] for t in target.truths]).mean()) for row in rows_c]
        taught_c = self.reverse.fit([self.reverse.prepare(i.pixels) for i in target.images], self.known_by[1])
        pseudo_b = pseudo_scores(self.known_by[0], rows_b, queries)
        pseudo_c = pseudo_scores(taught_c, rows_c, queries)
        how: dict[str, Any] = {"resamples": 2}
        forms = {form: estimate_set(pseudo_b, pseudo_c, real_b, form=form, **how) for form in ("line", "difference")}
        found = {f"SPE, {form}": one.values for form, one in forms.items()} | dict(forms["line"].baselines)
        sure = ([[one.confidences[number] for one in row] for row in rows] for rows in (self.known, seen))
        found |= confidence_baselines(*sure, real_b)
        worse = [rows_b[-1], *sweep(rows_b[-1], seed=self.seed)]
        pseudo_w = pseudo_scores(self.known_by[0], worse, queries)
        alone = Pseudo(pseudo_c.scores[-1:], pseudo_c.empty[-1:])
        real_w = np.stack([scores_of(row, truths_b) for row in worse])
        one = float(estimate_set(pseudo_w, alone, real_w, **how).value)
        values = {name: [round(float(v), 4) for v in row] for name, row in found.items()}
        return {"real": real_c, "held": real_b.mean(1).tolist(), "estimates": values, "one checkpoint": one}

    def _reliability(self, answers: Sequence[Whole], target: Labelled, number: int) -> dict[str, float | None]:
        """Calibration error and Brier score without the fitted temperature, and with it."""
        (temperature,) = self.bundle.parts[0].temperature
        found: dict[str, float | None] = {}
        for name, undo in (("before", 1 / temperature), ("after", 1.0)):
            parts = []
            for answer, truths in zip(answers, target.truths, strict=True):
                assert answer.probabilities is not None
                parts.append(Calibration.of(apply_temperature(answer.probabilities[number], undo), truths[number]))
            together = reduce(add, parts)
            found |= {name: together.error, f"Brier {name}": together.brier}
        return found


def _every(lesson: Lesson, references: References) -> Any:
    """A score for each reference that is tried; 0 for an empty mask."""
    return lesson.scores if lesson.scores.size else np.zeros(references.count)


def _named(name: str, one: Expected) -> dict[str, float | None]:
    return {name: one.value, f"{name}, low": one.low, f"{name}, high": one.high}


def masks(rows: Sequence[Sequence[Look]], number: int) -> list[list[Any]]:
    """Of one class, for each checkpoint."""
    return [[one.masks[number] for one in row] for row in rows]


def labelled(dataset: Dataset, cases: Sequence[Case]) -> Labelled:
    """Images and truths in memory."""
    images = [dataset.read_image(case) for case in cases]
    truths = [
        class_masks(dataset.read_labels(case, image=image), dataset.classes)
        for case, image in zip(cases, images, strict=True)
    ]
    return Labelled(images=images, truths=truths, patients=[case.patient for case in cases])


if __name__ == "__main__":
    main()
