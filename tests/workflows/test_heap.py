"""Memory that is freed and taken again, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

TAKEN_AGAIN = """
import resource
import sys
import numpy as np
from leanseg.workflows.heap import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to provide for four more arrays of 128 MiB, one after the other."""
    words = [sys.executable, "-c", TAKEN_AGAIN, how]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap alone can be told to keep memory")
def test_freed_memory_is_not_asked_for_again() -> None:
    assert faults("keep") < 0.1 * faults("hand back")
