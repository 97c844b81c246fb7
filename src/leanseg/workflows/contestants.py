"""Who is scored: a model, or the masks that any other tool has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from leanseg.bundle import read_bundle
from leanseg.data.dataset import Case, size_text
from leanseg.data.pairing import index, match
from leanseg.data.same_place import check_place
from leanseg.errors import InputError, UsageError
from leanseg.images.image import Image
from leanseg.images.read import read_mask
from leanseg.images.write import class_folder
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes, Expected, Mask, Probabilities


class Answer:
    """What a contestant says about one image, in the classes of the dataset.

    Args:
        masks: (K, *spatial), one for each class of the dataset.
        probabilities: (K, *spatial) in [0, 1], if there are any.
        expected: for each class the Dice that the contestant expects, if it says so.
        objects: (K, *spatial) numbers of single objects, if the contestant tells them apart itself.
    """

    def __init__(
        self,
        masks: Mask,
        probabilities: Probabilities | None = None,
        expected: Sequence[Expected] = (),
        objects: NDArray[Any] | None = None,
    ) -> None:
        self.masks = masks
        self.objects = objects
        self.probabilities = probabilities
        self.expected = expected


class Contestant(Protocol):
    """Anything that answers for an image."""

    name: str

    def answer(self, case: Case, image: Image) -> Answer:
        """Masks for one image.

        Raises:
            InputError: there is no usable answer; it counts as a miss.
        """
        ...


class Model:
    """A bundle, used as ``segment`` uses it.

    Args:
        name: what tables call it.
        predictor: runs the bundle.
        classes: those of the bundle.
        wanted: those of the dataset.

    Raises:
        UsageError: the model does not know a class of the dataset.
    """

    def __init__(self, *, name: str, predictor: Predictor, classes: Classes, wanted: Classes) -> None:
        self.name = name
        self.predictor = predictor
        # One class each: whatever they are called, they are what is compared.
        alone = len(classes.names) == len(wanted.names) == 1
        missing = [] if alone else [known for known in wanted.names if known not in classes.names]
        if missing:
            msg = f"the model {name} does not know {', '.join(missing)}; it segments {', '.join(classes.names)}"
            raise UsageError(f"{msg}. Name the classes in dataset.toml alike, or choose another model.")
        self._chosen = [0] if alone else [classes.names.index(known) for known in wanted.names]
        self._names = [classes.names[k] for k in self._chosen]

    def answer(self, case: Case, image: Image) -> Answer:  # noqa: ARG002, the case names files for others
        """Segment one image."""
        found = self.predictor.predict(image, probabilities=True)
        masks = np.stack([found.mask(name) for name in self._names])
        probabilities = None if found.probabilities is None else found.probabilities[self._chosen]
        expected = [found.quality.dice[name] for name in self._names] if found.quality else []
        return Answer(masks, probabilities, expected)


class MaskFolder:
    """Masks in files, matched to images by their stem.

    Args:
        folder: masks, or ``masks/`` in it; one folder for each class where classes overlap.
        classes: those of the dataset.
        numbered: read numbers of single objects: those of ``instances/`` in the folder, as ``segment --instances``
            writes them, or, of one class, masks that hold a number for each object, as other tools write them.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(self, folder: Path, *, classes: Classes, numbered: bool = False) -> None:
        if not folder.is_dir():
            raise InputError(folder, "expected a folder of masks, found none. Check the path.")
        self.name = folder.name or str(folder)
        self.classes = classes
        base = folder / "masks" if (folder / "masks").is_dir() else folder
        objects = folder / "instances"
        several = len(classes.names) > 1
        self._masks = _indexed([class_folder(base, name) for name in classes.names] if classes.overlapping else [base])
        self._objects = _indexed([class_folder(objects, name) for name in classes.names] if several else [objects])
        self._numbered = numbered and objects.is_dir()
        # A file of numbers is a mask, too.
        self._both = numbered and not several and not self._numbered

    def answer(self, case: Case, image: Image) -> Answer:
        """Read one image's masks."""
        numbers = None
        if self._numbered:
            numbers = np.stack([_layer(case.stem, files, folder, image)[1] for folder, files in self._objects])
            if not any(files for _, files in self._masks):
                return Answer(numbers != 0, objects=numbers)
        layers = [_layer(case.stem, files, folder, image) for folder, files in self._masks]
        if self._both and len(np.unique(layers[0][1])) > 2:
            numbers = layers[0][1][None]
            return Answer(numbers != 0, objects=numbers)
        if self.classes.overlapping:
            return Answer(np.stack([values != self.classes.background for _, values in layers]), objects=numbers)
        return Answer(_exclusive(*layers[0], self.classes), objects=numbers)


def _indexed(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Path]]]:
    return [(folder, index(folder) if folder.is_dir() else {}) for folder in folders]


def _layer(stem: str, files: Mapping[str, Path], folder: Path, image: Image) -> tuple[Path, NDArray[Any]]:
    """One file of an image's answer."""
    path = match(stem, files, folder)
    if path is None:
        raise InputError(folder / stem, "expected a mask of this name, found none. It counts as a miss.")
    values = read_mask(path)
    if values.shape != image.shape:
        sizes = f"expected the size of its image, {size_text(image.shape)}, found {size_text(values.shape)}"
        raise InputError(path, f"{sizes}. Export it at full size; it counts as a miss.")
    check_place(path, image)
    return path, values


def _exclusive(path: Path, values: NDArray[Any], classes: Classes) -> Mask:
    """One mask for each class from one file; of a single class, any second value will do."""
    if len(classes.names) == 1:
        found = np.unique(values)
        foreground = [v for v in found if v != classes.background]
        if len(foreground) <= 1:
            return np.asarray(values[None] != classes.background)
    unknown = np.setdiff1d(np.unique(values), (classes.background, *classes.values))
    if unknown.size:
        wanted = ", ".join(map(str, (classes.background, *classes.values)))
        some = ", ".join(map(str, unknown[:8]))
        raise InputError(
            path, f"expected the values {wanted}, found also {some}. Save class values only; it counts as a miss."
        )
    return np.stack([values == value for value in classes.values])


def unique_names(names: Sequence[str]) -> list[str]:
    """Short names for tables: as many of the last parts of a path as tell them apart.

    Example:
        >>> unique_names(["runs/a/model", "runs/b/model"]), unique_names(["vessels", "runs/b"])
        (['a/model', 'b/model'], ['vessels', 'b'])
    """
    parts = [Path(name).parts for name in names]
    for count in range(1, max(map(len, parts), default=1) + 1):
        short = ["/".join(one[-count:]) or name for one, name in zip(parts, names, strict=True)]
        if len(set(short)) == len(names):
            return short
    return list(names)


def models(names: Sequence[str], wanted: Classes, **options: Any) -> list[Model]:
    """Open bundles for scoring.

    Args:
        names: names in the zoo or folders.
        wanted: the classes of the dataset.
        **options: how :class:`Predictor` runs them.

    Raises:
        UsageError: a model does not know a class of the dataset, or is named twice.
    """
    if len(set(names)) < len(names):
        raise UsageError(f"a model cannot be compared with itself; found {', '.join(names)}")
    bundles = [read_bundle(name) for name in names]
    titles = unique_names(names)
    return [
        Model(name=title, predictor=Predictor(bundle=bundle, **options), classes=bundle.classes, wanted=wanted)
        for title, bundle in zip(titles, bundles, strict=True)
    ]
