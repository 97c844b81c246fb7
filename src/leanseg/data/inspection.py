"""What can be said about one image and its masks, whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from leanseg.data.dataset import Case, Dataset, repair_hint, size_text
from leanseg.data.masks import histogram_text, looks_inverted, read_leniently
from leanseg.data.same_place import REMEDY, other_place
from leanseg.data.values import count_values, kind_of
from leanseg.errors import InputError
from leanseg.images.digest import pixel_digest
from leanseg.images.image import Image
from leanseg.types import Classes


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Args:
        file: where.
        kind: short name of the problem, for instance ``"jpeg-ramp"``.
        message: what was expected and found.
        remedy: what to do, a command where there is one.
        error: results would be wrong (else it is a warning).
    """

    file: Path
    kind: str
    message: str
    remedy: str
    error: bool = True


@dataclass(frozen=True)
class Inspection:
    """One case after reading it.

    Args:
        case: which.
        findings: what is wrong with it.
        shape: spatial shape of the image; () when it does not open.
        channels: of the image; 0 when it does not open.
        digest: hash of the pixels.
        shares: for each class the share of pixels in [0, 1]; () when unlabelled or unusable.
    """

    case: Case
    findings: tuple[Finding, ...]
    shape: tuple[int, ...] = ()
    channels: int = 0
    digest: str = ""
    shares: tuple[float, ...] = ()


def inspect_case(dataset: Dataset, case: Case) -> Inspection:
    """Read a case and collect every problem instead of stopping at the first.

    Args:
        dataset: the data set it belongs to.
        case: one of its cases, labelled or not.
    """
    try:
        image = dataset.read_image(case)
    except InputError as error:
        return Inspection(case, (Finding(error.path, "unreadable", error.message, "export it again or remove it"),))
    found = _about_pixels(image, case)
    layers: list[NDArray[Any]] = []
    for path in (*case.masks, *((case.valid,) if case.valid else ())):
        try:
            values, problem = read_leniently(path)
        except InputError as error:
            found.append(Finding(path, "unreadable", error.message, "export it again"))
            continue
        found += _about_size(values, image, path) or _about_place(image, path)
        if path in case.masks:
            found += _about_values(values, problem, dataset, path)
            layers.append(values)
    shares = () if any(f.error for f in found) else _shares(layers, dataset.classes)
    if shares and not any(shares):
        found.append(
            Finding(case.masks[0], "empty-mask", "no foreground", "fine if nothing is to be seen", error=False)
        )
    return Inspection(case, tuple(found), image.shape, image.channels, pixel_digest(image), shares)


def _about_pixels(image: Image, case: Case) -> list[Finding]:
    if image.pixels.min() == image.pixels.max():
        return [Finding(case.image[0], "constant-image", "every pixel has the same value", "remove it", error=False)]
    return []


def _about_size(values: NDArray[Any], image: Image, path: Path) -> list[Finding]:
    if values.shape == image.shape:
        return []
    msg = f"expected the size of its image, {size_text(image.shape)}, found {size_text(values.shape)}"
    remedy = "export both at the same size"
    if values.shape == image.shape[::-1]:
        remedy += "; they look turned by 90 degrees"
    return [Finding(path, "size-mismatch", msg, remedy)]


def _about_place(image: Image, path: Path) -> list[Finding]:
    problem = other_place(path, image)
    return [Finding(path, "other-place", problem, REMEDY)] if problem else []


def _about_values(values: NDArray[Any], problem: str, dataset: Dataset, path: Path) -> list[Finding]:
    classes, remedy = dataset.classes, repair_hint(dataset.root)
    counts = count_values(values)
    if unknown := set(counts) - set(dataset.known_values):
        kind, cause = _cause(counts, classes)
        if kind == "instances":
            remedy += " --instances-to-binary"
        wanted = ", ".join(map(str, dataset.known_values))
        msg = f"expected the values {wanted}; found {len(unknown)} others ({cause}): {histogram_text(counts)}"
        return [Finding(path, kind, msg, remedy)]
    if problem:
        return [Finding(path, "colour-mask", problem, remedy)]
    single = len(classes.names) == 1 or classes.overlapping
    if single and looks_inverted(values == classes.values[0]):
        msg = "foreground fills most of the mask and of its border: inverted?"
        return [Finding(path, "inverted", msg, f"if so, {remedy} --invert", error=False)]
    return []


def _cause(counts: dict[int, int], classes: Classes) -> tuple[str, str]:
    kind = kind_of(counts)
    if kind == "ramp":
        return "jpeg-ramp", "two levels blurred by JPEG or by resizing"
    if kind == "instances":
        return "instances", "numbered objects instead of classes"
    if len(set(classes.values)) == 1 and kind in ("binary", "empty"):
        spelled = f"{classes.background}/{classes.values[0]}"
        return "mixed-values", f"background/foreground are not {spelled} here as declared"
    if set(counts) <= set(range(len(classes.names) + 1)):
        return "palette-indices", "numbers of the classes instead of their values"
    return "unexpected-values", "no class has them"


def _shares(layers: Sequence[NDArray[Any]], classes: Classes) -> tuple[float, ...]:
    if not layers:
        return ()
    files = layers if classes.overlapping else [layers[0]] * len(classes.names)
    return tuple(float((layer == value).mean()) for layer, value in zip(files, classes.values, strict=True))
