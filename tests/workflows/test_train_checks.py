"""Options of a training that cannot be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from leanseg.errors import UsageError
from leanseg.workflows.train import Train

WRONG: dict[str, Any] = {
    "epochs": 0, "epoch_steps": 0, "batch": 0, "crop": -5, "folds": 0, "threads": -3, "processes": 0, "labelled": 0,
    "snapshots": -1, "workers": -1, "minutes": 0.0, "learning_rate": -1.0, "foreground": 7.0, "precision": "foo",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_they_are_told_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is"):
        Train(data=tmp_path, out=tmp_path / "run", **{name: WRONG[name]}).run()
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device cuda"):
        Train(data=tmp_path, out=tmp_path / "run", device="cuda").run()
    assert not (tmp_path / "run").exists()
