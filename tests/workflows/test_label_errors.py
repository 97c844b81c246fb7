"""Maps of wrong labels from what several fits found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

from leanseg.data.folder import open_dataset
from leanseg.workflows.label_errors import write_label_errors


def test_folds_vote_on_a_corrected_label_and_average_its_doubt(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
        cv2.imwrite(str(data / part / "a.png"), np.zeros((4, 4), np.uint8))
    (data / "dataset.toml").write_text('[classes]\n255 = "disc"\n')
    files = [tmp_path / f"{fold}.safetensors" for fold in range(3)]
    for file, (label, wrong) in zip(files, [(0, 0), (1, 255), (1, 255)], strict=True):
        maps = {"right": np.full((1, 4, 4), label, np.uint8), "wrong": np.full((1, 4, 4), wrong, np.uint8)}
        save_file({f"{name}/a": values for name, values in maps.items()}, file)
    dataset = open_dataset(data)
    folder = write_label_errors(dataset, dataset.cases, files, tmp_path / "run")
    assert folder is not None
    corrected = cv2.imread(str(folder / "corrected" / "a.png"), cv2.IMREAD_GRAYSCALE)
    assert (corrected == 255).all()
    row = (folder / "label-errors.csv").read_text().splitlines()[1].split(",")
    assert float(row[2]) == round(16 * 2 / 3, 1)
