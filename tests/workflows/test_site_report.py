"""``leanseg data check`` compares the sites of a data set."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from leanseg.workflows.data import Check


def folder(root: Path, *, sites: tuple[str, ...] = ("Lund", "Oslo"), colour: tuple[str, ...] = ()) -> Path:
    """24 images of each site; those of the last one are dark and flat."""
    random = np.random.default_rng(0)
    lines = ["stem,split,patient,site"]
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for site in sites:
        for number in range(24):
            stem = f"{site}{number}"
            spread = 8 if site == sites[-1] else 40
            level = 60 if site == sites[-1] else 140 + 4 * random.normal()
            shape = (48, 40, 3) if site in colour else (48, 40)
            pixels = random.normal(level, spread + random.normal(), shape).clip(0, 255)
            cv2.imwrite(str(root / "images" / f"{stem}.png"), pixels.astype(np.uint8))
            cv2.circle(mask := np.zeros((48, 40), np.uint8), (20, 20), 10, 255, -1)
            cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
            lines.append(f"{stem},,{stem},{site}")
    (root / "splits.csv").write_text("\n".join(lines) + "\n")
    return root


def test_screen_json_page_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = folder(tmp_path / "set"), tmp_path / "sites"
    assert Check(data=data, out=out).run() == 0
    shown = capsys.readouterr().out
    assert "site Oslo   100 % of the images unlike those of the other sites: " in shown
    assert "darker (grey)" in shown and "of lower contrast (grey)" in shown
    assert str(out / "report.html") in shown
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2 and "40x48" in page
    with (out / "sites.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48 and float(rows[-1]["distance"]) > 1
    level = {site: np.mean([float(r["level of grey"]) for r in rows if r["site"] == site]) for site in ("Lund", "Oslo")}
    assert level["Lund"] == pytest.approx(140, abs=5) and level["Oslo"] == pytest.approx(60, abs=5)
    Check(data=data, json=True).run()
    assert json.loads(capsys.readouterr().out)["facts"]["site Oslo"].startswith("100 %")


def test_colour_beside_grey_is_compared_in_grey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Check(data=folder(tmp_path / "set", colour=("Lund",))).run()
    assert "darker (grey)" in capsys.readouterr().out


def test_one_site_needs_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path / "set", sites=("Lund",))
    Check(data=data, out=tmp_path / "sites").run()
    shown = capsys.readouterr().out
    assert "name at least two in splits.csv" in shown and "unlike" not in shown
    assert not (tmp_path / "sites").exists()


def test_what_cannot_be_compared_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path / "set")
    # Two channels are no colours, and no site but this one has them.
    tifffile.imwrite(data / "images" / "Lund5.tif", np.arange(48 * 40 * 2, dtype=np.uint8).reshape(48, 40, 2),
                     photometric="minisblack", planarconfig="contig")  # fmt: skip
    (data / "images" / "Lund5.png").unlink()
    assert Check(data=data).run() == 0
    assert "the sites cannot be compared: " in capsys.readouterr().out


def test_few_patients_cannot_be_compared_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(tmp_path / "set")
    table = re.sub(r"(Lund\d+),,Lund\d+,", r"\1,,one,", (data / "splits.csv").read_text())
    (data / "splits.csv").write_text(table)
    Check(data=data).run()
    assert "too few patients" in capsys.readouterr().out
