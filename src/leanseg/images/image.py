"""One image of any kind: pixels, where they lie in the world and which file they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from leanseg.types import Pixels


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of an image lie.

    Args:
        spacing: distance between neighbours in mm along each array axis, (y, x) or (z, y, x); None when unknown.
        affine: (4, 4) matrix from (x, y, z, 1) voxel indices, the reversed array axes, to RAS+ millimetres; None for
            photographs.
        placed: whether the affine says where the voxels lie; some headers hold one that says nothing.

    Example:
        >>> Geometry(spacing=(2.0, 0.5, 0.5)).spacing
        (2.0, 0.5, 0.5)
    """

    spacing: tuple[float, ...] | None = None
    affine: NDArray[np.float64] | None = None
    placed: bool = True


@dataclass(frozen=True)
class Image:
    """Pixels with geometry and origin; the same for a photograph, an X-ray and a CT volume.

    Args:
        pixels: (C, H, W) or (C, D, H, W) in the units of the file (8-bit grey values, Hounsfield units, ...).
        geometry: spacing and orientation.
        source: the file or folder that was read; None for an array made in memory.

    Example:
        >>> Image(np.zeros((3, 4, 5), np.uint8)).shape
        (4, 5)
    """

    pixels: Pixels
    geometry: Geometry = field(default_factory=Geometry)
    source: Path | None = None

    @property
    def channels(self) -> int:
        """Number of channels, C."""
        return int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial size, (H, W) or (D, H, W)."""
        return self.pixels.shape[1:]

    @property
    def dims(self) -> int:
        """2 for a picture, 3 for a volume."""
        return self.pixels.ndim - 1

    @property
    def stem(self) -> str:
        """File name without its ending, which names everything that is written about the image."""
        return stem_of(self.source) if self.source is not None else "image"

    def read(self, region: Sequence[slice]) -> Pixels:
        """The pixels of a part, (C, *part), without a copy."""
        return self.pixels[(slice(None), *region)]


class PixelSource(Protocol):
    """What inference needs of an image, in memory (:class:`Image`) or read from disk piece by piece."""

    @property
    def channels(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dims(self) -> int: ...
    @property
    def stem(self) -> str: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def source(self) -> Path | None: ...
    def read(self, region: Sequence[slice]) -> Pixels: ...


def stem_of(path: Path) -> str:
    """A file's name without its ending, where ``.nii.gz`` and ``.ome.tif`` count as one ending.

    Example:
        >>> stem_of(Path("scans/p01.nii.gz")), stem_of(Path("a.b.png"))
        ('p01', 'a.b')
    """
    for ending in (".nii.gz", ".ome.tif", ".ome.tiff"):
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem if path.suffix else path.name
