"""``leanseg estimate``: how well a model does on images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Terminal

from leanseg.bundle import Bundle, read_bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.splits import complete_splits
from leanseg.errors import InputError, UsageError
from leanseg.estimate.reverse import ReverseSegmenter, create
from leanseg.estimate.set_estimate import FLAGS
from leanseg.images.digest import pixel_digest
from leanseg.images.image import Image
from leanseg.images.read import list_images, read_image
from leanseg.workflows.config import write_config
from leanseg.workflows.estimate_class import ClassEstimate, Evidence, Labelled, estimate_class
from leanseg.workflows.estimate_files import write_estimates
from leanseg.workflows.estimate_masks import Seen, checkpoints, look
from leanseg.workflows.scoring import class_masks

Metric = Literal["dice", "jaccard", "precision", "sensitivity", "pearson", "hd95", "asd", "nsd"]


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """What a run found.

    Args:
        classes: estimates by the reference; empty without one.
        images: the files.
        seen: each of them as the finished model saw it.
        failed: file and reason of each image that could not be used.
        notes: what a reader must know of them.
    """

    classes: tuple[ClassEstimate, ...]
    images: tuple[Path, ...]
    seen: tuple[Seen, ...]
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 all done, 1 nothing done, 3 some images failed."""
        return 1 if not self.seen else 3 if self.failed else 0


