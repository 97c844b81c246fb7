"""A name of its own for everything that is written about one of many images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from leanseg.images.image import Image, PixelSource, stem_of


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """The stem of each file; where two agree, the ending joins it, then the folder, then a number.

    Upper and lower case count as the same, as they do in the file systems of Windows and macOS.

    Example:
        >>> unique_stems([Path("a/x.png"), Path("a/x.jpg"), Path("a/y.png")])
        ['x_png', 'x_jpg', 'y']
        >>> unique_stems([Path("left/x.png"), Path("right/x.png")])
        ['left_x_png', 'right_x_png']
    """
    plain = [stem_of(path) for path in paths]
    ended = [f"{s}_{p.name[len(s) + 1 :]}" if p.name != s else s for s, p in zip(plain, paths, strict=True)]
    placed = [f"{path.resolve().parent.name}_{name}" for name, path in zip(ended, paths, strict=True)]
    names = list(plain)
    for longer in (ended, placed):
        counts = Counter(name.lower() for name in names)
        names = [more if counts[name.lower()] > 1 else name for name, more in zip(names, longer, strict=True)]
    taken: set[str] = set()
    for index, name in enumerate(names):
        number = 1
        while names[index].lower() in taken:
            number += 1
            names[index] = f"{name}_{number}"
        taken.add(names[index].lower())
    return names


def renamed(image: PixelSource, stem: str) -> PixelSource:
    """An image in memory as if its file had another stem, by which all that is written about it is named."""
    if not isinstance(image, Image):
        return image
    folder = image.source.parent if image.source is not None else Path()
    return replace(image, source=folder / f"{stem}.image")
