"""DICOM files and series. Nothing of a patient's data enters a message."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import InputError
from leanseg.images.dicom_geometry import Place, group, place_of, slice_geometry, stack_geometry
from leanseg.images.guard import Budget, check_file, check_finite, decoding
from leanseg.images.image import Geometry, Image
from leanseg.images.raster import one_channel
from leanseg.types import Pixels

if TYPE_CHECKING:  # most runs meet no DICOM file, and pydicom takes a quarter of the time to start
    from pydicom.dataset import Dataset

ENDINGS = (".dcm", ".dicom", ".ima")
ADVICE = "Crop it or resample it to fewer pixels."


def is_dicom(path: Path) -> bool:
    """Whether the file starts as DICOM files do, whatever its ending."""
    if not path.is_file() or path.name == "DICOMDIR":
        return False
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def series_in(folder: Path) -> tuple[list[list[Path]], list[Path]]:
    """The DICOM images directly in a folder: one list of files for each series, and those whose header is broken."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    broken = []
    for path in _files(folder):
        try:
            header = _header(path)
        except InputError:
            broken.append(path)
            continue
        if "Rows" in header:
            found[_series(header)].append(path)
    return list(found.values()), broken


def read_series(folder: Path, *, budget: Budget) -> Image:
    """Read the slices of one DICOM series, ordered along their normal.

    Args:
        folder: holds one series; files without pixels and other kinds of files are passed over.
        budget: the largest size that is decoded.

    Returns:
        (C, D, H, W) in the units that the rescale of the header gives (Hounsfield units in CT).

    Raises:
        InputError: no slices, several series, or slices missing, doubled, unlike each other or unreadable.
    """
    groups = _grouped(folder)
    if not groups:
        raise InputError(folder, "expected the slices of a DICOM series, found none in the folder. Check the path.")
    if len(groups) > 1:
        found = "; ".join(f"{len(g)} {g[0][1].get('Modality', '')} from {g[0][0].name} on" for g in groups[:5])
        msg = f"expected one DICOM series, found {len(groups)}: {found}. Give the series that you mean its own folder."
        raise InputError(folder, msg)
    slices = groups[0]
    if len(slices) == 1:
        image = read_dicom(slices[0][0], budget=budget)
        return Image(image.pixels, image.geometry, folder)
    sizes = Counter((_frames(h), int(h.Rows), int(h.Columns), int(h.get("SamplesPerPixel", 1))) for _, h in slices)
    if len(sizes) > 1 or next(iter(sizes))[0] > 1:
        raise InputError(folder, "expected slices of one size, found others. Keep one stack of slices in the folder.")
    with decoding(folder, "a DICOM series", private=True):
        places = [place_of(header) for _, header in slices]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        msg = f"{len(places) - len(known)} of {len(places)} slices do not say where they lie"
        raise InputError(folder, f"{msg}. Read them one by one, or convert the series to NIfTI.")
    order, geometry = stack_geometry(folder, known)
    (_, rows, columns, samples), count = next(iter(sizes)), len(slices)
    budget.check(folder, (samples, count, rows, columns), np.float32, advice=ADVICE)
    stack = np.stack([_read(slices[i][0], budget)[1][:, 0] for i in order], axis=1)
    return Image(stack if stack.dtype != np.float64 else stack.astype(np.float32), geometry, folder)


def read_dicom(path: Path, *, budget: Budget) -> Image:
    """Read one DICOM file.

    Args:
        path: the file, compressed or not.
        budget: the largest size that is decoded.

    Returns:
        (C, H, W), or (C, D, H, W) for several frames, in the units that the rescale gives; the dark end of the scale
        is black (MONOCHROME1 is inverted) and colours are red, green, blue.

    Raises:
        InputError: no DICOM image, unreadable, or frames that do not form a volume.
    """
    check_file(path)
    header, pixels = _read(path, budget)
    with decoding(path, "a DICOM image", private=True):
        if pixels.shape[1] == 1:
            return Image(pixels[:, 0], slice_geometry(header), path)
        places = _frame_places(header)
        if places is None:
            return Image(pixels, Geometry(), path)
        order, geometry = stack_geometry(path, places)
        return Image(np.ascontiguousarray(pixels[:, order]), geometry, path)


def read_dicom_mask(path: Path, *, budget: Budget) -> NDArray[Any]:
    """Read the values of a mask that was stored as a DICOM image or series.

    Raises:
        InputError: unreadable, or channels that differ.
    """
    image = read_series(path, budget=budget) if path.is_dir() else read_dicom(path, budget=budget)
    return one_channel(path, image.pixels)


