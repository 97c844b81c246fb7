"""The report of a training: plan, curves, scores, cases, calibration, time and memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leanseg.bundle import Bundle
from leanseg.data.dataset import Dataset
from leanseg.images.atomic import replacing
from leanseg.methods import method_class
from leanseg.report.charts import Curve
from leanseg.report.contents import TrainReport
from leanseg.report.html import write_report
from leanseg.workflows.config import configuration
from leanseg.workflows.evaluation import Evaluation
from leanseg.workflows.fitting import METRICS
from leanseg.workflows.plan import Plan
from leanseg.workflows.score_files import remarks, score_sections

if TYPE_CHECKING:
    from leanseg.workflows.clock import Clock
    from leanseg.workflows.train import Train

FACTS = "facts.json"


def write_train_report(
    options: Train, dataset: Dataset, plan: Plan, bundle: Bundle, result: Evaluation, clock: Clock
) -> Path:
    """Write ``OUT/report.html``, and time, memory and size as ``OUT/facts.json``."""
    folders = [options.out / f"fold-{number}" for number in range(options.folds)]
    stages = method_class(options.method).stages_for(dataset.classes)
    logs = [[folder / stage / METRICS for stage in stages] for folder in folders]
    loss, dice = _curves(logs, "loss"), _curves(logs, "val_dice")
    tested = bool(dataset.subset("test"))
    last = _curves([[logs[0][-1]]], "val_dice")[0]
    scored = f"{'test' if tested else 'validation'} images, {len(result.rows)} rows"
    if tested and options.leave_out is not None:
        scored += f"; means are those of the site {options.leave_out}, which was left out"
    before = dice[0].x[-1] - last.x[-1] if last.x else 0.0
    thresholds = ", ".join(f"{t:.3f}" for t in bundle.threshold)
    report = TrainReport(
        title=f"Training on {dataset.name or dataset.root.resolve().name}",
        facts={
            "Data": ", ".join(f"{len(dataset.subset(s))} {s}" for s in ("train", "val", "test")),
            "Scored": scored,
            "Threshold": thresholds if bundle.classes.sigmoid else "most probable class",
            "Temperature": ", ".join(f"{t:.3f}" for part in bundle.parts for t in part.temperature),
        },
        notes=(*dataset.notes, *remarks(result), *_no_test(options, tested)),
        configuration=configuration(options),
        plan=plan.decisions,
        loss=loss,
        dice=dice,
        chosen=before + last.x[last.y.index(max(last.y))] if last.y else None,
        seconds=clock.seconds,
        peak_memory=clock.peak_memory,
        parameters=_parameters(bundle),
        **score_sections(result),
    )
    facts = {
        "seconds": report.seconds,
        "processor_seconds": clock.processor_seconds,
        "peak_memory": report.peak_memory,
        "parameters": report.parameters,
    }
    with replacing(options.out / FACTS) as part:
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return write_report(report, options.out / "report.html")


def _no_test(options: Train, tested: bool) -> Sequence[str]:
    if tested:
        return ()
    note = "There is no test split: these are validation images, which chose weights and threshold. Each was judged by "
    note += "a network that did not learn from it."
    return (note, "The model was trained once more after this, on all images.") if options.refit else (note,)


def _curves(folds: Sequence[Sequence[Path]], column: str) -> list[Curve]:
    """One curve for each fold, its stages after each other."""
    curves = []
    for number, logs in enumerate(folds):
        points: list[tuple[float, float]] = []
        for log in logs:
            begun = points[-1][0] + 1 if points else 0.0
            with log.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get(column)]
            points += [(begun + float(row["epoch"]), float(row[column])) for row in rows]
        name = column if len(folds) == 1 else f"fold {number}"
        curves.append(Curve(name=name, x=[x for x, _ in points], y=[y for _, y in points]))
    return curves


def _parameters(bundle: Bundle) -> int:
    from leanseg import nets

    total = 0
    for part in bundle.parts:
        net = nets.create(part.net, trust=True, **part.keywords)
        total += sum(p.numel() for p in net.parameters())
    return total
