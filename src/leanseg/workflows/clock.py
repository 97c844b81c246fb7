"""Time and memory of a run that may be stopped and gone on with."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from leanseg.images.atomic import replacing


class Clock:
    """Counts from the moment it is made, on top of what an earlier part of the same run had kept.

    Args:
        file: where ``keep`` puts the time, and where an earlier part is looked for.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._earlier = float(json.loads(file.read_text(encoding="utf-8"))["seconds"]) if file.is_file() else 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Of all parts of the run together."""
        return self._earlier + time.monotonic() - self._started

    @property
    def peak_memory(self) -> int | None:
        """Highest resident memory of this process in bytes; None where the system does not tell."""
        if sys.platform == "win32":
            return None
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def keep(self) -> None:
        """Write the time so far, so that a run that is killed does not lose it."""
        with replacing(self._file) as part:
            part.write_text(json.dumps({"seconds": self.seconds}) + "\n", encoding="utf-8")