@dataclass(kw_only=True)
class Estimate:
    """Estimate how well a model segments images without labels; writes estimate.json, estimate.csv and report.html.

    With --reference, labelled images judge the masks: those of the training split are segmented in reverse, taught by
    the model's masks, and those of the other splits, which the model must not have learnt from, calibrate. Without it
    only what the model itself expects of each image is listed.

    Args:
        images: files, folders or patterns, from one source.
        model: the name of a model that comes with leanseg, or the folder of one.
        out: the folder for the results.
        reference: the labelled data set that the model was trained on, or one like it.
        metric: dice, jaccard, precision, sensitivity, pearson (of pixels), hd95, asd (in pixels)
            or nsd (within two pixels).
        form: "difference" moves the held-out score by what the masks teach worse; "line" is the published form.
        reverse: patch (no training), unet (trained on the masks), or universeg with --reverse-weights.
        reverse_weights: the official weights of UniverSeg.
        grid: pixels along each side of the grid that masks teach on, by default 64, and 32 for volumes; more for thin
            structures.
        most: images of each kind that are used at most, drawn at random.
        threads: processor threads; all by default.
        device: where the model runs: cpu, cuda or mps.
        seed: of what is drawn, and of the split of a reference without splits.
    """

    images: tyro.conf.Positional[tuple[Path, ...]]
    model: str
    out: Path
    reference: Path | None = None
    metric: Metric = "dice"
    form: Literal["difference", "line"] = "difference"
    reverse: Literal["patch", "unet", "universeg"] = "patch"
    reverse_weights: Path | None = None
    grid: int | None = None
    most: int = 100
    threads: int | None = None
    device: str = "cpu"
    seed: int = 0

    def run(self) -> Estimated:
        """Estimate, print a table and write the results.

        Raises:
            UsageError: options or data that do not fit.
            InputError: the model or the reference cannot be used.
        """
        if not self.images:
            raise UsageError("which images? Name files, folders or patterns")
        bundle = read_bundle(self.model)
        failed: list[tuple[str, str]] = []
        paths, images = self._read(failed)
        learnt, held = self._reference(bundle) if self.reference is not None else (None, None)
        predictors = checkpoints(bundle, threads=self.threads, device=self.device)
        predictors = predictors if held is not None else predictors[-1:]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("segmenting", total=len(images) + (len(held.images) if held else 0))
            target = look(predictors, images, lambda: progress.advance(task))
            known = look(predictors, held.images, lambda: progress.advance(task)) if held else []
        found = []
        if learnt is not None and held is not None:
            reverse = self._reverse(images[0].dims)
            evidence = Evidence(learnt=learnt, held=held, images=images, known=known, target=target, reverse=reverse)
            how: dict[str, Any] = {"metric": self.metric, "form": self.form, "seed": self.seed}
            found = [estimate_class(evidence, n, name, **how) for n, name in enumerate(bundle.classes.names)]
        result = Estimated(
            classes=tuple(found),
            images=tuple(paths),
            seen=tuple(target[-1]),
            failed=tuple(failed),
            notes=_about_digests(bundle.trained_on, images, learnt, held),
        )
        write_config(self, self.out)
        write_estimates(
            result.classes, paths, result.seen, bundle=bundle, options=self, failed=failed, notes=result.notes
        )
        self._say(result)
        return result

    def _read(self, failed: list[tuple[str, str]]) -> tuple[list[Path], list[Image]]:
        files: dict[Path, None] = {}
        for named in self.images:
            files.update(dict.fromkeys(list_images(named)))
        drawn = np.random.default_rng(self.seed).permutation(len(files))[: self.most]
        paths, images = [], []
        for path in (list(files)[n] for n in sorted(drawn)):
            try:
                images.append(read_image(path))
                paths.append(path)
            except InputError as error:
                failed.append((str(error.path), error.message))
        if not images:
            raise InputError(self.images[0], "none of the images can be read. Check the path.")
        return paths, images

    def _reference(self, bundle: Bundle) -> tuple[Labelled, Labelled]:
        assert self.reference is not None
        dataset = open_dataset(self.reference)
        dataset = replace(dataset, cases=complete_splits(dataset.cases, seed=self.seed))
        names, wanted = dataset.classes.names, bundle.classes.names
        if names != wanted and not len(names) == len(wanted) == 1:
            raise UsageError(f"{self.reference} has the classes {', '.join(names)}, the model {', '.join(wanted)}")
        learnt = dataset.subset("train")
        held = (*dataset.subset("val"), *dataset.subset("test"))
        if not learnt or not held:
            msg = f"found {len(learnt)} training images and {len(held)} others; both are needed"
            raise UsageError(f"{self.reference}: {msg}. Give it a splits.csv, or more labelled images.")
        return self._labelled(dataset, learnt), self._labelled(dataset, held)

    def _labelled(self, dataset: Dataset, cases: Sequence[Case]) -> Labelled:
        drawn = np.random.default_rng(self.seed).permutation(len(cases))[: self.most]
        some = [cases[n] for n in sorted(drawn)]
        images = [dataset.read_image(case) for case in some]
        truths = [
            class_masks(dataset.read_labels(case, image=image), dataset.classes)
            for case, image in zip(some, images, strict=True)
        ]
        return Labelled(images=images, truths=truths, patients=[case.patient for case in some])

    def _reverse(self, dims: int) -> ReverseSegmenter:
        options: dict[str, dict[str, Any]] = {
            "patch": {"ndim": dims, "size": self.grid, "threads": self.threads},
            "unet": {} if self.grid is None else {"size": self.grid},
            "universeg": {"weights": self.reverse_weights},
        }
        return create(self.reverse, **options[self.reverse])

    def _say(self, result: Estimated) -> None:
        console = Console()
        if result.classes:
            table = Terminal(title=f"Expected {self.metric} without labels", title_justify="left")
            for column in ("class", "expected", "95 % interval", "on held-out images", "remarks"):
                table.add_column(column)
            for one in result.classes:
                low, high = one.whole.interval
                remarks = "; ".join(FLAGS[flag] for flag in one.whole.flags)
                table.add_row(
                    one.name, f"{one.whole.value:.3f}", f"{low:.3f} to {high:.3f}", f"{one.held_out:.3f}", remarks
                )
            console.print(table)
        else:
            console.print("Without --reference only what the model expects of each image is listed.", soft_wrap=True)
        for note in result.notes:
            console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
        for name, reason in result.failed:
            console.print(f"[red]not used[/] {escape(name)}: {escape(reason)}", soft_wrap=True)
        console.print(f"{escape(str(self.out))}: estimate.json, estimate.csv, report.html", highlight=False)


def _about_digests(
    trained_on: frozenset[str], images: Sequence[Image], learnt: Labelled | None, held: Labelled | None
) -> tuple[str, ...]:
    """Notes on images that the model or the reference knows already, of which the estimate thinks too well."""
    if not trained_on and held is None:
        return ()
    here = [pixel_digest(image) for image in images]
    others = [pixel_digest(image) for image in held.images] if held else []
    taught = [pixel_digest(image) for image in learnt.images] if learnt else []
    known = {"images": here, "images of the reference that are not for training": others}
    met = ((name, len(some), sum(one in trained_on for one in some)) for name, some in known.items())
    notes = [
        f"The model was trained on {count} of the {total} {name}, which makes the estimate too high."
        for name, total, count in met
        if count
    ]
    if again := sum(one in {*others, *taught} for one in here):
        notes.append(f"{again} of the {len(here)} images are in the reference, whose labels score them directly.")
    return tuple(notes)
