"""Score tables as people read them, on the screen and on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import rich.box
import rich.table
from rich.console import Group
from rich.text import Text

from leanseg.metrics.intervals import Estimate
from leanseg.report.contents import Table
from leanseg.workflows.scoring import SCORES
from leanseg.workflows.summary import ClassSummary, ModelComparison, SiteSummary

NAMES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "accuracy": "Accuracy",
    "hd95": "HD95",
    "asd": "ASD",
    "nsd": "NSD",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "ece": "ECE",
    "cl_dice": "clDice",
    "pq": "PQ",
    "object_f1": "F1 of objects",
    "aji": "AJI",
}
POOLED = ("average_precision", "dice", "jaccard", "sensitivity", "precision", "specificity", "accuracy", "auroc")
"""Those that a rare class flatters come last."""
COMPARED = ("dice", "hd95", "nsd", "auroc", "cl_dice", "pq")


def interval_text(estimate: Estimate | None) -> str | None:
    """A mean and its interval in few characters.

    Example:
        >>> interval_text(Estimate(mean=0.8, interval=(0.7, 0.85), n=20, groups=20))
        '0.800 (0.700 to 0.850)'
    """
    if estimate is None:
        return None
    digits = 3 if abs(estimate.mean) < 10 else 1
    ends = "" if estimate.interval is None else " ({:.{d}f} to {:.{d}f})".format(*estimate.interval, d=digits)
    return f"{estimate.mean:.{digits}f}{ends}"


def fine(value: float | None) -> str | None:
    """A score with so many decimals that it differs from 0 and from 1.

    Example:
        >>> fine(0.5), fine(0.99394), fine(0.000612), fine(1.0)
        ('0.500', '0.9939', '0.00061', '1.000')
    """
    return None if value is None else f"{value:.{_decimals(value)}f}"


def percent(share: float) -> str:
    """A share with so many decimals that it differs from 0 and from 100 %.

    Example:
        >>> percent(0.124), percent(0.01207), percent(1 - 0.01207), percent(1 - 0.000612)
        ('12.4 %', '1.2 %', '98.8 %', '99.939 %')
    """
    return f"{100 * share:.{_decimals(share) - 2}f} %"


def _decimals(value: float) -> int:
    """Three, or two more than the zeros or nines that a number from 0 to 1 begins with."""
    gap = min(value, 1 - value)
    return min(max(3, 1 - math.floor(math.log10(gap))), 6) if gap > 0 else 3


def mean_table(summaries: Sequence[ClassSummary]) -> Table:
    """Means with intervals: one row for each score, one column for each model and class."""
    counts = (
        ("Images", *(s.images for s in summaries)),
        ("of them with the class", *(s.holding for s in summaries)),
        ("of them missed", *(s.missed for s in summaries)),
        ("of them empty in truth and prediction", *(s.both_empty for s in summaries)),
    )
    means = (
        (_heading(score, _unit(summaries)), *(interval_text(s.means.get(score)) for s in summaries))
        for score in SCORES
        if any(score in s.means for s in summaries)
    )
    return Table(
        title="Mean over images with 95 % interval",
        columns=("Score", *titles(summaries)),
        rows=[*counts, *means],
        file="scores.json",
        note="Images that are empty in truth and prediction have no Dice and are counted apart. A missed structure "
        "counts with the worst value: Dice 0, distances as long as the image's diagonal.",
    )


def pooled_table(summaries: Sequence[ClassSummary]) -> Table:
    """Scores over the pixels of all images together, and below the models those of answers that look at nothing."""
    scores = [score for score in POOLED if any(score in s.pooled for s in summaries)]
    rows: list[tuple[str | None, ...]] = []
    for name in dict.fromkeys(s.name for s in summaries):
        here = [s for s in summaries if s.name == name]
        share = here[0].prevalence
        answers = [(s.model, s.pooled) for s in here]
        answers += [("predict nothing", here[0].nothing), ("predict everything", here[0].everything)]
        for number, (answer, values) in enumerate(answers):
            known = ("", "") if number else (name, None if share is None else percent(share))
            rows.append((*known, answer, *(fine(values.get(score)) for score in scores)))
    return Table(
        title="All pixels pooled",
        columns=("Class", "Prevalence", "Answer", *(NAMES[score] for score in scores)),
        rows=rows,
        file="scores.json",
        note="The prevalence is the share of pixels that are true, and the average precision of chance. Predicting "
        "nothing and predicting everything look at no image: a score near theirs says nothing.",
    )


def site_table(sites: Sequence[SiteSummary]) -> Table:
    """Dice site by site."""
    return Table(
        title="Site by site",
        columns=("Site", "Model", "Class", "Images", "Dice, mean over images with 95 % interval"),
        rows=[(one.site, one.model, one.name, str(one.images), interval_text(one.dice)) for one in sites],
        file="scores.json",
        note="Images of one site resemble each other: a mean over all of them says little about another site.",
    )


def terminal_sites(sites: Sequence[SiteSummary]) -> rich.table.Table:
    """The same on a screen."""
    table = rich.table.Table(
        "site", "model", "class", "images", "Dice (95 % interval)", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for one in sites:
        table.add_row(Text(one.site), Text(one.model), Text(one.name), str(one.images), interval_text(one.dice) or "-")
    return table


def titles(summaries: Sequence[ClassSummary]) -> list[str]:
    """A name for each summary, without the model's where there is only one."""
    several = len({s.model for s in summaries}) > 1
    return [f"{s.name}, {s.model}" if several else s.name for s in summaries]


