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
        kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self._earlier = {name: float(kept.get(name, 0)) for name in ("seconds", "processor_seconds")}
        self._started = {"seconds": time.monotonic(), "processor_seconds": time.process_time()}

    @property
    def seconds(self) -> float:
        """Of all parts of the run together."""
        return self._earlier["seconds"] + time.monotonic() - self._started["seconds"]

    @property
    def processor_seconds(self) -> float:
        """Of all threads of this process together; what else runs on the machine hardly changes it."""
        return self._earlier["processor_seconds"] + time.process_time() - self._started["processor_seconds"]

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
            times = {"seconds": self.seconds, "processor_seconds": self.processor_seconds}
            part.write_text(json.dumps(times) + "\n", encoding="utf-8")
