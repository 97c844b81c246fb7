"""Run a model on an image of any size: tile by tile, row by row, within a memory limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leanseg.bundle import Bundle
from leanseg.errors import InputError, UsageError
from leanseg.images.image import Image, PixelSource
from leanseg.images.preprocess import Prepared
from leanseg.images.resample import Region, whole
from leanseg.images.tiles import plan_tiles, round_up, smallest_tile
from leanseg.inference.backends import BackendName
from leanseg.inference.ensemble import Ensemble, pad_by_reflection
from leanseg.inference.memory import DEFAULT, LIBRARIES, largest_fitting, spell_memory
from leanseg.inference.postprocess import keep_largest, to_labels
from leanseg.inference.tally import Tally, count
from leanseg.inference.windows import window_rows
from leanseg.quality.appraiser import Appraiser
from leanseg.quality.traits import Traits
from leanseg.types import Labels, Mask, Probabilities, Quality, Segmentation

SIDES = {2: range(2048, 0, -64), 3: range(192, 0, -16)}
"""Sides of a tile in pixels, by the dimensions of the net: beyond the first, larger tiles bring no speed."""

CHUNK = 64 * 10**6
"""Bytes of probabilities that are brought to the source's grid at once."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """The answer for some rows of a picture or some slices of a volume.

    Args:
        rows: where they lie on the first axis of the source.
        labels: (rows, ...) class numbers; (K, rows, ...) of 0/1 where classes overlap.
        probabilities: (K, rows, ...), 0 outside the field of view.
        field: (rows, ...) field of view.
    """

    rows: slice
    labels: Labels
    probabilities: Probabilities
    field: Mask


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The answer for a whole image.

    Args:
        labels: as of a band, for all rows.
        probabilities: (K, *spatial), where they were kept.
        traits: of each class.
        quality: how far it can be trusted.
    """

    labels: Labels
    probabilities: Probabilities | None
    traits: tuple[Traits, ...]
    quality: Quality


