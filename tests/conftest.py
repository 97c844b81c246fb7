"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of public data sets; the test is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("LEANSEG_TEST_DATA", beside))
    if not root.is_dir():
        pytest.skip(f"public data sets not found: set LEANSEG_TEST_DATA or put them into {root}")
    return root