def _grouped(folder: Path) -> list[list[tuple[Path, Dataset]]]:
    """Files and headers of each series, sorted by name."""
    found: defaultdict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    for path in _files(folder):
        header = _header(path)
        if "Rows" in header:
            found[_series(header)].append((path, header))
    return list(found.values())


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and is_dicom(path)]


def _header(path: Path) -> Dataset:
    from pydicom import dcmread

    with decoding(path, "a DICOM file", private=True):
        header = dcmread(path, stop_before_pixels=True)
        _check_whole(path, header)
    return header


def _series(header: Dataset) -> str:
    return str(header.get("SeriesInstanceUID", ""))


def _read(path: Path, budget: Budget) -> tuple[Dataset, Pixels]:
    """Header and (C, N, H, W) rescaled pixels of one file."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    with decoding(path, "a DICOM image", private=True):
        header = dcmread(path)
        _check_whole(path, header)
        _check_kind(path, header)
        shape = (int(header.get("SamplesPerPixel", 1)), _frames(header), int(header.Rows), int(header.Columns))
        budget.check(path, shape, np.float32, advice=ADVICE)
        stored = pixel_array(header)
        if header.PhotometricInterpretation == "PALETTE COLOR":
            stored = apply_color_lut(stored, header)
            stored = (stored >> 8).astype(np.uint8) if stored.dtype == np.uint16 else stored
        if header.PhotometricInterpretation == "PALETTE COLOR" or shape[0] > 1:
            pixels = np.moveaxis(stored.reshape(*shape[1:], stored.shape[-1]), -1, 0)
        else:
            pixels = _rescaled(header, stored.reshape(shape[1:]))[None]
    return header, check_finite(path, np.ascontiguousarray(pixels))


def _check_whole(path: Path, header: Dataset) -> None:
    """Refuse a file that ends early: pydicom gives what came before without a word, perhaps nothing."""
    kind = header.file_meta.get("MediaStorageSOPClassUID")
    if "Rows" not in header and (len(header) == 0 or (kind is not None and "Image Storage" in kind.name)):
        raise InputError(path, "cannot be read as a DICOM image (the file is cut off). Copy or export it again.")


def _check_kind(path: Path, header: Dataset) -> None:
    kind = str(header.get("Modality", "unknown"))
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(header.dir()):
        raise InputError(path, f"expected a DICOM image, found an object without pixels (modality {kind}).")
    if kind == "SEG":
        raise InputError(path, "a DICOM segmentation object is neither image nor mask. Convert it to NIfTI first.")
    if "TotalPixelMatrixRows" in header and _frames(header) > 1:
        msg = "its frames are the tiles of a slide, not slices. Convert it to a tiled TIFF first."
        raise InputError(path, msg)


def _frames(header: Dataset) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _frame_places(header: Dataset) -> list[Place] | None:
    """Where the frames of one file lie; None for a film, whose frames are moments."""
    if "PerFrameFunctionalGroupsSequence" not in header:
        return None
    places = [place_of(header, frame) for frame in range(_frames(header))]
    known = [place for place in places if place is not None]
    return known if len(known) == len(places) else None


def _rescaled(header: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    """Grey values (N, H, W) in the units of the header; integers stay integers where they can."""
    if header.PhotometricInterpretation == "MONOCHROME1" and stored.dtype.kind in "ui":
        bits, signed = int(header.BitsStored), stored.dtype.kind == "i"
        ends = -1 if signed else 2**bits - 1  # lowest plus highest stored value
        stored = (ends - stored.astype(np.int64)).astype(stored.dtype)
    if "ModalityLUTSequence" in header:
        from pydicom.pixels.processing import apply_modality_lut

        return np.asarray(apply_modality_lut(stored, header), np.float32)
    factors = []
    for frame in range(len(stored)):
        item = group(header, frame, "PixelValueTransformationSequence")
        slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
        factors.append((1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)))
    if all(factor == (1.0, 0.0) for factor in factors):
        return stored
    table = np.array(factors).reshape(-1, 2, 1, 1)
    if stored.dtype.kind == "f" or (table != np.rint(table)).any():
        return np.asarray(stored * table[:, 0] + table[:, 1], np.float32)
    exact = stored.astype(np.int64) * table[:, 0].astype(np.int64) + table[:, 1].astype(np.int64)
    for dtype in (np.int16, np.int32):
        if exact.min() >= np.iinfo(dtype).min and exact.max() <= np.iinfo(dtype).max:
            return np.asarray(exact, dtype)
    return np.asarray(exact, np.float32)
