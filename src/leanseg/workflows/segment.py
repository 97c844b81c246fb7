"""``leanseg segment``: masks, overlays, a table and a report for images of any kind."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leanseg.bundle import Bundle, read_bundle
from leanseg.errors import InputError, UsageError
from leanseg.images.read import list_images, passed_over
from leanseg.images.write import class_folder
from leanseg.inference.backends import BackendName
from leanseg.inference.instances import instances
from leanseg.inference.memory import parse_memory
from leanseg.inference.predictor import Predictor
from leanseg.report.contents import Picture, SegmentReport, Table, Verdict
from leanseg.report.html import write_report
from leanseg.types import Classes
from leanseg.workflows.config import configuration, write_config
from leanseg.workflows.naming import unique_stems
from leanseg.workflows.segment_one import Wanted, segment_one
from leanseg.workflows.segment_review import need, write_review
from leanseg.workflows.segment_rows import COLUMNS, SegmentRow, TableWriter, cells, read_rows

TABLE, REPORT = "segmentation.csv", "report.html"
NAMED = 5
"""Of the files and folders that are no images."""
PICTURES = 60
"""Overlays that the report shows, of the images that need a person most; all of them are files beside it."""


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What a run did.

    Args:
        rows: one for each image and class segmented in this run.
        skipped: images that had their masks already.
        failed: file and reason of each image that could not be segmented.
        out: the folder of results.
    """

    rows: tuple[SegmentRow, ...]
    skipped: int
    failed: tuple[tuple[str, str], ...]
    out: Path

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some images failed."""
        done = bool(self.rows) or self.skipped > 0
        return 0 if not self.failed else 3 if done else 1


@dataclass(kw_only=True)
class Segment:
    """Segment images: masks, overlays, a table and a report.

    Args:
        images: files, folders, patterns or DICOM series folders.
        model: the name of a model that comes with leanseg, or the folder of one.
        out: the folder for the results.
        probabilities: also write a map of probabilities for each class.
        contours: also write outlines as GeoJSON, for instance for QuPath.
        overlays: write the outlines over each picture.
        instances: part objects that touch, such as nuclei: numbered in instances/, counted in the table.
        separation: how far objects stand out before they are parted, in pixels; more parts fewer.
        smallest: pixels of the smallest object.
        report: write report.html.
        review_below: the expected Dice that is good enough; images that may be worse are listed in review.csv, those
            that need a person most first. The report's traffic light uses it too; by default it asks for what nine of
            ten validation images of the model could be trusted to reach.
        flips: average over mirrored copies: four times slower, a little better.
        skip_existing: leave out images of which all that is asked for is in the folder already.
        threads: processor threads; all by default.
        memory: the most memory to take, for instance 2GB (the default); larger TIFF files are read in pieces.
        device: where the model runs; mps needs torch.
        backend: what computes the model; auto takes the fastest that is installed.
        half: compute in bfloat16, by openvino or torch: faster on newer processors, a few pixels differ.
    """

    images: tyro.conf.Positional[tuple[Path, ...]]
    model: str
    out: Path
    probabilities: bool = False
    contours: bool = False
    overlays: bool = True
    instances: bool = False
    separation: float = 1.0
    smallest: int = 0
    report: bool = True
    review_below: float | None = None
    flips: bool = False
    skip_existing: bool = False
    threads: int | None = None
    memory: str | None = None
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    backend: BackendName = "auto"
    half: bool = False

    def run(self) -> Segmented:
        """Segment every image; a broken one is named at the end and the others go on.

        Raises:
            UsageError: no images named, or options that do not fit.
            InputError: the model cannot be used.
        """
        if not self.images:
            raise UsageError("what should be segmented? Name files, folders or patterns")
        if self.separation <= 0 or self.smallest < 0:
            msg = f"--separation is above 0 and --smallest from 0, found {self.separation} and {self.smallest}"
            raise UsageError(msg)
        if (self.separation != 1 or self.smallest) and not self.instances:
            raise UsageError("--separation and --smallest are for single objects: give --instances as well")
        if self.review_below is not None and not 0 < self.review_below <= 1:
            raise UsageError(f"--review-below is a Dice between 0 and 1, found {self.review_below}")
        begun = time.monotonic()
        predictor = self._predictor()
        failed: list[tuple[str, str]] = []
        paths = self._paths(failed)
        stems = unique_stems(paths)
        self._check_same_model()
        classes = predictor.bundle.classes
        rows = {line[1]: line[0] for line in read_rows(self.out / TABLE)} if self.skip_existing else {}
        # A mask without its row is what an interrupted run left; one of another file is not of this image.
        kept = [
            _same_file(path, rows.get(stem)) and all(_has_file(folder, stem) for folder in self._folders(classes))
            for path, stem in zip(paths, stems, strict=True)
        ]
        todo = [pair for pair, done in zip(zip(paths, stems, strict=True), kept, strict=True) if not done]
        write_config(self, self.out)
        found, pictures = self._segment(predictor, todo, failed)
        result = Segmented(rows=tuple(found), skipped=sum(kept), failed=tuple(failed), out=self.out)
        if self.review_below is not None:
            write_review(self.out)
        # Where nothing was left to do, the page of the earlier run says more.
        if self.report and (todo or failed or not (self.out / REPORT).is_file()):
            self._write_report(result, predictor.bundle, pictures, time.monotonic() - begun)
        _tell(result)
        return result

    def _predictor(self) -> Predictor:
        memory = parse_memory(self.memory) if self.memory is not None else None
        return Predictor(
            bundle=read_bundle(self.model),
            device=self.device,
            threads=self.threads,
            memory=memory,
            flips=self.flips,
            backend=self.backend,
            half=self.half,
        )

    def _paths(self, failed: list[tuple[str, str]]) -> list[Path]:
        found: dict[Path, None] = {}
        for named in self.images:
            try:
                found.update(dict.fromkeys(list_images(named)))
                if named.is_dir() and (others := passed_over(named)):
                    _tell_passed_over(named, others)
            except InputError as error:
                failed.append((str(error.path), error.message))
        return list(found)

    def _check_same_model(self) -> None:
        """Masks of two models in one folder could not be told apart."""
        config = self.out / "config.json"
        if not (self.skip_existing and config.is_file()):
            return
        try:
            before = json.loads(config.read_text(encoding="utf-8")).get("model")
        except (ValueError, AttributeError):
            return
        if before is not None and before != self.model:
            raise UsageError(f"{self.out} holds results of the model {before}; choose another --out for {self.model}")

    def _segment(
        self, predictor: Predictor, todo: Sequence[tuple[Path, str]], failed: list[tuple[str, str]]
    ) -> tuple[list[SegmentRow], list[Picture]]:
        part = partial(instances, separation=self.separation, smallest=self.smallest)
        wanted = Wanted(
            probabilities=self.probabilities,
            contours=self.contours,
            overlays=self.overlays,
            instances=part if self.instances else None,
            below=self.review_below,
        )
        rows: list[SegmentRow] = []
        pictures: list[tuple[tuple[int, float], Picture]] = []
        table = self.out / TABLE
        again = {stem for _, stem in todo}
        before = [line for line in read_rows(table) if line[1] not in again] if self.skip_existing else []
        columns = (TextColumn("segmenting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            TableWriter(table, before=before) as writer,
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ):
            for path, stem in progress.track(todo):
                try:
                    found = segment_one(path, stem=stem, predictor=predictor, out=self.out, wanted=wanted)
                except InputError as error:
                    failed.append((str(error.path), error.message))
                    continue
                except (MemoryError, OSError) as error:
                    failed.append((str(path), f"{type(error).__name__}: {error}"))
                    continue
                rows += found.rows
                writer.add(found.rows)
                if found.picture is not None and self.report:
                    file = f"overlays/{stem}.png"
                    shown = Picture.of(found.picture, title=stem, caption=_caption(found.rows), file=file)
                    urgent = (min(need(row) for row in found.rows), shown)
                    pictures = sorted([*pictures, urgent], key=itemgetter(0))[:PICTURES]
        return sorted(rows, key=need), [shown for _, shown in pictures]

    def _folders(self, classes: Classes) -> list[Path]:
        """All that hold a file of each image once it is done, but for pictures to look at."""
        masks, objects = self.out / "masks", self.out / "instances"
        asked = {"probabilities": self.probabilities, "contours": self.contours, "merged": classes.overlapping}
        more = [self.out / name for name, wanted in asked.items() if wanted]
        single = {masks: classes.overlapping, objects: len(classes.names) > 1}
        wanted = [masks, objects] if self.instances else [masks]
        parts = [[class_folder(f, name) for name in classes.names] if single[f] else [f] for f in wanted]
        return [*more, *chain.from_iterable(parts)]

    def _write_report(self, result: Segmented, bundle: Bundle, pictures: Sequence[Picture], seconds: float) -> None:
        count = len({row.mask for row in result.rows})
        notes = [f"{result.skipped} images had masks already and are not listed here."] if result.skipped else []
        if self.overlays and count > len(pictures):
            notes.append(f"Shown are {len(pictures)} of {count} overlays, worst first; all are in overlays/.")
        left = COLUMNS.index("expected_dice")
        columns = [*COLUMNS[:left], COLUMNS[-1]]
        rows = [[*cells(row)[:left], cells(row)[-1]] for row in sorted(result.rows, key=_named)]
        table = Table(columns=columns, rows=rows, file=TABLE)
        facts = {
            "model": bundle.name,
            "classes": ", ".join(bundle.classes.names),
            "images": count,
            "not segmented": len(result.failed),
            "time": f"{seconds:.1f} s",
        }
        report = SegmentReport(
            title=f"Segmentation: {bundle.name}",
            facts=facts,
            notes=notes,
            verdicts=[_verdict(row, several=len(bundle.classes.names) > 1) for row in result.rows],
            configuration=configuration(self),
            table=table,
            pictures=pictures,
            failed=result.failed,
        )
        write_report(report, self.out / REPORT)


def _same_file(path: Path, known: str | None) -> bool:
    return known is not None and (known == str(path) or Path(known).resolve() == path.resolve())


def _has_file(folder: Path, stem: str) -> bool:
    return any((folder / f"{stem}{ending}").is_file() for ending in (".png", ".tif", ".nii.gz", ".geojson"))


def _named(row: SegmentRow) -> tuple[str, str]:
    return row.mask, row.name


def _verdict(row: SegmentRow, *, several: bool) -> Verdict:
    title = f"{row.mask}, {row.name}" if several else row.mask
    value, low, high = row.expected_dice, row.expected_low, row.expected_high
    return Verdict(light=row.review, title=title, value=value, low=low, high=high, why=row.why)


def _caption(rows: Sequence[SegmentRow]) -> str:
    return ", ".join(f"{row.name} {row.fraction:.1%}" for row in rows)


def _tell_passed_over(folder: Path, names: Sequence[str]) -> None:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    text = f"note: {folder}: not images that leanseg reads: {', '.join(names[:NAMED])}{more}"
    Console(stderr=True, highlight=False).print(escape(text), soft_wrap=True)


def _tell(result: Segmented) -> None:
    console = Console(stderr=True, highlight=False)
    for name, reason in result.failed:
        console.print(f"[red]not segmented[/] {escape(name)}: {escape(reason)}", soft_wrap=True)
    count = len({row.mask for row in result.rows})
    words = [f"{count} segmented", f"{result.skipped} skipped", f"{len(result.failed)} failed"]
    if doubted := len({row.mask for row in result.rows if row.review in ("look first", "look")}):
        words.append(f"{doubted} to look at (see the column review of {TABLE})")
    console.print(f"{', '.join(words)}. Results are in {escape(str(result.out))}", soft_wrap=True)
