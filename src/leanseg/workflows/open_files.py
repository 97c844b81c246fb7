"""How many files a process may hold open."""

from __future__ import annotations

import contextlib


def open_many_files() -> None:
    """Let this process hold as many files open as the system allows it; on Windows nothing changes.

    Every tensor that goes to another process holds one, and the usual limit is 1,024.

    Example:
        >>> open_many_files()
    """
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls the limit infinite and then refuses it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
