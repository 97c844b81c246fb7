"""Augmentation while cropping: one warp from the stored image straight to the crop, then changes of appearance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a training crop may differ from its image.

    Args:
        flips: mirror along any axis.
        turns: turn by multiples of 90 degrees (in the plane).
        rotation: largest free rotation in degrees, applied to ``warped`` of the crops.
        scale: largest zoom factor f; a crop is zoomed by a factor in [1/f, f].
        warped: share of crops that are rotated and zoomed; the others keep their exact pixels.
        gain: deviation of the logarithm of a factor on each channel.
        offset: deviation of a value added to each channel, in deviations of the normalised image.
        gamma: deviation of the logarithm of the exponent that bends the grey values.
        noise: largest deviation of added pixel noise.
        blur: largest sigma of a Gaussian blur in pixels, on a quarter of the crops.
        shade: largest slope of a linear shading across the crop.
        mix: largest share by which each channel becomes the mean of all.

    Example:
        >>> Augmentation(rotation=0, scale=1).warps
        False
    """

    flips: bool = True
    turns: bool = True
    rotation: float = 45.0
    scale: float = 1.25
    warped: float = 0.5
    gain: float = 0.1
    offset: float = 0.1
    gamma: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    shade: float = 0.0
    mix: float = 0.0

    @property
    def warps(self) -> bool:
        """Whether any crop needs interpolation."""
        return self.warped > 0 and (self.rotation > 0 or self.scale > 1)

    def matrix(self, centre: tuple[float, float], size: int, random: np.random.Generator) -> Array:
        """Where each pixel of a crop comes from: (2, 3), crop (x, y, 1) to image (x, y), both at pixel centres.

        Args:
            centre: (x, y) of the crop's centre on the image.
            size: side of the crop in pixels.
            random: the crop's own generator.
        """
        linear = np.eye(2)
        if self.flips:
            linear = linear @ np.diag(random.choice([-1.0, 1.0], 2))
        if self.turns:
            linear = linear @ np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), int(random.integers(4)))
        if self.warps and random.random() < self.warped:
            angle = np.deg2rad(random.uniform(-self.rotation, self.rotation))
            zoom = self.scale ** random.uniform(-1, 1)
            linear = linear @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
        middle = (size - 1) / 2
        return np.column_stack([linear, np.array(centre) - linear @ [middle, middle]]).astype(np.float32)

    def appearance(self, image: Array, random: np.random.Generator) -> Array:
        """Change the look of a normalised crop, (C, *spatial), that stays in place."""
        channels = (len(image), *[1] * (image.ndim - 1))
        if self.mix:
            share = np.float32(random.uniform(0, self.mix))
            image = (1 - share) * image + share * image.mean(0, keepdims=True)
        if self.gamma:
            image = _bend(image, np.exp(random.normal(0, self.gamma)))
        gain = np.exp(random.normal(0, self.gain, channels)).astype(np.float32)
        image = image * gain + random.normal(0, self.offset, channels).astype(np.float32)
        if self.shade:
            image = image + _slope(image.shape[1:], random.uniform(-self.shade, self.shade, image.ndim - 1))
        if self.blur and random.random() < 0.25:
            sigma = random.uniform(0, self.blur)
            image = np.stack([gaussian_filter(plane, sigma) for plane in image])
        if self.noise:
            amount = np.float32(random.uniform(0, self.noise))
            image = image + amount * random.standard_normal(image.shape, np.float32)
        return image


def warp(
    image: Sequence[Array] | Array, labels: NDArray[np.uint8], matrix: Array, size: int
) -> tuple[Array, NDArray[np.uint8]]:
    """Sample a square crop: linear for the image, nearest for labels, so that they keep their exact values.

    Args:
        image: (C, H, W), or C planes (H, W); outside it is 0.
        labels: (T, H, W); outside they are 0.
        matrix: (2, 3) of :meth:`Augmentation.matrix`.
        size: side of the crop in pixels.

    Example:
        >>> picture = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
        >>> identity = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
        >>> warp(picture, picture.astype(np.uint8), identity, 2)[0].tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """

    def sample(planes: Sequence[Any] | NDArray[Any], mode: int) -> list[NDArray[np.generic]]:
        flags = mode | cv2.WARP_INVERSE_MAP
        return [cv2.warpAffine(plane, matrix, (size, size), flags=flags) for plane in planes]

    return np.stack(sample(image, cv2.INTER_LINEAR)), np.stack(sample(labels, cv2.INTER_NEAREST))


def _bend(image: Array, exponent: float) -> Array:
    """A gamma curve over the crop's own range."""
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return image
    bent: Array = ((image - low) / (high - low)) ** np.float32(exponent) * np.float32(high - low) + np.float32(low)
    return bent


def _slope(shape: tuple[int, ...], steepness: NDArray[np.float64]) -> Array:
    """A plane through 0 at the centre, reaching the given values at the edges."""
    lines = [np.linspace(-s, s, n, dtype=np.float32) for s, n in zip(steepness, shape, strict=True)]
    return reduce(np.add, np.ix_(*lines))
