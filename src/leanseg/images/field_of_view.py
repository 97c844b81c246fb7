"""The round field of view of a fundus photograph: where the camera saw the eye and where only the black frame is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.types import Labels, Mask

RIM = 0.004


@dataclass(frozen=True, kw_only=True)
class FieldOfView:
    """Where a picture shows something.

    Args:
        mask: (H, W) True inside.
        centre: (y, x) of the circle in pixels of the mask.
        diameter: of the circle in pixels of the mask; also where the picture cuts the circle off.
    """

    mask: Mask
    centre: tuple[float, float]
    diameter: float


def find_field_of_view(pixels: NDArray[np.float32]) -> FieldOfView:
    """Find the bright disc of a fundus photograph.

    The darkest corner gives the level of the frame. What is clearly brighter, its largest piece without thin outgrowths
    (marks, text), made convex, is the field; a circle is fitted to the part of its edge that the picture does not cut,
    and what lies outside the circle (the notch of many cameras) does not count. A photograph without dark corners is
    all field, and its diagonal is taken as the diameter, which holds for the largest square inside a circle.

    Args:
        pixels: (C, H, W) overview in any unit, brighter meaning more light.

    Example:
        >>> y, x = np.mgrid[:100, :120]
        >>> disc = np.hypot(y - 49.5, x - 59.5) < 45
        >>> found = find_field_of_view(np.where(disc, 90, 4).astype(np.float32)[None])
        >>> round(found.diameter / 2), [round(c, 1) for c in found.centre]
        (45, [49.5, 59.5])
    """
    # The median takes away speckle and, unlike a mean, leaves the edge where it is.
    grey = cv2.medianBlur(pixels.max(axis=0).astype(np.float32), 3).astype(np.float32)
    frame, noise = _frame(grey)
    light = float(np.percentile(grey, 95)) - frame
    floor = float(grey.min())
    if light <= 0 or frame - floor > 0.25 * (light + frame - floor):
        return _everything(grey.shape)
    field = _convex(_body(grey > frame + max(0.08 * light, 6 * noise)))
    if field.mean() > 0.97 or field.mean() < 0.05:
        return _everything(grey.shape)
    centre, diameter = _circle(field)
    y, x = np.ogrid[: field.shape[0], : field.shape[1]]
    # The outermost 0.4 % is where the frame bleeds into the picture: darker than any vessel.
    disc = np.hypot(y - centre[0], x - centre[1]) <= (0.5 - RIM) * diameter
    return FieldOfView(mask=field & disc, centre=centre, diameter=diameter)


def _frame(grey: NDArray[np.float32]) -> tuple[float, float]:
    """Level and noise of the darkest corner."""
    side = max(2, round(0.04 * min(grey.shape)))
    corners = [
        grey[y, x] for y in (slice(None, side), slice(-side, None)) for x in (slice(None, side), slice(-side, None))
    ]
    darkest = min(corners, key=np.median)
    level = float(np.median(darkest))
    return level, float(np.median(np.abs(darkest - level)))


def _body(bright: Mask) -> Mask:
    """The largest piece, holes filled, without outgrowths thinner than a twentieth of the picture."""
    size = max(3, round(0.05 * min(bright.shape))) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # Outside the picture counts as bright: a disc that the edge cuts off must not lose its corners there.
    padded = cv2.copyMakeBorder(_largest(_filled(bright)), size, size, size, size, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[size:-size, size:-size]
    return _largest(opened.astype(np.uint8)) > 0


def _filled(bright: Mask) -> Labels:
    outlines, _ = cv2.findContours(bright.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(bright.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled


def _largest(binary: Labels) -> Labels:
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=4)
    if count == 1:
        return binary
    biggest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.equal(pieces, biggest).astype(np.uint8)


def _convex(body: Mask) -> Mask:
    """A camera's field is a disc, perhaps cut by straight lines: convex, so dark bays at its edge belong to it."""
    hull = np.zeros(body.shape, np.uint8)
    if body.any():
        cv2.fillConvexPoly(hull, cv2.convexHull(np.argwhere(body)[:, ::-1].astype(np.int32)), 1)
    return hull > 0


def _circle(field: Mask) -> tuple[tuple[float, float], float]:
    """Centre (y, x) and diameter of the circle through the curved part of the outline."""
    outlines, _ = cv2.findContours(field.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    x, y = max(outlines, key=len)[:, 0].T.astype(np.float64)
    height, width = field.shape
    # Straight cuts lie on the outline's outermost rows and columns, at the picture's edge or inside a letterbox.
    rim = 0.01 * max(field.shape)
    free = (x > x.min() + rim) & (x < x.max() - rim) & (y > y.min() + rim) & (y < y.max() - rim)
    free &= (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    if free.sum() < 20:
        return _extent(x, y)
    weights = np.ones(int(free.sum()))
    for _ in range(10):
        cx, cy, radius = _fit(x[free], y[free], weights)
        residual = np.abs(np.hypot(x[free] - cx, y[free] - cy) - radius)
        # Tukey's biweight: points off the circle (notches, lids) lose their say.
        weights = np.clip(1 - (residual / (6 * np.median(residual) + 0.5)) ** 2, 0, None) ** 2
    span = max(np.ptp(x), np.ptp(y))
    if not 0.45 * span < radius < span:
        return _extent(x, y)
    # The outline runs through the centres of the outermost pixels, half a pixel inside the true edge.
    return (cy, cx), 2 * radius + 1


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float, float]:
    """Weighted algebraic circle (Kasa 1976): x^2 + y^2 = 2 a x + 2 b y + c."""
    root = np.sqrt(weights)
    system = np.stack([2 * x, 2 * y, np.ones_like(x)], axis=1) * root[:, None]
    a, b, c = np.linalg.lstsq(system, (x**2 + y**2) * root, rcond=None)[0]
    return float(a), float(b), float(np.sqrt(max(c + a**2 + b**2, 0.0)))


def _extent(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    """Without a curved edge, the circle around the field's box, so that nothing of the field is lost."""
    centre = (float(y.min() + y.max()) / 2, float(x.min() + x.max()) / 2)
    return centre, float(np.hypot(np.ptp(x) + 1, np.ptp(y) + 1)) / (1 - 2 * RIM)


def _everything(shape: tuple[int, ...]) -> FieldOfView:
    height, width = shape
    centre = ((height - 1) / 2, (width - 1) / 2)
    return FieldOfView(mask=np.ones((height, width), bool), centre=centre, diameter=float(np.hypot(height, width)))
