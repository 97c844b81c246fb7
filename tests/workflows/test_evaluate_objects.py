"""Scores of single objects, whoever numbered them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import leanseg
from testers.scoring import save, score_rows


def test_objects_are_scored_by_their_numbers_or_as_pieces(tmp_path: Path) -> None:
    data = tmp_path / "cells"
    y, x = np.indices((48, 64))
    first, second = np.hypot(y - 24, x - 20) < 10, np.hypot(y - 24, x - 37) < 10
    both = first | second
    for stem in ("a", "b"):
        save(data / "images" / f"{stem}.png", np.where(both, 200, 20).astype(np.uint8))
        for folder in (data / "masks", tmp_path / "tool"):
            save(folder / f"{stem}.png", (both * 255).astype(np.uint8))
    out, options = tmp_path / "out", {"data": data, "predictions": tmp_path / "tool", "instances": True}
    leanseg.evaluate(**options, out=out / "pieces")
    assert float(score_rows(out / "pieces")["a"]["dice"]) == 1
    assert float(score_rows(out / "pieces")["a"]["pq"]) < 0.5, (
        "two predicted objects, of which one covers half of a piece"
    )
    for stem in ("a", "b"):
        save(data / "instances" / f"{stem}.png", (np.where(first, 1, 2) * both).astype(np.uint8))
    leanseg.evaluate(**options, out=out / "numbered")
    row = score_rows(out / "numbered")["a"]
    assert float(row["pq"]) > 0.9 and float(row["object_f1"]) == 1 and float(row["aji"]) > 0.9
    leanseg.evaluate(data=data, predictions=tmp_path / "tool", out=out / "none")
    assert score_rows(out / "none")["a"]["pq"] == ""


@pytest.mark.parametrize(("place", "masks"), [("tool", False), ("tool/instances", True), ("tool/instances", False)])
def test_objects_that_a_tool_has_numbered_are_taken_as_they_are(tmp_path: Path, place: str, masks: bool) -> None:
    numbers = np.zeros((20, 30), np.uint16)
    numbers[4:10, 4:10], numbers[4:10, 10:16], numbers[12:18, 20:28] = 1, 2, 300
    data = tmp_path / "cells"
    for folder, pixels in (("images", 90), ("masks", 255)):
        save(data / folder / "a.png", ((numbers > 0) * pixels).astype(np.uint8))
    save(data / "instances" / "a.png", numbers)
    save(tmp_path / place / "a.png", numbers)
    if masks:
        save(tmp_path / "tool" / "masks" / "a.png", ((numbers > 0) * 255).astype(np.uint8))
    out = tmp_path / "out"
    leanseg.evaluate(data=data, predictions=tmp_path / "tool", instances=True, out=out)
    row = score_rows(out)["a"]
    assert [float(row[name]) for name in ("dice", "pq", "object_f1", "aji")] == [1, 1, 1, 1]


def test_numbers_of_another_size_than_the_image_are_named(tmp_path: Path) -> None:
    data = tmp_path / "cells"
    for place, shape in (
        ("cells/images", (20, 30)),
        ("cells/masks", (20, 30)),
        ("cells/instances", (3, 3)),
        ("tool", (20, 30)),
    ):
        save(tmp_path / place / "a.png", (np.eye(*shape) * 255).astype(np.uint8))
    result = leanseg.evaluate(data=data, predictions=tmp_path / "tool", instances=True, out=tmp_path / "out")
    assert result.exit_code == 1 and "instances" in result.failed[0][0]
