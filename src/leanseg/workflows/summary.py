"""From scores of single images to means with intervals, pooled figures and a comparison of two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from leanseg.metrics import audit
from leanseg.metrics.calibration import Calibration
from leanseg.metrics.intervals import Comparison, Estimate, bootstrap_mean
from leanseg.metrics.intervals import compare as compare_scores
from leanseg.metrics.overlap import Confusion
from leanseg.metrics.ranking import RankingCounts
from leanseg.workflows.scoring import OVERLAP, SCORES, ClassScores


@dataclass(frozen=True, kw_only=True)
class ClassSummary:
    """One class of one model over all images.

    Args:
        model: who predicted.
        name: the class.
        unit: of distances; "mixed" where some images have a spacing and some have not.
        images: how many were scored.
        holding: how many of them hold the class.
        both_empty: images where neither truth nor prediction holds the class; they have no Dice.
        missed: images whose prediction holds nothing of a class that is there; they count with the worst value.
        means: score -> mean over images with its interval; ``n`` images have the score.
        pooled: score -> value over the pixels of all images together.
        prevalence: share of these pixels that are true; None without pixels.
        nothing: what predicting nothing would score on them.
        everything: what predicting everything would score on them.
        calibration: the reliability diagram's counts over all images.
    """

    model: str
    name: str
    unit: str
    images: int
    holding: int
    both_empty: int
    missed: int
    means: dict[str, Estimate]
    pooled: dict[str, float]
    prevalence: float | None
    nothing: dict[str, float]
    everything: dict[str, float]
    calibration: Calibration | None = None


@dataclass(frozen=True, kw_only=True)
class ModelComparison:
    """Two models on the same images.

    Args:
        first, second: the models; the difference is first minus second.
        name: the class.
        score: which score.
        found: mean difference with its interval, Wilcoxon's p, wins and losses.
    """

    first: str
    second: str
    name: str
    score: str
    found: Comparison


def summarise(rows: Sequence[ClassScores], *, seed: int = 0) -> list[ClassSummary]:
    """Means with bootstrap 95 % intervals, for each model and class.

    Patients with several images are drawn as a whole, for their images resemble each other.

    Args:
        rows: scores of all images, classes and models.
        seed: of the bootstrap.
    """
    keys = dict.fromkeys((row.model, row.name) for row in rows)
    return [_summary([row for row in rows if (row.model, row.name) == key], seed) for key in keys]


def _summary(rows: Sequence[ClassScores], seed: int) -> ClassSummary:
    means = {}
    for score in SCORES:
        having = [(row.patient, value) for row in rows if (value := row.scores.get(score)) is not None]
        if having:
            patients, values = zip(*having, strict=True)
            means[score] = bootstrap_mean(values, groups=patients, seed=seed)
    units = {row.unit for row in rows}
    calibrations = [row.calibration for row in rows if row.calibration is not None]
    rankings = [row.ranking for row in rows if row.ranking is not None]
    counts = sum((row.counts for row in rows), Confusion())
    constant = audit.constant_ranking(counts)
    return ClassSummary(
        model=rows[0].model,
        name=rows[0].name,
        unit=units.pop() if len(units) == 1 else "mixed",
        images=len(rows),
        holding=sum(row.counts.tp + row.counts.fn > 0 for row in rows),
        both_empty=sum(row.counts.both_empty for row in rows),
        missed=sum(row.missed for row in rows),
        means=means,
        pooled=_pooled(counts, reduce(add, rankings) if rankings else None),
        prevalence=audit.prevalence(counts),
        nothing=_pooled(audit.predict_nothing(counts), constant),
        everything=_pooled(audit.predict_everything(counts), constant),
        calibration=reduce(add, calibrations) if calibrations else None,
    )


def _pooled(counts: Confusion, ranking: RankingCounts | None) -> dict[str, float]:
    values: dict[str, float | None] = {score: getattr(counts, score) for score in OVERLAP}
    if ranking is not None:
        values |= {"auroc": ranking.auroc, "average_precision": ranking.average_precision}
    return {score: value for score, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class SiteSummary:
    """One class of one model over the images of one site.

    Args:
        site: hospital or camera.
        model: who predicted.
        name: the class.
        images: how many were scored.
        dice: mean over the images that have one; None where none has.
    """

    site: str
    model: str
    name: str
    images: int
    dice: Estimate | None


def by_site(rows: Sequence[ClassScores], *, seed: int = 0) -> list[SiteSummary]:
    """The mean Dice of each site, model and class; empty unless there are several sites.

    Args:
        rows: scores of all images, classes and models.
        seed: of the bootstrap.
    """
    keys = sorted({(row.site, row.model, row.name) for row in rows})
    if len({site for site, _, _ in keys}) < 2:
        return []
    found = []
    for site, model, name in keys:
        here = [row for row in rows if (row.site, row.model, row.name) == (site, model, name)]
        having = [(row.patient, value) for row in here if (value := row.scores["dice"]) is not None]
        patients, values = zip(*having, strict=True) if having else ((), ())
        mean = bootstrap_mean(values, groups=patients, seed=seed) if having else None
        found.append(SiteSummary(site=site, model=model, name=name, images=len(here), dice=mean))
    return found


def compare_first_two(rows: Sequence[ClassScores]) -> list[ModelComparison]:
    """The first model of some rows minus the second one; nothing where there is one."""
    models = list(dict.fromkeys(row.model for row in rows))
    return compare(rows, *models[:2]) if len(models) > 1 else []


def compare(rows: Sequence[ClassScores], first: str, second: str, *, seed: int = 0) -> list[ModelComparison]:
    """Two models, image by image; only images that have the score with both are compared.

    Args:
        rows: scores of both models.
        first: name of one model.
        second: name of the other; the difference is first minus second.
        seed: of the bootstrap.
    """
    found = []
    by_model = {model: {(r.name, r.image): r.scores for r in rows if r.model == model} for model in (first, second)}
    patients = {row.image: row.patient for row in rows}
    for name in dict.fromkeys(row.name for row in rows):
        images = [image for other, image in by_model[first] if other == name and (name, image) in by_model[second]]
        for score in SCORES:
            values = [[by_model[model][name, image].get(score) for model in (first, second)] for image in images]
            both = [(image, a, b) for image, (a, b) in zip(images, values, strict=True) if None not in (a, b)]
            if both:
                there, a, b = zip(*both, strict=True)
                result = compare_scores(a, b, groups=[patients[image] for image in there], seed=seed)
                found.append(ModelComparison(first=first, second=second, name=name, score=score, found=result))
    return found
