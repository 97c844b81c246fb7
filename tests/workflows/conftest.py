"""A small data set and a run on it, for tests of training; a module may have data of its own by the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from leanseg.cli import main
from testers.training import FAST, discs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return discs(tmp_path_factory.mktemp("discs"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(data), "--out", str(out), *FAST]) == 0
    return out
