"""A data set in memory: which files belong together, read only when asked for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.data.same_place import check_place
from leanseg.errors import InputError, UsageError
from leanseg.images.image import Geometry, Image
from leanseg.images.read import read_image, read_mask
from leanseg.types import Classes, Labels, Mask

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image with all that belongs to it.

    Args:
        stem: file name without its ending; unique in a data set.
        image: one file or series folder, or one for each channel.
        masks: one file, or one for each class where classes overlap; empty when there are no labels.
        valid: the file that says where scores count (non-zero), for instance the field of view.
        objects: the file that numbers the true objects, where single objects are known.
        patient: whom the image shows; images of one patient stay in one split.
        site: hospital or camera.
        split: ``"train"``, ``"val"``, ``"test"`` or ``""`` when none is given.
    """

    stem: str
    image: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    valid: Path | None = None
    objects: Path | None = None
    patient: str
    site: str = ""
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A folder of images and masks; pixels are read case by case.

    Args:
        root: the folder.
        name, modality, licence: as in dataset.toml; empty when unknown.
        classes: what the masks show and how they spell it.
        channels: names of the channels; empty when the data set does not name them.
        cases: images with masks.
        unlabelled: images without masks.
        notes: what was inferred instead of declared; the caller shows it to the user.

    Example:
        >>> from leanseg.types import Classes
        >>> case = Case(stem="01", image=(Path("01.png"),), patient="01", split="test")
        >>> data = Dataset(root=Path("."), classes=Classes(names=("vessel",)), cases=(case,))
        >>> [c.stem for c in data.subset("test")], data.subset("train")
        (['01'], ())
    """

    root: Path
    name: str = ""
    modality: str = ""
    licence: str = ""
    classes: Classes
    channels: tuple[str, ...] = ()
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()

    def subset(self, split: str) -> tuple[Case, ...]:
        """The cases of one split.

        Raises:
            UsageError: the split is not train, val or test.
        """
        if split not in SPLITS:
            raise UsageError(f"no split {split!r}; choose one of {', '.join(SPLITS)}")
        return tuple(case for case in self.cases if case.split == split)

    def read_image(self, case: Case) -> Image:
        """The pixels of a case, channel files stacked in the order of :attr:`channels`.

        Raises:
            InputError: a file does not open, channel files differ in size, or the number of channels is wrong.
        """
        images = [read_image(path) for path in case.image]
        image = images[0] if len(images) == 1 else _stack(images, case.image)
        if self.channels and image.channels != len(self.channels):
            wanted = f"expected the {len(self.channels)} channels {', '.join(self.channels)}"
            raise InputError(case.image[0], f"{wanted}, found {image.channels}. Correct [channels] or the file.")
        return image

    def read_labels(self, case: Case, *, image: Image | None = None) -> Labels:
        """Class numbers of a case: (H, W) or (D, H, W); (K, *spatial) of 0/1 where classes overlap.

        Args:
            case: a case with masks.
            image: its image, where it has been read already.

        Raises:
            InputError: there is no mask, its size or its place is not the image's, or it holds values that no class
                has.
        """
        if not case.masks:
            raise InputError(case.image[0], "expected a mask, found none: this image is unlabelled")
        image = image or self.read_image(case)
        layers = [self._encode(path, image) for path in case.masks]
        return np.stack(layers).astype(np.uint8) if self.classes.overlapping else layers[0]

    def read_valid(self, case: Case, *, image: Image | None = None) -> Mask:
        """Where labels and scores count: the case's valid file without the pixels labelled ``ignore``.

        Args:
            case: any case of this data set.
            image: its image, where it has been read already.

        Raises:
            InputError: a file does not open, or its size or its place is not the image's.
        """
        image = image or self.read_image(case)
        valid = np.ones(image.shape, bool) if case.valid is None else _read_fitting(case.valid, image) != 0
        if self.classes.ignore is not None:
            for path in case.masks:
                valid &= _read_fitting(path, image) != self.classes.ignore
        return valid

    def read_objects(self, case: Case, *, image: Image) -> NDArray[Any] | None:
        """Numbers of the true objects, (*spatial), 0 = background; None where the case has no such file.

        Args:
            case: any case of this data set.
            image: its image.

        Raises:
            InputError: the file does not open, or its size or its place is not the image's.
        """
        return None if case.objects is None else _read_fitting(case.objects, image)

    def _encode(self, path: Path, image: Image) -> Labels:
        values = _read_fitting(path, image)
        unknown = np.setdiff1d(np.unique(values), self.known_values)
        if unknown.size:
            found = ", ".join(str(v) for v in unknown[:8]) + (", ..." if unknown.size > 8 else "")
            msg = f"expected the mask values {', '.join(map(str, self.known_values))}, found also {found}. "
            raise InputError(path, msg + f"Look at it with: {command('check', self.root)}; {repair_hint(self.root)}")
        encoded = self.classes.encode(values)
        return np.minimum(encoded, 1) if self.classes.overlapping else encoded

    @property
    def known_values(self) -> tuple[int, ...]:
        """Every value that a mask file may hold, ascending."""
        extra = () if self.classes.ignore is None else (self.classes.ignore,)
        return tuple(sorted({self.classes.background, *self.classes.values, *extra}))


def command(verb: str, folder: Path) -> str:
    """A ``leanseg data`` command that a user can paste."""
    return f"leanseg data {verb} {shlex.quote(str(folder))}"


def repair_hint(folder: Path) -> str:
    """What to type when masks hold values that they should not."""
    out = folder.with_name(f"{folder.resolve().name}-repaired")
    return f"repair a copy with: {command('repair', folder)} --out {shlex.quote(str(out))}"


def _read_fitting(path: Path, image: Image) -> NDArray[Any]:
    values: NDArray[Any] = read_mask(path)
    if values.shape != image.shape:
        msg = f"expected the size of its image, {size_text(image.shape)}, found {size_text(values.shape)}. "
        raise InputError(path, msg + "Export both at the same size; leanseg never guesses how to resize a mask.")
    check_place(path, image)
    return values


def _stack(images: Sequence[Image], paths: Sequence[Path]) -> Image:
    for image, path in zip(images, paths, strict=True):
        if image.channels != 1:
            raise InputError(path, f"expected one channel in a channel file, found {image.channels}")
        if image.shape != images[0].shape:
            sizes = (
                f"expected the size of {paths[0].name}, {size_text(images[0].shape)}, found {size_text(image.shape)}"
            )
            raise InputError(path, f"{sizes}. All channels of an image need the same size.")
        check_place(path, images[0])
    geometry: Geometry = images[0].geometry
    return Image(np.concatenate([image.pixels for image in images]), geometry, images[0].source)


def size_text(shape: Sequence[int]) -> str:
    """A spatial shape as people write sizes: width first.

    Example:
        >>> size_text((584, 565))
        '565x584'
    """
    return "x".join(str(n) for n in reversed(shape))
