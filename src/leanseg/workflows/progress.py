"""A bar for loops that may take more than a moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar on the terminal that goes away at the end.

    Args:
        items: to go through.
        what: is done with them.
    """
    return track(items, description=what, console=Console(stderr=True), transient=True)
