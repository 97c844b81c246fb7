"""Write what was segmented, at the size and the place of the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from leanseg.errors import UsageError
from leanseg.images.atomic import replacing
from leanseg.images.image import PixelSource
from leanseg.images.label_tiff import LabelTiffWriter
from leanseg.images.tiff import TiffSource
from leanseg.types import Classes, Labels, Probabilities


def write_labels(labels: Labels, *, like: PixelSource, classes: Classes, folder: Path) -> list[Path]:
    """Write labels as mask files with the values that the task gives its classes.

    Pictures become PNG; volumes and everything with a place in the patient (NIfTI, DICOM) become ``.nii.gz`` that lies
    exactly over its source in a viewer; sources that are read piece by piece become tiled TIFF.

    Args:
        labels: (H, W) or (D, H, W) class numbers; (K, *spatial) of 0/1 where classes overlap.
        like: the source, whose stem names the file. Two sources of one stem (``a.png``, ``a.jpg``) get one name: the
            caller gives them different folders.
        classes: what the numbers mean; overlapping classes are written to ``folder/<class>/``.
        folder: where to write; it is made when missing.

    Returns:
        the files written.

    Raises:
        UsageError: the labels do not have the size of the source, or a class cannot name a folder.

    Example:
        >>> import tempfile
        >>> from leanseg.images.image import Image
        >>> eye = Image(np.zeros((3, 4, 5), np.uint8), source=Path("eye.jpg"))
        >>> vessel = Classes(names=("vessel",), values=(255,))
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write_labels(np.ones((4, 5), np.uint8), like=eye, classes=vessel, folder=folder)]
        ['eye.png']
    """
    count = len(classes.names)
    _check_shape(labels.shape, (count, *like.shape) if classes.overlapping else like.shape)
    if not classes.overlapping:
        return [_write_mask(classes.decode(labels), like, folder)]
    written = []
    for name, value, plane in zip(classes.names, classes.values, labels, strict=True):
        table = Classes(names=(name,), values=(value,), background=classes.background)
        written.append(_write_mask(table.decode((plane > 0).astype(np.uint8)), like, class_folder(folder, name)))
    return written


def write_merged(merged: Labels, *, like: PixelSource, classes: Classes, folder: Path) -> Path:
    """Write class numbers as one file in the classes' colours, of the kind that masks get.

    Pictures get a palette: viewers show the colours, programs read the numbers. Volumes hold the numbers alone.

    Args:
        merged: (*spatial), 0 = background, n = n-th class, whatever value that class has in mask files.
        like: the source, whose stem names the file.
        classes: their colours.
        folder: where to write; it is made when missing.

    Raises:
        UsageError: the numbers do not have the size of the source.
    """
    _check_shape(merged.shape, like.shape)
    return _write_mask(merged, like, folder, palette=colour_table(classes), note="; ".join(classes.names))


def colour_table(classes: Classes) -> NDArray[np.uint8]:
    """Red, green and blue of every class number, (256, 3): black, the classes, and magenta where there is no class.

    Example:
        >>> colour_table(Classes(names=("vessel",), colours=("#56B4E9",)))[:3].tolist()
        [[0, 0, 0], [86, 180, 233], [255, 0, 255]]
    """
    # The unused entries also tell readers of masks that these are no greys, so that they take the numbers.
    table = np.full((256, 3), (255, 0, 255), np.uint8)
    table[0] = 0
    for number, colour in enumerate(classes.colours, start=1):
        table[number] = tuple(bytes.fromhex(colour[1:]))
    return table


MOST_OBJECTS = int(np.iinfo(np.uint16).max)
"""Objects that a file of numbers can hold."""


def write_objects(objects: NDArray[np.int32], *, like: PixelSource, folder: Path) -> Path:
    """Write object numbers as a 16-bit file of the kind that masks get.

    Args:
        objects: (*spatial), 0 = background.
        like: the source, whose stem names the file.
        folder: where to write; it is made when missing.

    Raises:
        UsageError: the numbers do not have the size of the source, or there are more than 65,535 objects.
    """
    _check_shape(objects.shape, like.shape)
    if (most := int(objects.max(initial=0))) > MOST_OBJECTS:
        raise UsageError(f"{like.stem}: expected at most {MOST_OBJECTS} objects, found {most}; raise --smallest")
    return _write_mask(objects.astype(np.uint16), like, folder)


def write_probabilities(
    probabilities: Probabilities, *, like: PixelSource, classes: Classes, folder: Path
) -> list[Path]:
    """Write one map for each class: a TIFF with a page each, or ``.nii.gz`` with a fourth axis where masks are so.

    Args:
        probabilities: (K, *spatial) in [0, 1].
        like: the source, whose stem names the file.
        classes: name the pages.
        folder: where to write; it is made when missing.

    Returns:
        the file written, float32.

    Raises:
        UsageError: not one map for each class at the size of the source.
    """
    _check_shape(probabilities.shape, (len(classes.names), *like.shape))
    maps = np.asarray(probabilities, np.float32)
    if _in_space(like):
        path = folder / f"{like.stem}.nii.gz"
        with replacing(path) as temporary:
            _write_nifti(temporary, maps, like, "; ".join(classes.names))
        return [path]
    path = folder / f"{like.stem}.tif"
    with replacing(path) as temporary:
        names = {"axes": "CYX", "Channel": {"Name": list(classes.names)}}
        tifffile.imwrite(temporary, maps, ome=True, photometric="minisblack", compression="zlib", metadata=names)
    return [path]


def class_folder(folder: Path, name: str) -> Path:
    """The folder of one overlapping class.

    Raises:
        UsageError: the name would lead elsewhere (it holds a slash, or is ``..``).
    """
    if name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
        raise UsageError(f"class {name!r} cannot name a folder. Rename it without / \\ and :.")
    return folder / name


def mask_ending(like: PixelSource) -> str:
    """The ending that a mask of this source gets: ``.png``, ``.tif`` or ``.nii.gz``."""
    if _in_space(like):
        return ".nii.gz"
    return ".tif" if isinstance(like, TiffSource) else ".png"


def _in_space(like: PixelSource) -> bool:
    return like.dims == 3 or like.geometry.affine is not None


def _check_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise UsageError(f"expected an array of size {expected}, as its source, found {found}")


def _write_mask(
    values: NDArray[Any], like: PixelSource, folder: Path, *, palette: NDArray[np.uint8] | None = None, note: str = ""
) -> Path:
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise UsageError(f"mask files hold values from 0 to 65535, found {values.min()} to {values.max()}")
    ending = mask_ending(like)
    path = folder / f"{like.stem}{ending}"
    if ending == ".tif":
        with LabelTiffWriter(path, shape=values.shape, dtype=values.dtype, palette=palette) as writer:
            writer.write(tuple(slice(0, n) for n in values.shape), values)
        return path
    with replacing(path) as temporary:
        if ending == ".png":
            shown = Picture.fromarray(values)
            if palette is not None:
                shown.putpalette(palette.tobytes())
            shown.save(temporary)
        else:
            _write_nifti(temporary, values, like, note)
    return path


def _write_nifti(path: Path, values: NDArray[Any], like: PixelSource, note: str) -> None:
    """Values (*spatial) or (K, *spatial) with the affine of the source, or one made of its spacing."""
    import nibabel

    if like.dims == 2:
        values = values[..., None, :, :]
    affine = like.geometry.affine
    if affine is None:
        affine = np.diag([*(like.geometry.spacing or (1.0, 1.0, 1.0))[::-1], 1.0])
    image: Any = nibabel.Nifti1Image
    made = image(values.T, affine)
    made.header.set_xyzt_units("mm")
    made.header["descrip"] = note.encode("ascii", "replace")[:79]
    made.set_sform(affine, code="scanner")
    # A quaternion holds no shear: with the code 0 (unknown), viewers take the affine, which is exact.
    made.set_qform(affine, code="unknown")
    nibabel.save(made, path)
