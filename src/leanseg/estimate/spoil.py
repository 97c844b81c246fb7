"""Make images worse on purpose, so that poor masks can be seen at a time when all images are good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from leanseg.images.image import Image

Floats: TypeAlias = NDArray[np.float32]
Flaw: TypeAlias = Callable[[Floats, float, np.random.Generator], Floats]


def spoilt(image: Image, *, flaw: str, strength: float, seed: int) -> Image:
    """A copy of an image with a flaw, in the same number type and range.

    Args:
        image: (C, *spatial) pixels.
        flaw: a name in :data:`FLAWS`.
        strength: from 0, which changes nothing, to 1.
        seed: of random flaws.

    Example:
        >>> bright = Image(np.array([[[0, 100], [200, 250]]], np.uint8))
        >>> spoilt(bright, flaw="low contrast", strength=0.5, seed=0).pixels.tolist()
        [[[62, 117], [172, 199]]]
    """
    values = image.pixels.astype(np.float32)
    least, most = values.min(), values.max()
    changed = FLAWS[flaw](values, strength, np.random.default_rng(seed))
    changed = np.clip(changed, least, most)
    kind = image.pixels.dtype
    return replace(image, pixels=(changed.round() if kind.kind in "iu" else changed).astype(kind))


def _low_contrast(values: Floats, strength: float, rng: np.random.Generator) -> Floats:  # noqa: ARG001
    axes = tuple(range(1, values.ndim))
    mean = values.mean(axes, keepdims=True)
    return np.asarray(mean + (values - mean) * (1 - 0.9 * strength), np.float32)


def _uneven_light(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    ramp = np.linspace(1 - 0.9 * strength, 1, values.shape[-1], dtype=np.float32)
    least = values.min()
    return np.asarray(least + (values - least) * (ramp if rng.random() < 0.5 else ramp[::-1]), np.float32)


def _motion(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    axis = -1 - int(rng.integers(2))
    reach = 1 + round(strength * values.shape[axis] / 25)
    return np.asarray(uniform_filter1d(values, reach, axis=axis, mode="nearest"), np.float32)


def _speckle(values: Floats, strength: float, rng: np.random.Generator) -> Floats:
    least = values.min()
    noise = 0.6 * strength * rng.standard_normal(values.shape, np.float32)
    return np.asarray(least + (values - least) * (1 + noise), np.float32)


FLAWS: Mapping[str, Flaw] = {
    "low contrast": _low_contrast,
    "uneven light": _uneven_light,
    "motion": _motion,
    "speckle": _speckle,
}
