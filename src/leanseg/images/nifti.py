"""NIfTI volumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images.guard import Budget, check_file, check_finite, decoding
from leanseg.images.image import Geometry, Image
from leanseg.images.raster import one_channel
from leanseg.types import Pixels

if TYPE_CHECKING:
    import nibabel

ENDINGS = (".nii", ".nii.gz")
ADVICE = "Crop it or resample it to fewer voxels."

_TO_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read_nifti(path: Path, *, budget: Budget) -> Image:
    """Read a NIfTI file: its axes reversed, its rescale applied, its lengths in mm.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        budget: the largest size that is decoded.

    Returns:
        (C, D, H, W), where C counts the fourth axis (contrasts, colours); a file of one slice gives (C, H, W).

    Raises:
        InputError: no NIfTI file, cut off, too large, no usable voxel size or NaN.
    """
    import nibabel

    check_file(path)
    with decoding(path, "a NIfTI volume"):
        found = nibabel.load(path)
        if not isinstance(found, nibabel.Nifti1Pair):
            raise InputError(path, "expected a NIfTI file, found another kind of volume. Convert it to NIfTI.")
        proxy: Any = found.dataobj
        scaled = (proxy.slope, proxy.inter) != (1.0, 0.0)
        budget.check(path, found.shape, np.float32 if scaled else proxy.dtype, advice=ADVICE)
        geometry = _geometry(path, found)
        values = np.asarray(proxy, np.float32) if scaled else np.asarray(proxy)
        pixels = _channels_first(path, values)
    slice_only = len(found.shape) < 3 or found.shape[2] == 1
    return Image(check_finite(path, pixels[:, 0] if slice_only else pixels), geometry, path)


def read_nifti_mask(path: Path, *, budget: Budget) -> NDArray[Any]:
    """Read the values of a label volume, (D, H, W) or (H, W).

    Raises:
        InputError: unreadable, or several channels that differ.
    """
    return one_channel(path, read_nifti(path, budget=budget).pixels)


def read_nifti_geometry(path: Path) -> Geometry:
    """What a NIfTI header says of its voxels, without reading these.

    Raises:
        InputError: no NIfTI file, or no usable voxel size.
    """
    import nibabel

    with decoding(path, "a NIfTI volume"):
        found: Any = nibabel.load(path)
        return _geometry(path, found)


def _channels_first(path: Path, values: NDArray[Any]) -> Pixels:
    """(x, y, z, t, c) to (C, z, y, x) in the machine's byte order."""
    values = values.reshape(*values.shape, *(1,) * (3 - values.ndim))
    if values.dtype.names is not None:  # RGB and RGBA voxels
        values = np.stack([values[name] for name in values.dtype.names[:3]], axis=-1)
    if values.dtype.kind not in "uif":
        raise InputError(path, f"expected real numbers, found voxels of type {values.dtype}. Convert them.")
    if sum(length > 1 for length in values.shape[3:]) > 1:
        raise InputError(path, f"expected at most four axes, found size {values.shape}. Save one file for each time.")
    pixels = values.reshape(*values.shape[:3], -1).T
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def _geometry(path: Path, found: nibabel.Nifti1Pair) -> Geometry:
    header: Any = found.header
    unit = _TO_MM[header.get_xyzt_units()[0]]
    affine = np.diag([unit, unit, unit, 1.0]) @ np.asarray(found.affine, np.float64)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        msg = f"expected a voxel size above 0 on every axis, found {sizes.tolist()} mm. Repair the header's affine."
        raise InputError(path, msg)
    axes = 2 if len(found.shape) < 3 or found.shape[2] == 1 else 3
    coded = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    # The identity is what programs write that do not know.
    placed = coded and not np.array_equal(affine, np.eye(4))
    return Geometry(spacing=tuple(float(s) for s in sizes[:axes][::-1]), affine=affine, placed=placed)
