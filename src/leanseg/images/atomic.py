"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leanseg.images.image import stem_of


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling that takes the place of ``path`` when the block ends well and vanishes when it fails.

    Args:
        path: the file to write; missing parent folders are made. The temporary name keeps its ending, so that
            libraries choose the right format.

    Raises:
        OSError: the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> goal = Path(tempfile.mkdtemp()) / "new" / "notes.txt"
        >>> with replacing(goal) as temporary:
        ...     _ = temporary.write_text("done")
        >>> goal.read_text(), [p.name for p in goal.parent.iterdir()]
        ('done', ['notes.txt'])
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.name[len(stem_of(path)) :]
    temporary = path.with_name(f".{secrets.token_hex(8)}.part{ending}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
