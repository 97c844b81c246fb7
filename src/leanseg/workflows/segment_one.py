"""Segment one image and write everything about it, in memory or band by band."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from leanseg.bundle import Bundle
from leanseg.errors import InputError
from leanseg.images.atomic import replacing
from leanseg.images.image import Image, PixelSource
from leanseg.images.label_tiff import LabelTiffWriter
from leanseg.images.read import open_image
from leanseg.images.statistics import overview
from leanseg.images.write import (
    MOST_OBJECTS,
    class_folder,
    colour_table,
    write_labels,
    write_merged,
    write_probabilities,
)
from leanseg.inference.contours import contours
from leanseg.inference.instances import Parting, seams
from leanseg.inference.memory import LIBRARIES, spell_memory
from leanseg.inference.merge import conflicts, merge
from leanseg.inference.predictor import Band, Predictor, Whole
from leanseg.inference.tally import Tally, count
from leanseg.quality.traits import Traits
from leanseg.report.figures import overlay
from leanseg.types import Classes, Labels, Pixels, Quality
from leanseg.workflows.naming import renamed
from leanseg.workflows.object_table import Objects, write_parted
from leanseg.workflows.scoring import class_masks
from leanseg.workflows.segment_rows import SegmentRow


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is written about each image besides its mask.

    Args:
        probabilities: maps of each class.
        contours: outlines as GeoJSON.
        overlays: outlines over the picture.
        instances: how numbered objects are made; None to leave them out.
        below: the Dice that is good enough; None for the model's own.
    """

    probabilities: bool = False
    contours: bool = False
    overlays: bool = True
    instances: Parting | None = None
    below: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one image.

    Args:
        rows: one for each class.
        picture: (H, W, 3) overlay, where one was wanted.
    """

    rows: tuple[SegmentRow, ...]
    picture: NDArray[np.uint8] | None


class Found(NamedTuple):
    """What is known of an image when its masks are written.

    Args:
        traits: of each class.
        quality: of the image.
        objects: of each class, where they were counted.
        shared: pixels of each class that another class claims, too, where classes overlap.
        picture: (H, W, 3) overlay, where one was wanted.
    """

    traits: tuple[Traits, ...]
    quality: Quality
    objects: tuple[int | None, ...]
    shared: tuple[int | None, ...]
    picture: NDArray[np.uint8] | None


def segment_one(path: Path, *, stem: str, predictor: Predictor, out: Path, wanted: Wanted) -> Outcome:
    """Segment an image file.

    Args:
        path: the file or DICOM series folder.
        stem: names everything that is written.
        predictor: the model.
        out: the folder of the run.
        wanted: what is written besides the mask.

    Raises:
        InputError: the file is broken, or does not suit the model or the memory limit.
    """
    begun = time.monotonic()
    source = open_image(path, memory=max(1, (predictor.memory - LIBRARIES) // 2))
    segment = _in_memory if isinstance(source, Image) else _streamed
    found = segment(source, stem, predictor, out, wanted)
    if found.picture is not None:
        with replacing(out / "overlays" / f"{stem}.png") as temporary:
            Pillow.fromarray(found.picture).save(temporary)
    seconds = time.monotonic() - begun
    facts: dict[str, Any] = {"image": str(path), "mask": stem, "geometry": source.geometry, "seconds": seconds}
    facts |= {"quality": found.quality, "below": wanted.below}
    of_each = zip(predictor.bundle.classes.names, found.traits, found.objects, found.shared, strict=True)
    rows = [
        SegmentRow.of(seen, objects=count, shared=shared, name=name, **facts) for name, seen, count, shared in of_each
    ]
    return Outcome(rows=tuple(rows), picture=found.picture)


def _in_memory(source: PixelSource, stem: str, predictor: Predictor, out: Path, wanted: Wanted) -> Found:
    image = renamed(source, stem)
    classes = predictor.bundle.classes
    keep = wanted.probabilities or wanted.instances is not None or classes.overlapping
    found = predictor.whole(source, probabilities=keep)
    parted = _part(found, source, classes, wanted.instances)
    write_labels(found.labels, like=image, classes=classes, folder=out / "masks")
    shared = _merge(found, image, predictor.bundle, out / "merged")
    if wanted.probabilities and found.probabilities is not None:
        write_probabilities(found.probabilities, like=image, classes=classes, folder=out / "probabilities")
    if wanted.contours:
        with replacing(out / "contours" / f"{stem}.geojson") as temporary:
            outlines = contours(found.labels, classes=classes, objects=parted)
            temporary.write_text(json.dumps(outlines), encoding="utf-8")
    counts: tuple[int | None, ...] = (None,) * len(classes.names)
    drawn = found.labels
    if parted is not None and found.probabilities is not None:
        write_parted(parted, found.probabilities, like=image, classes=classes, folder=out / "instances")
        counts = tuple(int(objects.max(initial=0)) for objects in parted)
        drawn = _with_seams(found.labels, parted, classes)
    picture = overlay(image, drawn, classes) if wanted.overlays else None
    return Found(found.traits, found.quality, counts, shared, picture)


def _merge(found: Whole, like: PixelSource, bundle: Bundle, folder: Path) -> tuple[int | None, ...]:
    """Write one map of classes that overlap, and count what each shares with others."""
    classes = bundle.classes
    if not classes.overlapping or found.probabilities is None:
        return (None,) * len(classes.names)
    maps = found.probabilities
    if classes.single_object:
        # What was taken out of a mask is no candidate any more.
        maps = np.where(found.labels > 0, maps, np.float32(0))
    write_merged(merge(maps, bundle.threshold), like=like, classes=classes, folder=folder)
    return tuple(_shared(found.labels))


def _shared(masks: Labels) -> list[int]:
    """Of each of (K, *spatial) masks, the pixels that another one claims, too."""
    both = conflicts(masks)
    return [int(np.count_nonzero(plane[both])) for plane in masks]


def _part(found: Whole, source: PixelSource, classes: Classes, how: Parting | None) -> list[Objects] | None:
    """Numbered objects of each class, before anything is written, for there may be too many."""
    if how is None or found.probabilities is None:
        return None
    masks = class_masks(found.labels, classes)
    parted = [how(mask, maps) for mask, maps in zip(masks, found.probabilities, strict=True)]
    if (most := max(int(objects.max(initial=0)) for objects in parted)) > MOST_OBJECTS:
        msg = f"expected at most {MOST_OBJECTS} objects, found {most}. Raise --smallest, or part the image in tiles."
        raise InputError(source.source or source.stem, msg)
    return parted


def _with_seams(labels: Labels, parted: Sequence[Objects], classes: Classes) -> Labels:
    """Labels with a line of background between objects that touch."""
    drawn = labels.copy()
    for number, objects in enumerate(parted):
        (drawn[number] if classes.overlapping else drawn)[seams(objects)] = 0
    return drawn


def _streamed(source: PixelSource, stem: str, predictor: Predictor, out: Path, wanted: Wanted) -> Found:
    classes = predictor.bundle.classes
    _check_streamable(source, predictor, wanted)
    block = max(1, max(source.shape) // 1024)
    lead = (len(classes.names),) if classes.overlapping else ()
    small = np.zeros((*lead, *(math.ceil(size / block) for size in source.shape)), np.uint8)
    tallies = [Tally() for _ in classes.names]
    shared = np.zeros(len(classes.names), np.int64)
    field = 0
    prepared = predictor.prepare(source)
    with ExitStack() as open_files:
        writers = [open_files.enter_context(writer) for writer in _mask_writers(source, stem, classes, out / "masks")]
        merged = [open_files.enter_context(writer) for writer in _merged_writers(source, stem, classes, out / "merged")]
        for band in predictor.bands(prepared):
            _write_band(writers, band, classes)
            for writer in merged:
                writer.write(_region(band), merge(band.probabilities, predictor.bundle.threshold))
                shared += _shared(band.labels)
            count(tallies, band.labels, band.probabilities, classes)
            field += int(np.count_nonzero(band.field))
            _shrink_into(small, band, block)
    traits = tuple(tally.traits(field=field) for tally in tallies)
    quality = predictor.appraiser(prepared, traits)
    nothing: tuple[int | None, ...] = (None,) * len(classes.names)
    picture = overlay(_shrunk(source, block), small, classes) if wanted.overlays else None
    return Found(traits, quality, nothing, tuple(shared.tolist()) if merged else nothing, picture)


def _check_streamable(source: PixelSource, predictor: Predictor, wanted: Wanted) -> None:
    """Refuse what needs the whole image at once."""
    reasons = {
        "a volume": source.dims == 3,
        "a model that keeps the largest piece of each class": predictor.bundle.classes.single_object,
        "writing probabilities": wanted.probabilities,
        "writing contours": wanted.contours,
        "parting objects": wanted.instances is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            limit = spell_memory(predictor.memory)
            msg = f"larger than the memory limit of {limit} allows, and {reason} needs it whole. Raise --memory"
            raise InputError(source.source or source.stem, msg)


def _mask_writers(source: PixelSource, stem: str, classes: Classes, folder: Path) -> list[LabelTiffWriter]:
    kind = np.min_scalar_type(max(classes.background, *classes.values))
    folders = [class_folder(folder, name) for name in classes.names] if classes.overlapping else [folder]
    return [LabelTiffWriter(place / f"{stem}.tif", shape=source.shape, dtype=kind) for place in folders]


def _merged_writers(source: PixelSource, stem: str, classes: Classes, folder: Path) -> list[LabelTiffWriter]:
    """One for classes that overlap, none for others."""
    if not classes.overlapping:
        return []
    return [LabelTiffWriter(folder / f"{stem}.tif", shape=source.shape, palette=colour_table(classes))]


def _region(band: Band) -> tuple[slice, slice]:
    return band.rows, slice(0, band.labels.shape[-1])


def _write_band(writers: list[LabelTiffWriter], band: Band, classes: Classes) -> None:
    region = _region(band)
    if not classes.overlapping:
        writers[0].write(region, classes.decode(band.labels))
        return
    for writer, plane, value in zip(writers, band.labels, classes.values, strict=True):
        kind = np.min_scalar_type(max(value, classes.background))
        writer.write(region, np.where(plane > 0, value, classes.background).astype(kind))


def _shrink_into(small: Labels, band: Band, block: int) -> None:
    """Keep whatever was found in a block, however little of it: an overlay should not lose small lesions."""
    height, width = band.labels.shape[-2:]
    starts = [0, *range(block - band.rows.start % block, height, block)]
    here = slice(band.rows.start // block, (band.rows.stop - 1) // block + 1)
    across = np.maximum.reduceat(band.labels, range(0, width, block), axis=-1)
    down = np.maximum.reduceat(across, starts, axis=-2)
    np.maximum(small[..., here, :], down, out=small[..., here, :])


def _shrunk(source: PixelSource, block: int) -> Image:
    """A small copy of a large picture, for its overlay."""
    kind = source.read((slice(0, 1), slice(0, 1))).dtype

    def as_float(pixels: Pixels) -> NDArray[np.float32]:
        return pixels.astype(np.float32)

    small = overview(source, as_float, block=block).pixels
    return Image(small.round().astype(kind) if kind.kind == "u" else small)
