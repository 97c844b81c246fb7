"""Where DICOM slices lie in the patient, in which order they stack and whether one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images.image import Geometry

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_EXACT = 1e-3  # cosines are written with about six digits
_UNEVEN = 0.05  # share of the slice distance by which scanners' own rounding may differ


@dataclass(frozen=True, kw_only=True)
class Place:
    """Position of one slice in the patient (LPS+ mm).

    Args:
        corner: (3,) centre of the first pixel.
        across: (3,) unit vector from column to column.
        down: (3,) unit vector from row to row.
        spacing: distance of rows, distance of columns in mm.
        thickness: of the slice in mm, None when unknown.
    """

    corner: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]
    spacing: tuple[float, float]
    thickness: float | None = None

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector in which slices are counted."""
        found: NDArray[np.float64] = np.cross(self.across, self.down)
        return found


def group(header: Dataset, frame: int, name: str) -> Dataset:
    """The functional group that holds for a frame of an enhanced file, or else the header itself."""
    for place, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        groups: Any = header.get(place)
        if groups is not None and len(groups) > index and name in groups[index]:
            found: Dataset = groups[index][name].value[0]
            return found
    return header


def place_of(header: Dataset, frame: int = 0) -> Place | None:
    """Where one frame lies; None where the header does not say."""
    corner = group(header, frame, "PlanePositionSequence").get("ImagePositionPatient")
    cosines = group(header, frame, "PlaneOrientationSequence").get("ImageOrientationPatient")
    spacing = spacing_of(header, frame)
    if corner is None or cosines is None or spacing is None or len(corner) != 3 or len(cosines) != 6:
        return None
    axes = np.array(cosines, np.float64).reshape(2, 3)
    thickness = group(header, frame, "PixelMeasuresSequence").get("SliceThickness")
    place = Place(
        corner=np.array(corner, np.float64),
        across=axes[0],
        down=axes[1],
        spacing=spacing,
        thickness=float(thickness) if thickness else None,
    )
    perpendicular = np.allclose(axes @ axes.T, np.eye(2), atol=_EXACT)
    return place if perpendicular and np.isfinite(place.corner).all() else None


def spacing_of(header: Dataset, frame: int = 0) -> tuple[float, float] | None:
    """Distance of rows and of columns in mm, at the patient or else at the detector."""
    measures = group(header, frame, "PixelMeasuresSequence")
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = measures.get(name)
        if found is not None and len(found) == 2 and all(np.isfinite(float(v)) and float(v) > 0 for v in found):
            return float(found[0]), float(found[1])
    return None


def slice_geometry(header: Dataset) -> Geometry:
    """Geometry of one picture; without a position it lies at the origin, rows and columns along the patient."""
    spacing = spacing_of(header)
    place = place_of(header)
    if place is not None:
        return Geometry(spacing=place.spacing, affine=_affine(place, place.normal * (place.thickness or 1.0)))
    flat = Place(
        corner=np.zeros(3),
        across=np.array([1.0, 0.0, 0.0]),
        down=np.array([0.0, 1.0, 0.0]),
        spacing=spacing or (1.0, 1.0),
    )
    return Geometry(spacing=spacing, affine=_affine(flat, flat.normal))


def stack_geometry(path: Path, places: Sequence[Place]) -> tuple[list[int], Geometry]:
    """Order of slices along their normal and the geometry of the stack.

    Args:
        path: the file or folder, for messages.
        places: of two or more slices, in any order.

    Returns:
        the order (indices into ``places``) and the geometry of the ordered stack.

    Raises:
        InputError: slices that are not parallel, missing, doubled or at unequal distances.
    """
    first = places[0]
    for place in places:
        same_axes = np.allclose([place.across, place.down], [first.across, first.down], atol=_EXACT)
        if not same_axes or not np.allclose(place.spacing, first.spacing, rtol=_EXACT):
            msg = "expected parallel slices of one pixel size, found different ones (a localizer among them?)"
            raise InputError(path, f"{msg}. Keep one stack of slices in the folder.")
    heights = np.array([place.corner @ first.normal for place in places])
    order = [int(i) for i in np.argsort(heights, kind="stable")]
    _check_gaps(path, np.diff(heights[order]))
    corners = np.stack([places[i].corner for i in order])
    step = (corners[-1] - corners[0]) / (len(order) - 1)
    straight = corners[0] + np.arange(len(order))[:, None] * step
    length = float(np.linalg.norm(step))
    if np.abs(corners - straight).max() > max(_UNEVEN * length, 0.01):
        raise InputError(path, "the slices do not lie behind each other on a line. Resample them to a straight volume.")
    return order, Geometry(spacing=(length, *first.spacing), affine=_affine(places[order[0]], step))


def _check_gaps(path: Path, gaps: NDArray[np.float64]) -> None:
    usual = float(np.median(gaps))
    if gaps.min() <= 1e-4:
        count = int((gaps <= 1e-4).sum())
        msg = f"{count} slices lie at the place of another one (several times, echoes or copies)"
        raise InputError(path, f"expected one slice at each place, but {msg}. Keep one of each in the folder.")
    off = np.abs(gaps - usual) > max(_UNEVEN * usual, 0.01)
    if not off.any():
        return
    at = int(np.argmax(np.abs(gaps - usual)))
    found = f"{gaps[at]:.2f} mm instead of {usual:.2f} mm after slice {at + 1} of {len(gaps) + 1}"
    multiples = gaps[off] / usual
    if (multiples > 1.5).all() and (np.abs(multiples - np.rint(multiples)) < 0.1).all():
        missing = int((np.rint(multiples) - 1).sum())
        raise InputError(path, f"slices are missing: {missing} of them, found {found}. Copy the whole series.")
    raise InputError(path, f"expected equal distances between slices, found {found}. Resample the series.")


def _affine(place: Place, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) from (x, y, z) indices to RAS+ mm."""
    matrix = np.eye(4)
    matrix[:3, 0] = place.across * place.spacing[1]
    matrix[:3, 1] = place.down * place.spacing[0]
    matrix[:3, 2] = step
    matrix[:3, 3] = place.corner
    return _LPS_TO_RAS @ matrix
