"""What every public data set has in common: where it is had, how its download is laid out, how it is converted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.dataset import Case, Dataset
from leanseg.data.folder import open_dataset
from leanseg.data.manifest import FILE, Manifest, manifest_text
from leanseg.data.masks import binarise, read_drawn_mask, write_png
from leanseg.data.splits import FILE as TABLE
from leanseg.data.splits import write_splits
from leanseg.errors import InputError, UsageError
from leanseg.images.atomic import replacing
from leanseg.images.read import read_mask as read_numbers
from leanseg.types import Classes, Mask


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a download, or a part of it, names its files.

    Args:
        image: regular expression of the path of an image, with named groups; folders may stand before it.
        masks: path of its mask for each class, with the groups in braces; ``|`` parts alternatives, of which the first
            one that exists counts.
        valid: likewise the mask of the field of view; empty where there is none.
        objects: likewise the numbers of single objects.
        stem: name of the case, with the groups in braces.
        split: ``train``, ``val`` or ``test``; empty where the publisher gives none.

    Example:
        >>> Layout(image=r"images/(?P<id>.+)\\.jpg", masks=("masks/{id}.png",)).stem
        '{id}'
    """

    image: str
    masks: tuple[str, ...]
    valid: str = ""
    objects: str = ""
    stem: str = "{id}"
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a download holds.

    Args:
        cases: images with masks, one path for each class; a path that does not exist stands for an empty mask.
        missing: what is incomplete or counts as empty; nothing when all is there.
    """

    cases: tuple[Case, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PublicSet:
    """A public data set of images with one class, or with several that overlap.

    Args:
        name: short name on the command line.
        title: full name.
        url: the publisher's page; leanseg downloads nothing.
        licence: terms of the images.
        ships_weights: whether a model trained on it may be given away with attribution only.
        citation: the paper to cite.
        modality: what made the images.
        targets: names of the classes; an image without the mask file of one of several shows nothing of it.
        count: images with masks in the complete set.
        split: what the split is, in words.
        layouts: alternatives; each is a tuple of parts that belong together, the one with most images counts.
        patient: from the stem to the patient.
        patients: what a patient is here, in words.
        site: where the images were made.
        assign: gives the split of a case; by default the one of its layout.
        read_mask: reads the publisher's masks.
        read_valid: reads the publisher's fields of view.
        read_objects: reads the publisher's numbers of single objects, 0 = background.
    """

    name: str
    title: str
    url: str
    licence: str
    ships_weights: bool
    citation: str
    modality: str
    targets: tuple[str, ...]
    count: int
    split: str
    layouts: tuple[tuple[Layout, ...], ...]
    patient: Callable[[str], str] = str
    patients: str
    site: str = ""
    assign: Callable[[Case], str] = lambda case: case.split
    read_mask: Callable[[Path], NDArray[Any]] = read_drawn_mask
    read_valid: Callable[[Path], NDArray[Any]] = read_drawn_mask
    read_objects: Callable[[Path], NDArray[Any]] = read_numbers

    def check(self, download: Path) -> Inventory:
        """What of this set lies in a folder.

        Args:
            download: the unpacked download, or a folder around it.

        Raises:
            InputError: nothing of the set is there.
        """
        if not download.is_dir():
            raise InputError(download, f"expected the unpacked download of {self.title}; get it from {self.url}")
        files = sorted(p.relative_to(download).as_posix() for p in download.rglob("*") if p.is_file())
        found = max(
            (self._find(download, files, parts) for parts in self.layouts), key=lambda found: len(_labelled(found))
        )
        cases = _labelled(found)
        if not cases:
            expected = " or ".join(_plain(parts[0].image) for parts in self.layouts)
            msg = f"expected files such as {expected} with their masks, found none. {self.title}: {self.url}"
            raise InputError(download, msg)
        missing = [f"{case.stem} has no mask and is left out" for case in found if not case.masks]
        for number, target in enumerate(self.targets):
            if absent := sum(not case.masks[number].exists() for case in cases):
                missing.append(f"{absent} of {len(cases)} images have no mask of {target}: they count as showing none")
        if len(cases) < self.count:
            missing.append(
                f"{len(cases)} of {self.count} images with masks are here: scores are not those of the full set"
            )
        return Inventory(cases=cases, missing=tuple(missing))

    def convert(self, download: Path, out: Path) -> Dataset:
        """Write a data set folder: images byte for byte, masks as PNG of 0 and 255, splits and patients.

        Several classes get a folder each, ``masks/<class>/``.

        Args:
            download: the unpacked download.
            out: a folder that does not exist yet.

        Raises:
            InputError: the download is not recognised or a mask cannot be understood.
            UsageError: the folder exists already.
        """
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out}: give a folder that does not exist yet")
        cases = self.check(download).cases
        for case in cases:
            (out / "images").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(case.image[0], out / "images" / f"{case.stem}{case.image[0].suffix.lower()}")
            self._write_masks(case, out / "masks")
            if case.valid:
                _write_mask(binarise(self.read_valid(case.valid), case.valid), out / "valid" / f"{case.stem}.png")
            if case.objects:
                write_png(self.read_objects(case.objects), out / "instances" / f"{case.stem}.png")
        write_splits(cases, out / TABLE)
        with replacing(out / FILE) as temporary:
            temporary.write_text(self._manifest(), encoding="utf-8")
        return open_dataset(out)

    def _manifest(self) -> str:
        count = len(self.targets)
        classes = Classes(names=self.targets, values=(255,) * count, overlapping=count > 1)
        manifest = Manifest(
            name=self.title, modality=self.modality, licence=self.licence, classes=classes, site=self.site
        )
        head = [f"# {self.title}, {self.url}", f"# Cite: {self.citation}", f"# Split: {self.split}"]
        return "\n".join([*head, f"# Patients: {self.patients}", "", manifest_text(manifest)])

    def _write_masks(self, case: Case, folder: Path) -> None:
        paths = dict(zip(self.targets, case.masks, strict=True))
        found = {target: binarise(self.read_mask(path), path) for target, path in paths.items() if path.exists()}
        empty = np.zeros_like(next(iter(found.values())))
        for target in self.targets:
            place = folder / target if len(self.targets) > 1 else folder
            _write_mask(found.get(target, empty), place / f"{case.stem}.png")

    def _find(self, download: Path, files: Sequence[str], parts: Iterable[Layout]) -> list[Case]:
        cases: list[Case] = []
        for part in parts:
            pattern = re.compile(f"(?P<root>(?:.*/)?){part.image}", re.IGNORECASE)
            matches = ((name, pattern.fullmatch(name)) for name in files)
            cases += [self._case(download, part, name, match.groupdict("")) for name, match in matches if match]
        stems = [case.stem for case in cases]
        if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
            raise InputError(download, f"{twice[0]} is there more than once; name the folder of one download")
        return sorted(cases, key=lambda case: case.stem)

    def _case(self, download: Path, part: Layout, name: str, groups: dict[str, str]) -> Case:
        def candidates(pattern: str) -> list[Path]:
            return [download / (groups["root"] + path.format(**groups)) for path in pattern.split("|") if path]

        def existing(pattern: str) -> Path | None:
            return next(filter(Path.exists, candidates(pattern)), None)

        stem = part.stem.format(**groups)
        masks = tuple(existing(pattern) or candidates(pattern)[0] for pattern in part.masks)
        case = Case(
            stem=stem,
            image=(download / name,),
            masks=masks if any(map(Path.exists, masks)) else (),
            valid=existing(part.valid),
            objects=existing(part.objects),
            patient=self.patient(stem),
            site=self.site,
            split=part.split,
        )
        return replace(case, split=self.assign(case))


def _write_mask(mask: Mask, path: Path) -> None:
    write_png(np.where(mask, 255, 0), path)


def _labelled(cases: Iterable[Case]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.masks)


def _plain(pattern: str) -> str:
    """A regular expression as a person would write the path."""
    return re.sub(r"\(\?P=\w+\)|\(\?P<\w+>.*?\)(?=[^)]*$|[^)]*\()", "*", pattern).replace("\\", "")


def frame_block(stem: str) -> str:
    """Blocks of 25 neighbouring frames stand for the patients of a video, whose frames look alike.

    Example:
        >>> frame_block("24"), frame_block("25"), frame_block("612")
        ('frames-0', 'frames-25', 'frames-600')
    """
    return f"frames-{int(stem) // 25 * 25}"


def images_and_masks(id_pattern: str) -> tuple[Layout, ...]:
    """The plain layout images/ and masks/ with the same stem.

    Example:
        >>> images_and_masks(".+")[0].masks
        ('masks/{id}.png|masks/{id}.jpg|masks/{id}.tif|masks/{id}.bmp|masks/{id}.gif',)
    """
    endings = ("png", "jpg", "tif", "bmp", "gif")
    image = rf"images/(?P<id>{id_pattern})\.(?:png|jpe?g|tif|bmp)"
    return (Layout(image=image, masks=("|".join(f"masks/{{id}}.{ending}" for ending in endings),)),)
