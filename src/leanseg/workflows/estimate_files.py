"""What ``leanseg estimate`` writes: a table of images, all estimates as JSON, and a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leanseg.bundle import Bundle
from leanseg.estimate.set_estimate import FLAGS
from leanseg.images.atomic import replacing
from leanseg.quality.light import light, urgency
from leanseg.report.contents import EstimateReport, Table, Verdict
from leanseg.report.html import write_report
from leanseg.types import Expected, Quality
from leanseg.workflows.config import configuration
from leanseg.workflows.estimate_class import ClassEstimate, words
from leanseg.workflows.estimate_masks import Seen

if TYPE_CHECKING:
    from leanseg.workflows.estimate import Estimate

COLUMNS = (
    "image", "class", "expected_dice", "expected_low", "expected_high", "by_reference", "reference_low",
    "reference_high", "unlike", "remarks",
)  # fmt: skip

EXPLAINED = (
    "Carry-over: the score on held-out images, as if nothing changed; where the images come from the same source it is "
    "hard to beat. Soft Dice, average confidence, DoC and ATC: what the model's own probabilities say. Pseudo: the "
    "reverse score as it is."
)


def write_estimates(
    classes: Sequence[ClassEstimate],
    paths: Sequence[Path],
    seen: Sequence[Seen],
    *,
    bundle: Bundle,
    options: Estimate,
    failed: Sequence[tuple[str, str]],
    notes: Sequence[str],
) -> None:
    """Write estimate.csv, estimate.json and report.html.

    Args:
        classes: estimates by the reference, if there was one.
        paths: of the images.
        seen: the images as the model saw them.
        bundle: the model.
        options: of the command.
        failed: images that could not be used.
        notes: what a reader must know.
    """
    out = options.out
    rows = [row for number in range(len(paths)) for row in _rows(number, classes, paths, seen, bundle)]
    with replacing(out / "estimate.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *[["" if cell is None else cell for cell in row] for row in rows]])
    content = {
        "metric": options.metric,
        "images": len(paths),
        "classes": {one.name: _plain(one) for one in classes},
        "failed": [list(pair) for pair in failed],
        "notes": list(notes),
    }
    with replacing(out / "estimate.json") as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    write_report(_report(classes, rows, seen, paths, bundle, options, failed, notes), out / "report.html")


def _rows(
    number: int, classes: Sequence[ClassEstimate], paths: Sequence[Path], seen: Sequence[Seen], bundle: Bundle
) -> list[list[Any]]:
    """One row for each class of an image."""
    quality = seen[number].quality or Quality(dice={})
    single = {one.name: one.single[number] for one in classes if one.single}
    rows = []
    for name in bundle.classes.names:
        own, other = quality.dice.get(name, Expected()), single.get(name)
        known = (other.dice, *other.interval) if other is not None else (None, None, None)
        remarks = "; ".join(part for part in (own.note, *quality.reasons, words(other.flags) if other else "") if part)
        rows.append([str(paths[number]), name, own.value, own.low, own.high, *known, quality.unlike, remarks])
    return rows


def _plain(one: ClassEstimate) -> dict[str, Any]:
    low, high = one.whole.interval
    return {
        "expected": one.whole.value,
        "interval": [low, high],
        "held_out": one.held_out,
        "slope": one.whole.slope,
        "intercept": one.whole.intercept,
        "flags": list(one.whole.flags),
        "baselines": dict(one.baselines),
    }


def _report(
    classes: Sequence[ClassEstimate],
    rows: Sequence[Sequence[Any]],
    seen: Sequence[Seen],
    paths: Sequence[Path],
    bundle: Bundle,
    options: Estimate,
    failed: Sequence[tuple[str, str]],
    notes: Sequence[str],
) -> EstimateReport:
    summary = Table(
        columns=("class", f"expected {options.metric}", "low", "high", "on held-out images", "remarks"),
        rows=[
            [one.name, one.whole.value, *one.whole.interval, one.held_out, "; ".join(FLAGS[f] for f in one.whole.flags)]
            for one in classes
        ],
        file="estimate.json",
        note="The interval (95 %) knows how much hangs on which images there are, not how wrong the method may be.",
    )
    names = list(dict.fromkeys(name for one in classes for name in one.baselines))
    simpler = Table(
        columns=("class", *names),
        rows=[[one.name, *(one.baselines.get(name) for name in names)] for one in classes],
        note=EXPLAINED,
    )
    verdicts = [_verdict(row, seen[n // len(bundle.classes.names)], bundle) for n, row in enumerate(rows)]
    order = sorted(verdicts, key=lambda one: urgency(one.light, one.low if one.low is not None else one.value))
    return EstimateReport(
        title=f"Expected quality: {bundle.name}",
        facts={"model": bundle.name, "images": len(paths), "not used": len(failed), "reference": bool(classes)},
        notes=[
            *notes,
            *([] if classes else ["Without --reference only what the model expects of each image is listed."]),
        ],
        configuration=configuration(options),
        tables=[summary, simpler] if classes else [],
        verdicts=order,
        failed=failed,
    )


def _verdict(row: Sequence[Any], seen: Seen, bundle: Bundle) -> Verdict:
    image, name, *own, value, low, high, _, remarks = row
    by_reference = value is not None
    numbers = (value, low, high) if by_reference else tuple(own)
    quality = seen.quality or Quality(dice={})
    usual = quality.dice.get(name, Expected()).usual
    expected = Expected(value=numbers[0], low=numbers[1], high=numbers[2], usual=usual, note=remarks)
    found, why = light(expected, quality)
    title = Path(image).stem if len(bundle.classes.names) == 1 else f"{Path(image).stem}, {name}"
    return Verdict(light=found, title=title, value=numbers[0], low=numbers[1], high=numbers[2], why=why)
