"""What the screen says about an image and a dataset, and what it never says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from leanseg.cli import main


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


def test_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 200
    _save(tmp_path / "[bold]eye.png", pixels)
    assert main(["info", str(tmp_path / "[bold]eye.png")]) == 0
    out = capsys.readouterr().out
    for words in ("6x4 pixels", "uint8, 72 B", "0 to 200", "unknown: distances are measured in pixels"):
        assert words in out


def test_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stem in ("a", "b"):
        _save(tmp_path / "eyes" / "images" / f"{stem}.png", np.zeros((4, 6, 3), np.uint8))
        _save(tmp_path / "eyes" / "masks" / f"{stem}.png", np.eye(4, 6).astype(np.uint8) * 255)
    (tmp_path / "eyes" / "dataset.toml").write_text('licence = "CC0"\n[classes]\n255 = "[red]vessel"\n')
    assert main(["info", str(tmp_path / "eyes")]) == 0
    out = capsys.readouterr().out
    for words in ("eyes", "CC0", "[red]vessel = 255", "2 with masks, 0 without", "none"):
        assert words in out


def test_what_is_not_there_or_not_known_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "gone")]) == 1
    assert "no such file, folder or model" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("hello")
    assert main(["info", str(tmp_path / "notes.txt")]) == 1
    assert "notes.txt: unknown kind of file" in capsys.readouterr().err


@pytest.mark.data
def test_dicom_names_stay_out(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pydicom

    files = sorted(path for path in (data_root / "DICOM_samples").rglob("*.dcm"))
    if not files:
        pytest.skip("no DICOM samples")
    for file in files[:4]:
        if main(["info", str(file)]) != 0:
            continue
        out = capsys.readouterr().out
        header = pydicom.dcmread(file, stop_before_pixels=True)
        for field in ("PatientName", "PatientID", "PatientBirthDate"):
            value = str(header.get(field, ""))
            assert len(value) < 3 or value not in out
