"""Superpixels of every image, made once on the clean image and kept in a file of the run."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import UsageError, require
from leanseg.images.atomic import replacing

Kind = Literal["slic", "felzenszwalb", "grid"]

COMPACTNESS = 10.0
"""Of SLIC, for values from 0 to 100 like those of the lightness for which its authors gave the figure."""

SMOOTHING = 1.0
"""Of SLIC: sigma in pixels of the blur before it, without which noise breaks regions up until few are left."""

COARSE = 20
"""Pixels along a region that are enough: larger images are shrunk by a whole factor, for a fraction of the time."""


def find_regions(image: Tensor, *, kind: Kind = "slic", n_regions: int = 36) -> Tensor:
    """Cut one image into regions.

    Args:
        image: (C, H, W), finite, of any brightness and contrast.
        kind: ``"slic"`` and ``"felzenszwalb"`` follow edges; ``"grid"`` cuts equal squares, the control.
        n_regions: about how many; a flat image may have fewer, down to one.

    Returns:
        (H, W) int32, numbered from 0 without gaps.

    Raises:
        UsageError: no such kind, or fewer than one region.
        MissingExtra: scikit-image is not installed.

    Source:
        SLIC: Achanta et al., TPAMI 34:2274 (2012). Felzenszwalb and Huttenlocher, IJCV 59:167 (2004).

    Example:
        >>> find_regions(torch.zeros(1, 4, 4), kind="grid", n_regions=4).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """
    if n_regions < 1:
        raise UsageError(f"n_regions must be at least 1, found {n_regions}")
    height, width = image.shape[1:]
    if kind == "grid":
        return _grid(height, width, n_regions)
    if kind not in _FOLLOWING_EDGES:
        raise UsageError(f"unknown kind of regions {kind!r}; choose slic, felzenszwalb or grid")
    factor = max(1, int((height * width / n_regions) ** 0.5) // COARSE)
    small = F.avg_pool2d(image[None].float(), factor, ceil_mode=True)[0]
    low, high = small.aminmax()
    scaled = ((small - low) / (high - low if high > low else 1)).permute(1, 2, 0).contiguous()
    labels = _FOLLOWING_EDGES[kind](scaled.numpy(), n_regions)
    numbered = torch.from_numpy(np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32))
    return numbered.repeat_interleave(factor, 0).repeat_interleave(factor, 1)[:height, :width].contiguous()


def load_regions(images: Sequence[Tensor], file: Path, *, kind: Kind = "slic", n_regions: int = 36) -> list[Tensor]:
    """The regions of all images, read from a file if it was made for the same images and options, else made anew.

    Args:
        images: (C, H, W) each, clean and normalised, of any sizes.
        file: ``.npz``, in the folder of the run; written whole or not at all.
        kind: see :func:`find_regions`.
        n_regions: about how many in each image.

    Returns:
        (H, W) int32 for each image.

    Raises:
        UsageError: no such kind, or fewer than one region.
        MissingExtra: scikit-image is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "regions.npz"
        >>> load_regions([torch.zeros(3, 8, 6)], file, kind="grid")[0].shape, file.exists()
        (torch.Size([8, 6]), True)
    """
    fingerprint = _fingerprint(images, f"{kind} {n_regions} {COMPACTNESS} {SMOOTHING} {COARSE}")
    kept = _read(file, fingerprint)
    if kept is not None:
        return kept
    # Both algorithms let go of Python's lock.
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda image: find_regions(image, kind=kind, n_regions=n_regions), images)
        regions = list(track(made, total=len(images), description="Cutting regions", transient=True))
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, np.array(fingerprint), *(labels.numpy() for labels in regions))
    return regions


def _grid(height: int, width: int, n_regions: int) -> Tensor:
    rows = min(max(round((n_regions * height / width) ** 0.5), 1), height)
    columns = min(max(round(n_regions / rows), 1), width)
    down = torch.arange(height, dtype=torch.int32) * rows // height
    across = torch.arange(width, dtype=torch.int32) * columns // width
    labels: Tensor = down[:, None] * columns + across
    return labels


def _slic(image: NDArray[np.float32], n_regions: int) -> NDArray[Any]:
    """Labels (H, W) of an image (H, W, C) from 0 to 1."""
    slic = require("skimage.segmentation", extra="train").slic
    # scikit-image leaves grey values between 0 and 1, where the figure for lightness gives nothing but squares.
    labels: NDArray[Any] = slic(
        image,
        n_segments=n_regions,
        compactness=COMPACTNESS / 100,
        sigma=SMOOTHING,
        convert2lab=False,
        channel_axis=-1,
        start_label=0,
    )
    return labels


def _felzenszwalb(image: NDArray[np.float32], n_regions: int) -> NDArray[Any]:
    """Labels (H, W) of an image (H, W, C) from 0 to 1, with the scale that gives the wanted number of regions best."""
    felzenszwalb = require("skimage.segmentation", extra="train").felzenszwalb
    least = image.shape[0] * image.shape[1] // (8 * n_regions)
    tried: dict[int, NDArray[Any]] = {}
    low, high = 0.1, 1e4
    for _ in range(8):
        middle = (low * high) ** 0.5
        with warnings.catch_warnings():
            # Of every number of channels but three.
            warnings.simplefilter("ignore", RuntimeWarning)
            labels = felzenszwalb(image, scale=middle, min_size=least, channel_axis=-1)
        found = int(labels.max()) + 1
        tried[found] = labels
        if abs(found - n_regions) <= n_regions / 10:
            break
        low, high = (middle, high) if found > n_regions else (low, middle)
    return tried[min(tried, key=lambda count: abs(count - n_regions))]


_FOLLOWING_EDGES = {"slic": _slic, "felzenszwalb": _felzenszwalb}


def _fingerprint(images: Sequence[Tensor], options: str) -> str:
    digest = hashlib.sha256(options.encode())
    for image in images:
        digest.update(f"{tuple(image.shape)} {image.dtype}".encode())
        digest.update(image.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(file: Path, fingerprint: str) -> list[Tensor] | None:
    """What the file holds, None where it is absent, damaged or made for something else."""
    try:
        with np.load(file) as stored:
            names = stored.files
            if str(stored[names[0]]) == fingerprint:
                return [torch.from_numpy(stored[name]) for name in names[1:]]
    except (OSError, EOFError, ValueError, IndexError, BadZipFile):
        pass
    return None
