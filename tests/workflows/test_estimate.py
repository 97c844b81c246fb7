"""``leanseg estimate``: with a reference and without, with snapshots and without."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from safetensors.torch import load_file

from leanseg.bundle import read_bundle
from leanseg.cli import main
from leanseg.errors import InputError, UsageError
from leanseg.images.preprocess import Preprocessing
from leanseg.workflows.estimate import Estimate, Estimated
from leanseg.workflows.snapshots import snapshot_steps

GREY = Preprocessing(channels=("grey",))


def squares(folder: Path, *, count: int = 16, value: int = 200, name: str = "vessel") -> Path:
    """Bright squares of several sizes on a noisy ground, and where they are; one half for training."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        y, x, side = (int(n) for n in random.integers((4, 4, 10), (20, 20, 26)))
        mask = np.zeros((64, 64), np.uint8)
        mask[y : y + side, x : x + side] = 255
        picture = np.where(mask > 0, value, 30) + random.normal(0, 6, (64, 64))
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture.clip(0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    lines = [f"{n},{'train' if n < count // 2 else 'val'}\n" for n in range(count)]
    (folder / "splits.csv").write_text("stem,split\n" + "".join(lines))
    (folder / "dataset.toml").write_text(f'[classes]\n255 = "{name}"\n')
    return folder


def run(bundle, images: Path, out: Path, **options: object) -> Estimated:
    return Estimate(images=(images,), model=str(bundle.folder), out=out, **options).run()


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "estimate.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_set_like_the_reference_is_expected_to_score_like_it(make_bundle, tmp_path):
    data, out = squares(tmp_path / "data"), tmp_path / "out"
    result = run(make_bundle(preprocessing=GREY, temperature=0.1), data / "images", out, reference=data)
    assert result.exit_code == 0
    (one,) = result.classes
    assert one.held_out > 0.8
    assert one.whole.value == pytest.approx(one.held_out, abs=0.1)
    assert {"carry-over", "constant", "pseudo", "soft Dice", "average confidence", "ATC", "DoC"} <= set(one.baselines)
    written = json.loads((out / "estimate.json").read_text())["classes"]["vessel"]
    assert written["expected"] == one.whole.value and written["baselines"]["carry-over"] == one.held_out
    assert len(rows(out)) == 16
    assert np.mean([float(row["by_reference"]) for row in rows(out)]) == pytest.approx(one.held_out, abs=0.1)
    page = (out / "report.html").read_text()
    assert "The set as a whole" in page and "Carry-over" in page


def test_masks_that_teach_worse_are_expected_to_be_worse(make_bundle, tmp_path):
    """Objects of the target are too dim for the model: nothing of its masks is right."""
    data = squares(tmp_path / "data")
    other = squares(tmp_path / "other", value=120)
    for number in range(16):  # the model sees bright corners only
        file = other / "images" / f"{number}.png"
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        picture[:12, :12] = 255
        cv2.imwrite(str(file), picture)
    bundle = make_bundle(preprocessing=GREY, temperature=0.1)
    clean, shifted = (
        run(bundle, part / "images", tmp_path / part.name / "out", reference=data).classes[0] for part in (data, other)
    )
    assert shifted.whole.value < clean.whole.value - 0.05
    assert shifted.baselines["carry-over"] == clean.held_out, "which does not look at the images"


def test_snapshots_come_with_the_model_and_draw_the_line(tmp_path):
    data = squares(tmp_path / "data", count=10)
    fast = ["--epochs", "2", "--epoch-steps", "4", "--crop", "32", "--batch", "2", "--threads", "1", "--snapshots", "3"]
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *fast]) == 0
    bundle = read_bundle(tmp_path / "run" / "model")
    assert bundle.snapshots == tuple(f"estimate/{n:02d}.safetensors" for n in range(3))
    first, last = (load_file(bundle.path(bundle.snapshots[n])) for n in (0, -1))
    assert any(not np.array_equal(first[name], last[name]) for name in first)
    assert all(str(value.dtype) in ("torch.float16", "torch.int64") for value in first.values())
    out = tmp_path / "out"
    (one,) = run(bundle, data / "images", out, reference=data, threads=1).classes
    assert len(one.whole.values) == 4, "three snapshots and the model"
    assert "soft Dice, line" in one.baselines, "which takes several checkpoints"
    note, again = json.loads((out / "estimate.json").read_text())["notes"]
    assert again.startswith("10 of the 10 images are in the reference")
    learnt = sum(line.split(",")[1] == "train" for line in (tmp_path / "run" / "splits.csv").read_text().splitlines())
    assert f"trained on {learnt} of the 10 images, " in note, "held-out images of the reference are not among them"
    assert note in (out / "report.html").read_text()


