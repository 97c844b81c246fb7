"""``leanseg evaluate``: scores with intervals for a model, for two models, or for the masks of any tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leanseg.data.dataset import SPLITS, Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.errors import UsageError
from leanseg.inference.backends import BackendName
from leanseg.inference.instances import instances
from leanseg.inference.memory import parse_memory
from leanseg.report.contents import EvaluateReport
from leanseg.report.html import write_report
from leanseg.workflows.config import configuration, write_config
from leanseg.workflows.contestants import Contestant, MaskFolder, Model, models
from leanseg.workflows.evaluation import Evaluation, evaluate_cases
from leanseg.workflows.score_files import remarks, score_sections, write_scores
from leanseg.workflows.score_tables import sentence, terminal_table
from leanseg.workflows.scoring import Tolerance

SHOWN = 10
"""Problems that are named on the screen; scores.json names all."""


@dataclass(kw_only=True)
class Evaluate:
    """Score a model, compare two, or score masks of any tool; writes scores.csv, scores.json and report.html.

    Scores are means over images with bootstrap 95 % intervals, inside the valid area, at full resolution. A missed
    structure counts with the worst value.

    Args:
        data: a dataset with masks.
        out: the folder for the results.
        model: a model's name or folder; give it twice to compare two.
        predictions: a folder of masks with the images' names, made by any tool.
        split: which part of the dataset; a dataset without splits is scored as a whole.
        tolerance_mm: distance that normalised surface Dice forgives where the spacing is known.
        tolerance_pixels: the same for images without a spacing.
        cl_dice: also score centre lines, for vessels and other tubes.
        instances: also score single objects, such as nuclei: masks are parted as by segment --instances, the truth by
            the numbers in DATA/instances/, or else into its connected pieces. Predictions that are numbered, in
            instances/ or in their masks, are taken as they are.
        separation: how far objects stand out before they are parted, in pixels.
        smallest: pixels of the smallest object.
        flips: average over mirrored copies of the image.
        threads: processor threads; all by default.
        memory: the most memory for one image, for instance 2GB.
        device: cpu, cuda or mps.
        backend: what computes the model; auto takes the fastest that is installed.
        half: compute in bfloat16, by openvino or torch.
    """

    data: tyro.conf.Positional[Path]
    out: Path
    model: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    predictions: Path | None = None
    split: Literal["train", "val", "test", "all"] = "test"
    tolerance_mm: float = 1.0
    tolerance_pixels: float = 2.0
    cl_dice: bool = False
    instances: bool = False
    separation: float = 1.0
    smallest: int = 0
    flips: bool = False
    threads: int | None = None
    memory: str | None = None
    device: str = "cpu"
    backend: BackendName = "auto"
    half: bool = False

    def run(self) -> Evaluation:
        """Score, print a table, and write the results.

        Raises:
            UsageError: nothing to score, or options that do not fit together.
            InputError: the dataset or a model cannot be opened.
        """
        if not self.model and self.predictions is None:
            raise UsageError("what should be scored? Give --model NAME or --predictions DIR")
        if (self.separation != 1 or self.smallest) and not self.instances:
            raise UsageError("--separation and --smallest are for single objects: give --instances as well")
        dataset = open_dataset(self.data)
        cases = self._cases(dataset)
        part = partial(instances, separation=self.separation, smallest=self.smallest) if self.instances else None
        tolerance = Tolerance(mm=self.tolerance_mm, pixels=self.tolerance_pixels)
        contestants = self._contestants(dataset)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("scoring", total=len(cases))
            result = evaluate_cases(
                dataset, cases, contestants, tolerance=tolerance, cl_dice=self.cl_dice, parting=part,
                trained_on={c.name: c.predictor.bundle.trained_on for c in contestants if isinstance(c, Model)},
                advance=lambda: progress.advance(task),
            )  # fmt: skip
        facts = self._facts(dataset, cases, contestants)
        notes = (*dataset.notes, *_about_names(contestants, dataset), *self._about_splits(dataset), *remarks(result))
        write_config(self, self.out)
        write_scores(result, self.out, facts=facts)
        report = EvaluateReport(
            title=f"Scores on {facts['Data']}",
            facts=facts,
            notes=notes,
            configuration=configuration(self),
            **score_sections(result),
        )
        write_report(report, self.out / "report.html")
        self._say(result, notes)
        return result

    def _cases(self, dataset: Dataset) -> Sequence[Case]:
        if not dataset.cases:
            raise UsageError(f"{self.data}: no image has a mask, so that nothing can be scored")
        if self.split == "all" or not _has_splits(dataset):
            return dataset.cases
        chosen = dataset.subset(self.split)
        if not chosen:
            found = ", ".join(f"{split} {len(dataset.subset(split))}" for split in SPLITS if dataset.subset(split))
            raise UsageError(
                f"{self.data}: the split {self.split!r} is empty (images: {found}); choose another --split"
            )
        return chosen

    def _contestants(self, dataset: Dataset) -> list[Contestant]:
        memory = None if self.memory is None else parse_memory(self.memory)
        contestants: list[Contestant] = [
            *models(
                self.model,
                dataset.classes,
                device=self.device,
                threads=self.threads,
                memory=memory,
                flips=self.flips,
                backend=self.backend,
                half=self.half,
            )
        ]
        if self.predictions is not None:
            contestants.append(MaskFolder(self.predictions, classes=dataset.classes, numbered=self.instances))
        return contestants

    def _about_splits(self, dataset: Dataset) -> tuple[str, ...]:
        if self.split == "all" or _has_splits(dataset):
            return ()
        return (
            "This dataset names no splits: all its images were scored. Images that a model was trained on flatter it.",
        )

    def _facts(self, dataset: Dataset, cases: Sequence[Case], contestants: Sequence[Contestant]) -> dict[str, object]:
        return {
            "Scored": ", ".join(contestant.name for contestant in contestants),
            "Data": dataset.name or dataset.root.resolve().name,
            "Split": self.split if _has_splits(dataset) else "none, all images",
            "Images": len(cases),
            "Patients": len({case.patient for case in cases}),
            "Surface tolerance": f"{self.tolerance_mm:g} mm, or {self.tolerance_pixels:g} pixels without a spacing",
        }

    def _say(self, result: Evaluation, notes: Sequence[str]) -> None:
        console = Console()
        if result.summaries:
            console.print(terminal_table(result.summaries))
        for note in notes:
            console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
        for file, reason in result.failed[:SHOWN]:
            console.print(f"[red]problem[/] {escape(f'{file}: {reason}')}", highlight=False, soft_wrap=True)
        if len(result.failed) > SHOWN:
            console.print(f"and {len(result.failed) - SHOWN} more problems, all in scores.json", highlight=False)
        for comparison in result.comparisons:
            if comparison.score == "dice":
                console.print(escape(sentence(comparison)), highlight=False, soft_wrap=True)
        console.print(f"{escape(str(self.out))}: scores.csv, scores.json, report.html, config.json", highlight=False)


def _has_splits(dataset: Dataset) -> bool:
    return any(case.split for case in dataset.cases)


def _about_names(contestants: Sequence[Contestant], dataset: Dataset) -> list[str]:
    """Models whose one class is called otherwise than the dataset's one class, which it is compared with."""
    (wanted, *more) = dataset.classes.names
    known = {one.name: one.predictor.bundle.classes.names for one in contestants if isinstance(one, Model)}
    return [
        f"{model} segments {names[0]}; scored as the dataset's {wanted}. If these are different things, score another."
        for model, names in known.items()
        if not more and names != (wanted,)
    ]
