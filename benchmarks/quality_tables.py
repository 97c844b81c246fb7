"""Tables of ``quality.py``: one row for each way to judge a mask or a set, and for each change of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from leanseg.estimate.conformal import conformal_quantile
from markdown_table import markdown_table

Content = Mapping[str, Any]
Floats = NDArray[np.float64]

MISSED = 0.7
"""A Dice below which a mask is poor, for the column that asks whether poor masks are found."""

ENOUGH = 0.6
"""Held-out Dice from which a checkpoint is a late one."""


def pages(contents: Mapping[str, Content | None]) -> dict[str, str]:
    """Pages by name, from the results of each set."""
    there = {name: content for name, content in contents.items() if content is not None and content["runs"]}
    if not there:
        nothing = "*Not run yet: `make bench NAME=quality`.*\n"
        return dict.fromkeys(("quality_images", "quality_sets", "quality_calibration"), nothing)
    seeds = ", ".join(f"{name} {len({run['seed'] for run in content['runs']})}" for name, content in there.items())
    made = f"\nMade by `benchmarks/quality.py`; seeds: {seeds}.\n"
    return {
        "quality_images": images_page(there) + made,
        "quality_sets": sets_page(there) + made,
        "quality_calibration": calibration_page(there) + made,
    }


def images_page(contents: Mapping[str, Content]) -> str:
    """Ways to judge single masks, clean; then how the default does under each change."""
    blocks = []
    for name, content in contents.items():
        rows = [
            [WAYS.get(way, way), *_judged([_apply(way, run, "clean") for run in content["runs"]])]
            for way in ("ours", "clean only", "reverse", "percentiles", "soft", "area", "constant")
        ]
        table = markdown_table(["expected by", *JUDGED], *rows, numbers=True)
        blocks.append(f"**{name.capitalize()}, clean test images**\n\n{table}")
    for name, content in contents.items():
        rows = [
            [target, *_judged([_apply("ours", run, target) for run in content["runs"]]), *_found(content, target)]
            for target in dict.fromkeys(target for run in content["runs"] for target in run["targets"])
        ]
        table = markdown_table(["images", *JUDGED, "called unlike", "AUROC of unlike"], *rows, numbers=True)
        blocks.append(f"**{name.capitalize()}, changed images and other sources**\n\n{table}")
    return "\n\n".join(blocks) + "\n"


JUDGED = ("masks", "mean Dice", "mean error", "correlation", "in the interval", "its width", "AUROC of poor masks")
WAYS = {
    "ours": "leanseg",
    "clean only": "leanseg, without spoilt copies",
    "reverse": "reverse accuracy (needs labelled references)",
    "percentiles": "reverse accuracy, published intervals",
    "soft": "soft Dice, same intervals",
    "area": "area of the mask, same intervals",
    "constant": "mean of validation, same intervals",
}


def _apply(way: str, run: Mapping[str, Any], target: str) -> list[tuple[float, float, float, float]]:
    """True Dice, expected Dice and interval of every mask that the way can judge."""
    if target not in run["targets"]:
        return []
    found = []
    for number, rows in enumerate(run["targets"][target]["images"]):
        rule = _rule(way, run["validation"][number])
        for row in rows:
            value, low, high = rule(row)
            if value is not None:
                found.append((row["dice"], value, 0.0 if low is None else low, 1.0 if high is None else high))
    return found


def _rule(way: str, known: Sequence[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], tuple[Any, Any, Any]]:
    if way in ("ours", "clean only", "reverse", "percentiles"):
        return lambda row: (row.get(way), row.get(f"{way}, low"), row.get(f"{way}, high"))
    usable = [one for one in known if one["dice"] is not None and one["soft"] is not None]
    dice = np.array([one["dice"] for one in usable])
    x = np.array([{"soft": one["soft"], "area": one["area"], "constant": 0.0}[way] for one in usable])
    # Errors of lines that do not know the image, as the others' errors are.
    off = [abs(_line(np.delete(x, i), np.delete(dice, i))(x[i]) - dice[i]) for i in range(len(x))]
    margin, line = conformal_quantile(off, 0.1), _line(x, dice)

    def rule(row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        if row["soft"] is None:
            return None, None, None
        value = float(np.clip(line(0.0 if way == "constant" else row[way]), 0, 1))
        return value, max(0.0, value - margin), min(1.0, value + margin)

    return rule


def _line(x: Floats, y: Floats) -> Callable[[float], float]:
    slope = float(np.cov(x, y)[0, 1] / x.var(ddof=1)) if len(x) > 2 and x.var() > 1e-9 else 0.0
    return lambda at: float(y.mean() + slope * (at - x.mean()))


def _judged(runs: Sequence[Sequence[tuple[float, float, float, float]]]) -> list[str]:
    """Over all runs together; correlation and AUROC too, as good and poor models are in one pool."""
    pool = np.array([row for run in runs for row in run])
    if not len(pool):
        return ["0", *[""] * (len(JUDGED) - 1)]
    dice, value, low, high = pool.T
    poor = dice < MISSED
    moving = value.std() > 1e-9 and dice.std() > 1e-9
    return [
        str(len(pool)),
        f"{dice.mean():.3f}",
        f"{np.abs(value - dice).mean():.3f}",
        f"{np.corrcoef(value, dice)[0, 1]:.2f}" if moving else "",
        f"{np.mean((low <= dice) & (dice <= high)):.3f}",
        f"{np.mean(high - low):.2f}",
        f"{roc_auc_score(poor, -value):.2f}" if 0 < poor.sum() < len(poor) else "",
    ]


def _found(content: Content, target: str) -> tuple[str, str]:
    """How many images are called unlike, and how well their distance tells them from clean ones."""
    shares, areas = [], []
    for run in content["runs"]:
        if target not in run["targets"]:
            continue
        here, clean = (run["targets"][name] for name in (target, "clean"))
        away, usual = ([row["distance"] for row in part["images"][0]] for part in (here, clean))
        shares.append(np.mean(np.array(away) > here["limit"]))
        areas.append(roc_auc_score([1] * len(away) + [0] * len(usual), [*away, *usual]))
    return f"{np.mean(shares):.0%}", "" if target == "clean" else f"{np.mean(areas):.2f}"


SETS = {
    "SPE, difference": "SPE, difference (default)",
    "SPE, line": "SPE, line (published)",
    "one checkpoint": "SPE, difference, one checkpoint",
    "carry-over": "held-out score carried over",
    "constant": "constant",
    "pseudo": "pseudo score as it is",
    "soft Dice": "soft Dice",
    "soft Dice, line": "soft Dice, line",
    "average confidence": "average confidence",
    "average confidence, line": "average confidence, line",
    "DoC": "DoC",
    "ATC": "ATC",
}


def sets_page(contents: Mapping[str, Content]) -> str:
    """Mean absolute errors of set means: clean, changed, other sources; finished models, and all checkpoints."""
    rows = []
    for key, title in SETS.items():
        cells = [title]
        for kind in ("clean", "changed", "other"):
            errors = [abs(a - b) for a, b, _ in _sets(contents, key, kind) if a is not None]
            cells.append(f"{np.mean(errors):.3f}" if errors else "")
        for late in (False, True):
            pairs = np.array(
                [p for kind in ("clean", "changed", "other") for p in _checkpoints(contents, key, kind, late)]
            )
            cells.append(f"{np.abs(pairs[:, 0] - pairs[:, 1]).mean():.3f}" if len(pairs) else "")
            cells.append(_pearson(pairs))
        rows.append(cells)
    count = {kind: len(list(_sets(contents, "carry-over", kind))) for kind in ("clean", "changed", "other")}
    head = ["estimate", *(f"error, {kind} ({number} sets)" for kind, number in count.items())]
    head += ["all checkpoints: error", "r", "late ones: error", "r"]
    note = "Errors are mean absolute differences of the mean Dice of a set; other sources are cameras and sites."
    return markdown_table(head, *rows, numbers=True) + f"\n\n{note}\n"


def _pearson(pairs: Floats) -> str:
    if len(pairs) < 3 or pairs[:, 0].std() < 1e-9:
        return ""
    return f"{np.corrcoef(pairs.T)[0, 1]:.2f}"


def _targets(contents: Mapping[str, Content], kind: str) -> Iterator[Mapping[str, Any]]:
    from quality_sets import SHIFTS

    for content in contents.values():
        for run in content["runs"]:
            for name, target in run["targets"].items():
                if kind == ("clean" if name == "clean" else "changed" if name in SHIFTS else "other"):
                    yield from target["sets"]


def _sets(contents: Mapping[str, Content], key: str, kind: str) -> Iterator[tuple[float, float, float]]:
    """Estimate, truth and held-out score of finished models."""
    for one in _targets(contents, kind):
        value = one["one checkpoint"] if key == "one checkpoint" else one["estimates"].get(key, [None])[-1]
        if value is not None:
            yield value, one["real"][-1], one["held"][-1]


def _checkpoints(contents: Mapping[str, Content], key: str, kind: str, late: bool) -> Iterator[tuple[float, float]]:
    """Estimate and truth of every checkpoint, or of the late ones."""
    for one in _targets(contents, kind):
        values = one["estimates"].get(key, [])
        for value, real, held in zip(values, one["real"], one["held"], strict=False):
            if not late or held >= ENOUGH:
                yield value, real


def _mean(found: Sequence[Mapping[str, Any]], key: str) -> str:
    """Empty where not all have it."""
    return f"{np.mean([one[key] for one in found]):.4f}" if all(key in one for one in found) else ""


def calibration_page(contents: Mapping[str, Content]) -> str:
    """Calibration error and Brier score of all pixels without and with the fitted temperature."""
    rows = []
    keys = ("before", "after", "Brier before", "Brier after")
    for name, content in contents.items():
        for kind in ("good", "poor"):
            runs = [run for run in content["runs"] if run["arm"] == kind]
            found = [one for run in runs for one in run["targets"]["clean"]["calibration"]]
            changed = [
                one for run in runs for target, part in run["targets"].items() if target != "clean"
                for one in part["calibration"]
            ]  # fmt: skip
            if found:
                cells = [_mean(part, key) for part in (found, changed) for key in keys]
                rows.append([f"{name}, {kind} models", *cells])
    shown = ("error", "error, temperature", "Brier", "Brier, temperature")
    head = ["models", *(f"{where}: {what}" for where in ("clean", "changed") for what in shown)]
    return markdown_table(head, *rows, numbers=True) + "\n"
