"""One probability from several networks and several mirrored views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from leanseg.bundle import Bundle
from leanseg.errors import UsageError
from leanseg.inference.backends import Backend, BackendName, open_backend
from leanseg.inference.postprocess import to_probabilities
from leanseg.types import Probabilities


class Ensemble:
    """The networks of a bundle as one.

    Args:
        bundle: the model, in a folder.
        kind: what computes the networks.
        threads: processor threads; all by default.
        device: where they run.
        flips: average also over the image mirrored up-down, left-right and both.
        half: compute in bfloat16.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        kind: BackendName,
        threads: int | None = None,
        device: str = "cpu",
        flips: bool = False,
        half: bool = False,
    ) -> None:
        parts = bundle.parts
        self._nets: list[tuple[Backend, tuple[float, ...]]] = [
            (open_backend(part, bundle, kind=kind, threads=threads, device=device, half=half), part.temperature)
            for part in parts
        ]
        self._classes = bundle.classes
        self._name = bundle.name
        self._views = list(product((False, True), repeat=2)) if flips else [(False, False)]
        self.divisor = math.lcm(*(part.divisor for part in parts))
        self.halo = None if any(part.halo is None for part in parts) else max(part.halo or 0 for part in parts)
        windows = [part.window for part in parts if part.window is not None]
        self.window = min(windows) if windows and self.halo is None else None
        self.bytes_per_pixel = max(part.bytes_per_pixel for part in parts)

    def __call__(self, pixels: NDArray[np.float32]) -> Probabilities:
        """Mean probability over networks and views.

        Args:
            pixels: (C, *spatial), sizes multiples of ``divisor``; mirrored along the last two axes.

        Returns:
            (K, *spatial).
        """
        total = np.zeros((len(self._classes.names), *pixels.shape[1:]), np.float32)
        for view in self._views:
            axes = tuple(axis for axis, mirrored in zip((-2, -1), view, strict=True) if mirrored)
            batch = np.ascontiguousarray(np.flip(pixels, axes))[None]
            for net, temperature in self._nets:
                answer = to_probabilities(self._run(net, batch), classes=self._classes, temperature=temperature)
                total += np.flip(answer, axes)
        total /= len(self._views) * len(self._nets)
        return total

    def _run(self, net: Backend, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = net.run(batch)
        expected = (1, self._classes.outputs, *batch.shape[2:])
        if logits.shape != expected:
            raise UsageError(f"the model {self._name} should answer with {expected}, it gives {logits.shape}")
        first: NDArray[np.float32] = logits[0]
        return first


def pad_by_reflection(pixels: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Mirror the last rows and columns until the spatial size is reached, as the networks do in training.

    Example:
        >>> pad_by_reflection(np.array([[0.0, 1.0, 2.0]], np.float32), (5,)).tolist()
        [[0.0, 1.0, 2.0, 1.0, 0.0]]
    """
    missing = [(0, wanted - size) for wanted, size in zip(shape, pixels.shape[1:], strict=True)]
    return np.pad(pixels, [(0, 0), *missing], mode="reflect") if any(m for _, m in missing) else pixels