def test_steps_of_snapshots_are_dense_at_first():
    steps = snapshot_steps(1200, 12)
    assert len(steps) == 12 and steps[-1] == 1200
    assert list(np.diff(steps)) == sorted(np.diff(steps))
    assert snapshot_steps(5, 12) == (1, 2, 3, 4, 5)


def test_without_a_reference_the_model_speaks_for_itself(make_bundle, tmp_path, capsys):
    data, out = squares(tmp_path / "data", count=4), tmp_path / "out"
    result = run(make_bundle(preprocessing=GREY), data / "images", out)
    assert result.classes == () and result.exit_code == 0
    assert "Without --reference" in capsys.readouterr().out
    assert [row["by_reference"] for row in rows(out)] == [""] * 4
    assert all("does not know" in row["remarks"] for row in rows(out))


def test_a_broken_image_is_named_and_the_rest_goes_on(make_bundle, tmp_path):
    data = squares(tmp_path / "data", count=4)
    (data / "images" / "broken.png").write_bytes(b"\x89PNG broken")
    result = run(make_bundle(preprocessing=GREY), data / "images", tmp_path / "out")
    assert result.exit_code == 3 and len(result.seen) == 4
    assert "broken.png" in result.failed[0][0]
    with pytest.raises(InputError, match="none of the images"):
        run(make_bundle(preprocessing=GREY, name="b"), data / "images" / "broken.png", tmp_path / "none")


def test_volumes_are_judged_whole(make_bundle, tmp_path):
    data, random = tmp_path / "data", np.random.default_rng(0)
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
    for number in range(8):
        mask = np.zeros((20, 20, 12), np.uint8)
        z, y, x = (int(n) for n in random.integers(2, 8, 3))
        mask[x : x + 9, y : y + 8, z : min(z + 5, 12)] = 1
        scan = 200.0 * mask + random.normal(30, 6, mask.shape)
        for part, volume in (("images", scan.astype(np.float32)), ("masks", mask)):
            nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), data / part / f"{number}.nii.gz")
    rows_of = [f"{n},{'train' if n < 4 else 'val'}\n" for n in range(8)]
    (data / "splits.csv").write_text("stem,split\n" + "".join(rows_of))
    (data / "dataset.toml").write_text('[classes]\n1 = "vessel"\n')
    bundle = make_bundle(preprocessing=GREY, dims=3, temperature=0.1)
    (one,) = run(bundle, data / "images", tmp_path / "out", reference=data, grid=16).classes
    assert one.whole.value == pytest.approx(one.held_out, abs=0.1)
    assert len(one.single) == 8


def test_what_does_not_fit_is_refused(make_bundle, tmp_path):
    data = squares(tmp_path / "data", count=4)
    bundle = make_bundle(preprocessing=GREY)
    (data / "splits.csv").write_text("stem,split\n" + "".join(f"{n},val\n" for n in range(4)))
    with pytest.raises(UsageError, match="0 training images"):
        run(bundle, data / "images", tmp_path / "out", reference=data)
    with pytest.raises(UsageError, match="which images"):
        Estimate(images=(), model=str(bundle.folder), out=tmp_path / "out").run()
    with pytest.raises(UsageError, match="JJGO/UniverSeg"):
        squares(tmp_path / "more", count=8)
        run(bundle, data / "images", tmp_path / "out", reference=tmp_path / "more", reverse="universeg")