class Predictor:
    """Segment images with a model.

    Args:
        bundle: the model, read from a folder.
        device: "cpu", "cuda" or "mps".
        threads: processor threads; all by default.
        memory: bytes that a run may take, from which the size of tiles follows; 2 GB by default.
        flips: average over the image and its three mirrored views: four times the work, a little better.
        backend: "onnx", "openvino" or "torch", as far as they are installed; by default the fastest of them.
        half: compute in bfloat16, with "openvino" or "torch": faster on newer processors, a few pixels differ.

    Raises:
        InputError: a file of the model is broken.
        UsageError: the device or the backend is not there, or fewer threads than one.

    Example:
        >>> from leanseg.bundle import read_bundle
        >>> predictor = Predictor(bundle=read_bundle("vessels"))  # doctest: +SKIP
        >>> predictor.predict(read_image(Path("eye.jpg"))).mask("vessel").mean()  # doctest: +SKIP
        0.08
    """

    def __init__(
        self,
        *,
        bundle: Bundle,
        device: str = "cpu",
        threads: int | None = None,
        memory: int | None = None,
        flips: bool = False,
        backend: BackendName = "auto",
        half: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is a number from 1, found {threads}")
        self.bundle = bundle
        self.memory = memory or DEFAULT
        self.appraiser = Appraiser(bundle)
        self._dims = bundle.parts[0].dims
        self._answer = Ensemble(bundle, kind=backend, threads=threads, device=device, flips=flips, half=half)

    def predict(self, source: PixelSource, *, probabilities: bool = False) -> Segmentation:
        """Segment one image as a whole.

        Args:
            source: the image.
            probabilities: keep the probability maps.

        Raises:
            InputError: the image does not suit the model, or not even the smallest tile fits into memory.
        """
        found = self.whole(source, probabilities=probabilities)
        image = source if isinstance(source, Image) else Image(source.read(whole(source.shape)), source.geometry)
        maps = found.probabilities if probabilities else None
        classes = self.bundle.classes
        return Segmentation(
            labels=found.labels, classes=classes, image=image, probabilities=maps, quality=found.quality
        )

    def whole(self, source: PixelSource | Prepared, *, probabilities: bool = False) -> Whole:
        """Segment one image as a whole and say what its masks are like.

        Args:
            source: the image, or what :meth:`prepare` of a predictor with the same preprocessing made of it.
            probabilities: keep the probability maps.

        Raises:
            InputError: as for :meth:`predict`.
        """
        classes = self.bundle.classes
        lead = (len(classes.names),)
        # Which pixels count is known at the end only, where the largest piece is kept.
        keep = probabilities or classes.single_object
        prepared = source if isinstance(source, Prepared) else self.prepare(source)
        shape = prepared.source.shape
        maps = np.zeros(lead + shape, np.float32) if keep else None
        labels = np.zeros((lead if classes.overlapping else ()) + shape, np.uint8)
        tallies = [Tally() for _ in classes.names]
        field = 0
        for band in self.bands(prepared, results=labels.nbytes + (0 if maps is None else maps.nbytes)):
            field += int(np.count_nonzero(band.field))
            labels[(slice(None), band.rows) if classes.overlapping else band.rows] = band.labels
            if maps is not None:
                maps[:, band.rows] = band.probabilities
            if not classes.single_object:
                count(tallies, band.labels, band.probabilities, classes)
        if classes.single_object and maps is not None:
            labels = keep_largest(labels, classes=classes)
            count(tallies, labels, maps, classes)
        traits = tuple(tally.traits(field=field) for tally in tallies)
        return Whole(labels=labels, probabilities=maps, traits=traits, quality=self.appraiser(prepared, traits))

    def bands(self, prepared: Prepared, *, results: int = 0) -> Iterator[Band]:
        """Segment an image in bands, from the first row to the last, in memory that does not grow with its height.

        ``Classes.single_object`` needs the whole mask and is left to :meth:`predict`.

        Args:
            prepared: the image, by :meth:`prepare`.
            results: bytes that the caller will keep, which are then not there for tiles.

        Raises:
            InputError: as for :meth:`predict`.
        """
        yield from self._bands(prepared, self._side(prepared, results=results))

    def prepare(self, source: PixelSource) -> Prepared:
        """Look at an image once, at low resolution, as its preprocessing needs.

        Raises:
            InputError: the image does not suit the model.
        """
        if source.dims < self._dims:
            raise InputError(source.source or source.stem, "expected a volume, found a picture; choose another model")
        return self.bundle.preprocessing.prepare(source)

    def _bands(self, prepared: Prepared, side: int) -> Iterator[Band]:
        across = whole(prepared.source.shape)[1:]
        for rows, maps in _to_source(prepared, self._rows(prepared, side)):
            field = prepared.field((rows, *across))
            maps = np.where(field, maps, np.float32(0))
            labels = to_labels(maps, classes=self.bundle.classes, threshold=self.bundle.threshold)
            yield Band(rows=rows, labels=labels, probabilities=maps, field=field)

    def _rows(self, prepared: Prepared, side: int) -> Iterator[tuple[slice, Probabilities]]:
        """Rows (or slices) of the network's grid in order, with their probabilities (K, rows, ...)."""
        if prepared.source.dims == self._dims:
            yield from self._tile_rows(prepared, side, before=())
            return
        for index in range(prepared.shape[0]):
            here = slice(index, index + 1)
            parts = [maps for _, maps in self._tile_rows(prepared, side, before=(here,))]
            yield here, np.concatenate(parts, axis=1)[:, None]

    def _tile_rows(
        self, prepared: Prepared, side: int, *, before: tuple[slice, ...]
    ) -> Iterator[tuple[slice, Probabilities]]:
        shape = prepared.shape[len(before) :]
        padded = [round_up(size, self._answer.divisor) for size in shape]
        if self._answer.window is not None:
            yield from self._window_rows(prepared, shape, padded, before)
            return
        halo = self._answer.halo if self._answer.halo is not None else max(padded)
        for tiles in plan_tiles(padded, tile=[side] * len(shape), halo=halo, divisor=self._answer.divisor):
            rows = slice(tiles[0].core[0].start, min(tiles[0].core[0].stop, shape[0]))
            maps = np.empty((len(self.bundle.classes.names), rows.stop - rows.start, *shape[1:]), np.float32)
            for tile in tiles:
                core = tuple(slice(c.start, min(c.stop, n)) for c, n in zip(tile.core, shape, strict=True))
                answer = self._answer(_read(prepared, tile.outer, before))
                inner = tuple(slice(i.start, i.start + c.stop - c.start) for i, c in zip(tile.inner, core, strict=True))
                maps[(slice(None), slice(None), *core[1:])] = answer[(slice(None), *inner)]
            yield rows, maps

    def _window_rows(
        self, prepared: Prepared, shape: tuple[int, ...], padded: list[int], before: tuple[slice, ...]
    ) -> Iterator[tuple[slice, Probabilities]]:
        assert self._answer.window is not None
        across = tuple(slice(0, size) for size in shape[1:])

        def answer(region: Region) -> Probabilities:
            return self._answer(_read(prepared, region, before))

        for rows, maps in window_rows(answer, padded, window=self._answer.window, divisor=self._answer.divisor):
            inside = slice(rows.start, min(rows.stop, shape[0]))
            yield inside, np.ascontiguousarray(maps[(slice(None), slice(0, inside.stop - inside.start), *across)])

    def _side(self, prepared: Prepared, *, results: int = 0) -> int:
        """The side of the largest tile that fits into memory beside ``results`` bytes of results."""
        shape = prepared.shape[-self._dims :]
        divisor, halo = self._answer.divisor, self._answer.halo
        padded = [round_up(size, divisor) for size in shape]
        channels, classes = len(self.bundle.preprocessing.channels), len(self.bundle.classes.names)
        held = getattr(getattr(prepared.source, "pixels", None), "nbytes", 0) + LIBRARIES + results

        def cost(side: int) -> float:
            tile = [min(side, size) for size in padded]
            # Reading a tile takes a handful of float copies, a band of maps two.
            reading = 20 * channels * math.prod(tile) / min(prepared.scale, 1.0) ** 2
            band = 8 * classes * tile[0] * math.prod(padded[1:])
            return held + self._answer.bytes_per_pixel * math.prod(tile) + reading + band

        least = max(padded) if halo is None else smallest_tile(halo=halo, divisor=divisor)
        if self._answer.window is not None:
            least = min(max(padded), self._answer.window)
        sides = [s for s in (max(padded), *SIDES[self._dims]) if least <= s <= max(SIDES[self._dims][0], least)]
        side = largest_fitting([least] if self._answer.window else [*sides, least], cost, room=self.memory)
        if side is None:
            need, limit = spell_memory(cost(least)), spell_memory(self.memory)
            alone = halo is None and self._answer.window is None
            why = "the net needs the whole image at once" if alone else f"a tile of {least} pixels"
            msg = f"segmenting it takes {need} ({why}), the memory limit is {limit}. Raise the limit"
            raise InputError(prepared.source.source or prepared.source.stem, msg)
        return side


def _read(prepared: Prepared, outer: Region, before: tuple[slice, ...]) -> NDArray[np.float32]:
    """Pixels of a region of the padded grid, mirrored where it reaches beyond the image."""
    shape = prepared.shape[len(before) :]
    region = tuple(slice(o.start, min(o.stop, n)) for o, n in zip(outer, shape, strict=True))
    pixels = prepared.read((*before, *region))
    pixels = pixels.reshape(pixels.shape[0], *pixels.shape[1 + len(before) :])
    return pad_by_reflection(pixels, [o.stop - o.start for o in outer])


def _to_source(
    prepared: Prepared, rows: Iterator[tuple[slice, Probabilities]]
) -> Iterator[tuple[slice, Probabilities]]:
    """Bring bands of the network's grid to the source's, as soon as all the rows that a band needs are there."""
    if prepared.shape == prepared.source.shape:
        yield from rows
        return
    back = prepared.resampling.inverse
    size, across = prepared.source.shape[0], whole(prepared.source.shape)[1:]
    held: Probabilities | None = None
    first = done = 0
    for part, maps in rows:
        held = maps if held is None else np.concatenate([held, maps], axis=1)
        step = max(1, CHUNK // (4 * maps.shape[0] * math.prod(prepared.source.shape[1:])))
        while done < size:
            stop = min(size, done + step)
            while stop > done and back.needed((slice(done, stop), *across))[0].stop > part.stop:
                stop -= 1
            if stop == done:
                break
            given = (slice(first, part.stop), *whole(prepared.shape)[1:])
            wanted = (slice(done, stop), *across)
            yield wanted[0], prepared.to_source(held, given=given, wanted=wanted)
            done = stop
        if done < size:
            keep = back.needed((slice(done, done + 1), *across))[0].start
            held, first = held[:, keep - first :], keep
