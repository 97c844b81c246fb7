"""The verbs of ``leanseg data``: check, split, repair and prepare."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from leanseg.data.check import CheckReport, check_dataset
from leanseg.data.dataset import SPLITS, Case, command
from leanseg.data.folder import open_dataset
from leanseg.data.inspection import Finding
from leanseg.data.public import PUBLIC, public_set
from leanseg.data.repair import repair_dataset
from leanseg.data.splits import FILE as TABLE
from leanseg.data.splits import SHARES, split_cases, write_splits
from leanseg.errors import InputError, UsageError
from leanseg.workflows.compare_sites import compare_sites
from leanseg.workflows.site_report import site_words, write_sites

SHOWN = 3
"""Files that are named for each kind of finding on the screen; JSON names all."""


@dataclass(kw_only=True)
class Check:
    """Say what a data set holds and what would spoil results; exit code 1 when there are errors.

    Args:
        data: the data set.
        json: print everything as JSON instead of one screen of text.
        threads: images that are read at the same time.
        out: a folder for a page of pictures and charts, and a table, that show how the data set's sites differ.
    """

    data: tyro.conf.Positional[Path]
    json: bool = False
    threads: int = 4
    out: Path | None = None

    def run(self) -> int:
        """Check, print, and return 0 or 1."""
        console = Console()
        try:
            report, notes = self._check()
        except InputError as error:
            finding = Finding(error.path, "cannot-open", error.message, "")
            report, notes = CheckReport(errors=(finding,), warnings=()), ()
        if self.json:
            console.out(json.dumps({**report.to_dict(), "notes": notes}, indent=2), highlight=False)
        else:
            _show(console, report, notes)
        return 0 if report.ok else 1

    def _check(self) -> tuple[CheckReport, tuple[str, ...]]:
        dataset = open_dataset(self.data)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("reading images", total=len(dataset.cases) + len(dataset.unlabelled))
            report = check_dataset(dataset, threads=self.threads, advance=lambda: progress.advance(task))
        if not report.ok:
            return report, (*dataset.notes, *(["sites are compared when the errors are mended"] if self.out else []))
        try:
            sites = compare_sites(dataset)
        except InputError as error:
            return report, (*dataset.notes, f"the sites cannot be compared: {error}")
        if sites is None:
            why = "--out shows how sites differ; name at least two in splits.csv (column 'site')"
            return report, (*dataset.notes, *([why] if self.out else []))
        words = {f"site {shift.site}": site_words(shift) for shift in sites.shifts}
        pages = [f"{write_sites(sites, dataset, self.out)} shows how the sites differ"] if self.out else []
        return replace(report, facts={**report.facts, **words}), (*dataset.notes, *pages)


@dataclass(kw_only=True)
class Split:
    """Write splits.csv: train, val and test that never share a patient.

    Args:
        data: a data set folder with images/ and masks/, or one of nnU-Net.
        fractions: shares of train, val and test, counted in patients; numbers of patients work too.
        seed: another seed gives another split.
        replace: overwrite a splits.csv that is there.
    """

    data: tyro.conf.Positional[Path]
    fractions: tuple[float, float, float] = SHARES
    seed: int = 0
    replace: bool = False

    def run(self) -> int:
        """Split, write and say how many images and patients each part has."""
        path = self.data / TABLE
        if not any((self.data / name).is_dir() for name in ("images", "imagesTr")):
            raise UsageError(f"{self.data}: splits.csv belongs to a folder with images/ and masks/, or to nnU-Net's")
        if path.exists() and not self.replace:
            raise UsageError(f"{path} is there already; --replace overwrites it")
        dataset = open_dataset(self.data)
        cases = split_cases(dataset.cases, fractions=self.fractions, seed=self.seed)
        write_splits((*cases, *dataset.unlabelled), path)
        console = Console()
        for note in dataset.notes:
            console.print(f"note: {escape(note)}", highlight=False)
        console.print(f"{escape(str(path))}: {_parts(cases)}", highlight=False)
        return 0


@dataclass(kw_only=True)
class Repair:
    """Write a copy of a data set whose masks hold class values only; the source stays as it is.

    Args:
        data: a folder with images/ and masks/.
        out: the copy, a folder that does not exist yet.
        invert: also flip the masks that look inverted.
        instances_to_binary: also turn numbered objects into foreground.
    """

    data: tyro.conf.Positional[Path]
    out: Path
    invert: bool = False
    instances_to_binary: bool = False

    def run(self) -> int:
        """Repair, print every change, and return 0, or 3 when some masks are as before."""
        changes = repair_dataset(self.data, self.out, invert=self.invert, instances_to_binary=self.instances_to_binary)
        console = Console()
        for change in changes:
            mark = "" if change.repaired else "[red]not repaired[/] "
            console.print(f"{mark}{escape(f'{change.file}: {change.action}')}", highlight=False, soft_wrap=True)
        left = sum(not change.repaired for change in changes)
        summary = f"{len(changes) - left} files changed, {left} not repaired. Next: {command('check', self.out)}"
        console.print(escape(summary), highlight=False, soft_wrap=True)
        return 3 if left else 0


@dataclass(kw_only=True)
class Prepare:
    """Turn the download of a public data set into a data set folder; nothing is downloaded.

    Args:
        name: which one; --list shows all.
        download: the unpacked download.
        out: the folder to write.
        show_list: print the public data sets with their pages and licences.
    """

    name: tyro.conf.Positional[str] = ""
    download: Path | None = None
    out: Path | None = None
    show_list: Annotated[bool, tyro.conf.arg(name="list")] = False

    def run(self) -> int:
        """Convert, or list what can be converted."""
        console = Console()
        if self.show_list:
            console.print(_public_table())
            width = max(map(len, PUBLIC))
            for name in PUBLIC:
                console.print(f"{name:{width}}  {public_set(name).url}", highlight=False, soft_wrap=True)
            return 0
        if not self.name or self.download is None or self.out is None:
            raise UsageError("give a name, --download DIR and --out DIR; --list shows the names")
        public = public_set(self.name)
        missing = public.check(self.download).missing
        dataset = public.convert(self.download, self.out)
        for note in missing:
            console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
        weights = "may be shipped with attribution" if public.ships_weights else "must not be shipped"
        console.print(
            f"{public.title}: {escape(public.licence)}; models trained on it {weights}", highlight=False, soft_wrap=True
        )
        console.print(f"{escape(str(self.out))}: {_parts(dataset.cases)}", highlight=False, soft_wrap=True)
        return 0


def _parts(cases: Sequence[Case]) -> str:
    parts = [(split, [case for case in cases if case.split == split]) for split in (*SPLITS, "")]
    return ", ".join(
        f"{split or 'no split'} {len(part)} images of {len({case.patient for case in part})} patients"
        for split, part in parts
        if part
    )


def _public_table() -> Table:
    table = Table("name", "images", "modality", "licence", box=None)
    for name in PUBLIC:
        public = public_set(name)
        table.add_row(name, str(public.count), public.modality, public.licence)
    return table


def _show(console: Console, report: CheckReport, notes: Sequence[str]) -> None:
    width = max((len(name) for name in report.facts), default=0)
    for name, text in report.facts.items():
        console.print(f"{escape(name):{width}}  {escape(text)}", highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    for colour, word, findings in (("yellow", "warning", report.warnings), ("red", "error", report.errors)):
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            groups[finding.kind].append(finding)
        for kind, group in groups.items():
            console.print(f"[{colour}]{word}[/] {kind}: {len(group)}", highlight=False)
            for finding in group[:SHOWN]:
                console.print(f"  {escape(f'{finding.file}: {finding.message}')}", highlight=False, soft_wrap=True)
            if len(group) > SHOWN:
                console.print(f"  and {len(group) - SHOWN} more (--json names all)", highlight=False)
            if remedy := Counter(finding.remedy for finding in group).most_common(1)[0][0]:
                console.print(f"  -> {escape(remedy)}", highlight=False, soft_wrap=True)
    console.print(f"{len(report.errors)} errors, {len(report.warnings)} warnings", highlight=False)
