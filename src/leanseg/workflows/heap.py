"""Memory of a training step that the next one takes over."""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees; outside of glibc nothing changes.

    A training step frees what it took, and glibc hands large blocks back to the system, which clears every page again
    for the next step.

    Example:
        >>> keep_freed_memory()
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 2**31 - 1)
        mallopt(TRIM_THRESHOLD, -1)
