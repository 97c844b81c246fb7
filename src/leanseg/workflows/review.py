"""``leanseg data review``: accept corrected labels of a training that doubted some, into a copy of the data set."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from leanseg.data.dataset import Dataset, command
from leanseg.data.folder import open_dataset
from leanseg.data.pairing import index
from leanseg.errors import InputError, UsageError
from leanseg.images.atomic import replacing
from leanseg.workflows.label_errors import CORRECTED, FOLDER, TABLE

SHOWN = 20
DECISIONS = "review.csv"


@dataclass(kw_only=True)
class Review:
    """List the labels that a run of spatial-label-noise doubts, or copy the data set with those corrections you accept.

    Args:
        folder: of the run; its label-errors/report.html shows what is doubted.
        accept: stems of the images whose corrected labels are taken.
        worst: take those of so many images at the top of the list.
        out: the copy, a folder that does not exist yet; everything that is not accepted is copied as it is.
        data: the data set of the run, where it is not at the path that the training was given.
    """

    folder: tyro.conf.Positional[Path]
    accept: tuple[str, ...] = ()
    worst: int = 0
    out: Path | None = None
    data: Path | None = None

    def run(self) -> int:
        """Show the list, or write the copy; returns 0."""
        console = Console()
        found = self.folder / FOLDER
        doubts = _doubts(found)
        stems = [row["image"] for row in doubts]
        if unknown := sorted(set(self.accept) - set(stems)):
            raise UsageError(f"{found / TABLE} has no image {', '.join(unknown)}; its first ones: {stems[:5]}")
        accepted = sorted({*self.accept, *stems[: max(0, self.worst)]})
        if not accepted:
            console.print(_table(doubts[:SHOWN]))
            console.print(f"pictures: {escape(str(found / 'report.html'))}", highlight=False, soft_wrap=True)
            hint = f"leanseg data review {self.folder} --accept {stems[0]} --out corrected-data"
            console.print(f"accept with: {escape(hint)}", highlight=False, soft_wrap=True)
            return 0
        if self.out is None:
            raise UsageError("give --out DIR: the data set itself is never changed")
        dataset = open_dataset(self.data or _source(self.folder))
        accept_corrections(dataset, index(found / CORRECTED), accepted, self.out)
        _write_decisions(doubts, accepted, self.out / DECISIONS)
        done = f"{escape(str(self.out))}: {len(accepted)} of {len(stems)} labels corrected, the others as they were. "
        console.print(done + escape(f"Next: {command('check', self.out)}"), highlight=False, soft_wrap=True)
        return 0


def accept_corrections(dataset: Dataset, corrected: Mapping[str, Path], accepted: Sequence[str], out: Path) -> None:
    """Copy a data set, with other masks for some images.

    Args:
        dataset: whose folder holds its masks, one file for each image.
        corrected: mask files by stem.
        accepted: stems whose mask is replaced.
        out: a folder that does not exist yet.

    Raises:
        UsageError: the copy exists already or lies inside the source.
        InputError: a corrected mask is missing, or the mask of an image is no single file in the folder.
    """
    source = dataset.root
    if out.exists() or source.resolve() in out.resolve().parents:
        raise UsageError(f"{out}: give a folder that does not exist yet, outside of {source}")
    masks = {case.stem: case.masks for case in dataset.cases}
    for stem in accepted:
        if stem not in corrected:
            raise InputError(Path(stem), "expected a corrected mask of this name in label-errors/corrected, found none")
        if len(masks.get(stem, ())) != 1 or source.resolve() not in masks[stem][0].resolve().parents:
            raise InputError(source, f"expected one mask file of {stem} in this folder, found another layout")
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part)
    for stem in accepted:
        given, new = part / masks[stem][0].resolve().relative_to(source.resolve()), corrected[stem]
        given.unlink()
        shutil.copy2(new, given.with_name(new.name))
    part.rename(out)


def _doubts(folder: Path) -> list[dict[str, str]]:
    file = folder / TABLE
    if not file.is_file():
        found = "expected a run of leanseg train --method spatial-label-noise, found no list of label errors"
        raise InputError(file, found)
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _source(run: Path) -> Path:
    file = run / "config.json"
    if not file.is_file():
        raise InputError(file, "expected the configuration of the run, found none")
    data = Path(json.loads(file.read_text(encoding="utf-8"))["data"])
    if not data.exists():
        raise InputError(data, f"expected the data set of {run}, found nothing. Say where it is with --data.")
    return data


def _table(doubts: Sequence[Mapping[str, str]]) -> Table:
    table = Table("image", "split", "expected wrong pixels", "changed pixels", "share of the object", box=None)
    for row in doubts:
        table.add_row(*map(escape, row.values()))
    return table


def _write_decisions(doubts: Sequence[Mapping[str, str]], accepted: Sequence[str], file: Path) -> None:
    rows = [{**row, "accepted": "yes" if row["image"] in accepted else "no"} for row in doubts]
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, rows[0])
        writer.writeheader()
        writer.writerows(rows)
