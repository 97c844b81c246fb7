"""The limit of open files, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

RAISED = """
import resource
from leanseg.workflows.open_files import open_many_files

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
open_many_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits differ from system to system")
def test_as_many_files_as_the_system_allows() -> None:
    done = subprocess.run([sys.executable, "-c", RAISED], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"
