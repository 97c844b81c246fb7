"""The table of single objects."""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.workflows.object_table import object_rows


def test_a_volume_has_millimetres_and_three_axes() -> None:
    objects = np.zeros((3, 5, 6), np.int32)
    objects[0:2, 1:3, 2:5] = 4
    objects[2, 4, 5] = 7
    scores = np.linspace(0, 1, objects.size, dtype=np.float32).reshape(objects.shape)
    columns, rows = object_rows(objects, scores, spacing=(2.0, 1.0, 0.5))
    first, second = (dict(zip(columns, row, strict=True)) for row in rows)
    assert (first["object"], first["voxels"], first["volume_mm3"]) == (4, 12, 12.0)
    assert (first["z"], first["y"], first["x"]) == (0.5, 1.5, 3.0)
    box = [first[name] for name in ("front", "back", "top", "bottom", "left", "right")]
    assert box == [0, 2, 1, 3, 2, 5]
    assert first["mean_probability"] == pytest.approx(scores[objects == 4].mean())
    assert (second["object"], second["z"], second["right"]) == (7, 2.0, 6)


def test_no_objects_no_rows_and_no_size_without_a_spacing() -> None:
    assert object_rows(np.zeros((3, 4), np.int32), np.zeros((3, 4), np.float32), spacing=None)[1] == []
    columns, (row,) = object_rows(np.ones((3, 4), np.int32), np.ones((3, 4), np.float32), spacing=None)
    assert dict(zip(columns, row, strict=True))["area_mm2"] == ""