def _unit(summaries: Sequence[ClassSummary]) -> str:
    units = {summary.unit for summary in summaries}
    return units.pop() if len(units) == 1 else "mixed units"


def _heading(score: str, unit: str) -> str:
    return f"{NAMES[score]} ({unit})" if score in ("hd95", "asd") else NAMES[score]


def comparison_table(comparisons: Sequence[ModelComparison]) -> Table:
    """Differences of two models over the same images."""
    rows = [
        (c.name, NAMES[c.score], c.found.difference.n, interval_text(c.found.difference), c.found.p_value,
         f"{c.found.wins} : {c.found.losses}")
        for c in comparisons
        if c.score in COMPARED
    ]  # fmt: skip
    return Table(
        title=f"{comparisons[0].first} minus {comparisons[0].second}, image by image",
        columns=("Class", "Score", "Images", "Mean difference (95 %)", "p (Wilcoxon)", "Higher : lower"),
        rows=rows,
        file="scores.json",
        note="Images that have the score with both models. A p below 0.05 says that a difference is unlikely to be "
        "chance, not that it matters.",
    )


def terminal_table(summaries: Sequence[ClassSummary]) -> Group:
    """What fits on a screen: Dice with its interval and the main scores; below, the pixels pooled, beside chance."""
    shown = [score for score in ("hd95", "nsd", "cl_dice", "pq") if any(score in s.means for s in summaries)]
    means = rich.table.Table("model", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    means.add_column("class", no_wrap=True)
    means.add_column("in images")
    means.add_column("Dice (95 % interval)", no_wrap=True)
    for score in shown:
        means.add_column(_heading(score, _unit(summaries)).replace("pixels", "px"))
    means.add_column("missed")
    for s in summaries:
        values = (f"{s.means[score].mean:.3f}" if score in s.means else "-" for score in shown)
        dice = interval_text(s.means.get("dice")) or "-"
        means.add_row(Text(s.model), Text(s.name), f"{s.holding} of {s.images}", dice, *values, str(s.missed))
    return Group(means, _terminal_pooled(summaries))


def _terminal_pooled(summaries: Sequence[ClassSummary]) -> rich.table.Table:
    ranking = {"AP": "average_precision", "AUROC": "auroc"}
    shown = {name: score for name, score in ranking.items() if any(score in s.pooled for s in summaries)}
    explained = " AP, average precision: by chance the prevalence." if "AP" in shown else ""
    table = rich.table.Table(
        "model", "class", "prevalence", *shown, "accuracy", "of empty mask", box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0), caption=f" All pixels pooled.{explained}", caption_justify="left", caption_style="dim",
    )  # fmt: skip
    for s in summaries:
        share = "-" if s.prevalence is None else percent(s.prevalence)
        found = [s.pooled.get(score) for score in (*shown.values(), "accuracy")]
        values = (fine(value) or "-" for value in (*found, s.nothing.get("accuracy")))
        table.add_row(Text(s.model), Text(s.name), share, *values)
    return table


def sentence(comparison: ModelComparison) -> str:
    """A comparison in words."""
    c = comparison
    p = "" if c.found.p_value is None else f", p = {c.found.p_value:.3g}"
    return f"{c.name}: {NAMES[c.score]} of {c.first} minus {c.second} {interval_text(c.found.difference)}{p}"
