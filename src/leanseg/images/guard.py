"""What stands between a broken file and the reader's caller: size limits, one clear error, silent libraries."""

from __future__ import annotations

import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from leanseg.errors import InputError, LeansegError
from leanseg.types import Pixels

LIMIT = 2**31
"""Samples (pixels times channels) that are decoded at once; a file that claims more may be a decompression bomb."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much one image may hold when it is decoded as a whole.

    Args:
        samples: the most pixels times channels.
        memory: the most bytes, None for any number.
    """

    samples: int = LIMIT
    memory: int | None = None

    def check(self, path: Path, shape: Sequence[int], dtype: DTypeLike, *, advice: str) -> None:
        """Refuse an image that is empty or larger than the budget.

        Args:
            path: the file.
            shape: size along every axis, channels included.
            dtype: number type of the decoded samples.
            advice: what to do about a file that is too large.

        Raises:
            InputError: no pixels, too many samples or too many bytes.

        Example:
            >>> Budget(samples=100).check(Path("a.png"), (20, 30), "uint8", advice="Cut it up.")
            Traceback (most recent call last):
            leanseg.errors.InputError: a.png: expected at most 100 samples, found 20 x 30 = 600. Cut it up.
        """
        count = math.prod(shape)
        size = " x ".join(str(n) for n in shape)
        if count <= 0:
            raise InputError(path, f"expected pixels, found an image of size {size}. Export it again.")
        if count > self.samples:
            raise InputError(path, f"expected at most {self.samples} samples, found {size} = {count}. {advice}")
        need = count * np.dtype(dtype).itemsize
        if self.memory is not None and need > self.memory:
            msg = f"decoding takes {need / 1e6:.0f} MB, the memory limit is {self.memory / 1e6:.0f} MB"
            raise InputError(path, f"{msg}. {advice}")


def check_file(path: Path) -> None:
    """Refuse a path that is no readable file with something in it.

    Raises:
        InputError: missing, a folder, empty or not allowed to be read.
    """
    if not path.exists():
        raise InputError(path, "expected an image, found nothing there. Check the path.")
    if not path.is_file():
        raise InputError(path, "expected a file, found a folder. Name a file in it.")
    if not os.access(path, os.R_OK):
        raise InputError(path, "this user may not read the file. Change its permissions.")
    if path.stat().st_size == 0:
        raise InputError(path, "expected an image, found an empty file (0 bytes). Copy or export it again.")


def check_finite(path: Path, pixels: Pixels) -> Pixels:
    """The pixels, if every one is a number.

    Raises:
        InputError: NaN or infinite values.
    """
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int(np.count_nonzero(~np.isfinite(pixels)))
        msg = f"expected numbers, found {bad} NaN or infinite values. Replace them, for example by the background."
        raise InputError(path, msg)
    return pixels


@contextmanager
def decoding(path: Path, kind: str, *, private: bool = False) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into one error, and keep its warnings off the screen.

    Args:
        path: the file that is decoded.
        kind: what the file should be, for instance ``"a PNG image"``.
        private: the decoder's own words may quote patient data and are left out.

    Raises:
        InputError: the decoder failed, or the image does not fit in memory.
    """
    try:
        with _quiet:
            yield
    except LeansegError:
        raise
    except MemoryError:
        raise InputError(path, "not enough memory to decode the image. Use a smaller one or a tiled TIFF.") from None
    except Exception as error:
        if private:
            msg = f"cannot be read as {kind} ({type(error).__name__}). Copy or export it again."
            raise InputError(path, msg) from None
        reason = str(error).replace(str(path), path.name).strip().rstrip(".").split("\n")[0][:200]
        msg = f"cannot be read as {kind} ({reason or type(error).__name__}). Copy or export it again."
        raise InputError(path, msg) from error


class _Quiet:
    """Silence for warnings and library logs that threads may enter at once.

    ``warnings.catch_warnings`` alone is not safe there: the last thread out could restore another's silence for good.
    """

    loggers = ("tifffile", "nibabel.global", "pydicom", "openjpeg", "PIL")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._levels: dict[str, int] = {}

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            self._warnings = warnings.catch_warnings()
            self._warnings.__enter__()
            warnings.simplefilter("ignore")
            for name in self.loggers:
                self._levels[name] = logging.getLogger(name).level
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            self._warnings.__exit__(None, None, None)
            for name, level in self._levels.items():
                logging.getLogger(name).setLevel(level)


_quiet = _Quiet()
