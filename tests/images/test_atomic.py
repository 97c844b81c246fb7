"""A file is replaced as a whole or stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from leanseg.images.atomic import replacing


def test_failure_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    goal = tmp_path / "a.txt"
    goal.write_text("old")

    def fail() -> None:
        with replacing(goal) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert goal.read_text() == "old"
    assert list(tmp_path.iterdir()) == [goal]


@pytest.mark.parametrize("name", ["a.nii.gz", "a.ome.tif", "a.png", "no_ending", "two.dots.png", "x" * 240 + ".png"])
def test_temporary_keeps_the_ending_and_the_folder(tmp_path: Path, name: str) -> None:
    goal = tmp_path / "deep" / "er" / name
    with replacing(goal) as temporary:
        assert temporary.parent == goal.parent
        assert temporary.name.endswith(".png" if name.endswith(".png") else name.removeprefix("no_ending").lstrip("a"))
        assert temporary.name.startswith(".")
        temporary.write_text("x")
        assert not goal.exists()
    assert [p.name for p in goal.parent.iterdir()] == [name]
