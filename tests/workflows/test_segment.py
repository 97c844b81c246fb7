"""``leanseg segment`` end to end, with a model that calls bright pixels foreground."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from leanseg.errors import InputError, UsageError
from leanseg.estimate.fit_likeness import fit_likeness
from leanseg.images.preprocess import Preprocessing
from leanseg.images.read import read_image, read_mask
from leanseg.quality.appearance import appearance, appearance_names
from leanseg.types import Classes
from leanseg.workflows.naming import unique_stems
from testers.segmenting import GREY, TWO, files, rows, run, square


def test_everything_that_is_written(make_bundle, tmp_path):
    square(tmp_path / "in" / "a.png")
    square(tmp_path / "in" / "b.png", size=10)
    out = tmp_path / "out"
    result = run(make_bundle(preprocessing=GREY), [tmp_path / "in"], out, probabilities=True, contours=True)
    assert result.exit_code == 0
    assert files(out) == sorted(
        ["config.json", "report.html", "segmentation.csv"]
        + [f"{folder}/{stem}{end}" for stem in "ab" for folder, end in (
            ("masks", ".png"), ("overlays", ".png"), ("probabilities", ".tif"), ("contours", ".geojson"))]
    )  # fmt: skip
    mask = np.asarray(Pillow.open(out / "masks" / "a.png"))
    assert mask.shape == (30, 40)
    assert set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask > 0, np.asarray(Pillow.open(tmp_path / "in" / "a.png")) > 0)
    first, second = rows(out)
    assert (first["mask"], first["class"], first["area_pixels"], first["components"]) == ("a", "vessel", "36", "1")
    assert float(first["fraction"]) == pytest.approx(36 / 1200, rel=1e-4)
    assert float(first["mean_probability"]) > 0.99
    assert (first["area_mm2"], first["volume_mm3"], second["area_pixels"]) == ("", "", "100")
    (feature,) = json.loads((out / "contours" / "a.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [[[8, 5], [14, 5], [14, 11], [8, 11], [8, 5]]]
    assert tifffile.imread(out / "probabilities" / "a.tif").max() > 0.99
    assert "segmentation.csv" in (out / "report.html").read_text()


def test_a_bad_file_is_named_and_the_rest_goes_on(make_bundle, tmp_path, capsys):
    good = square(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG broken")
    missing = tmp_path / "gone.png"
    out = tmp_path / "out"
    result = run(make_bundle(preprocessing=GREY), [tmp_path / "bad.png", good, missing], out)
    assert result.exit_code == 3
    assert [Path(name).name for name, _ in result.failed] == ["gone.png", "bad.png"]
    assert [row["mask"] for row in rows(out)] == ["good"]
    said = capsys.readouterr().err
    assert "bad.png" in said
    assert "1 segmented, 0 skipped, 2 failed" in said
    assert "bad.png" in (out / "report.html").read_text()


def test_nothing_done(make_bundle, tmp_path):
    result = run(make_bundle(preprocessing=GREY), [tmp_path / "gone.png"], tmp_path / "out")
    assert result.exit_code == 1
    with pytest.raises(UsageError, match="what should be segmented"):
        run(make_bundle(preprocessing=GREY), [], tmp_path / "out")


def test_an_image_with_the_wrong_channels_is_one_bad_file(make_bundle, tmp_path):
    bundle = make_bundle(preprocessing=Preprocessing(channels=("T1", "T2")))
    result = run(bundle, [square(tmp_path / "a.png")], tmp_path / "out")
    assert "the model needs the channels T1, T2" in result.failed[0][1]


def test_overlapping_classes_get_a_folder_each(make_bundle, tmp_path):
    bundle = make_bundle("strided", classes=TWO, preprocessing=GREY)
    out = tmp_path / "out"
    run(bundle, [square(tmp_path / "a.png")], out, report=False, overlays=False)
    made = ["masks/cup/a.png", "masks/disc/a.png", "merged/a.png"]
    assert files(out) == ["config.json", *made, "segmentation.csv"]
    assert [row["class"] for row in rows(out)] == ["disc", "cup"]


def test_single_objects_are_counted_after_the_others_are_gone(make_bundle, tmp_path):
    pixels = np.zeros((30, 30), np.uint8)
    pixels[2:4, 2:4] = pixels[10:20, 10:20] = 200
    Pillow.fromarray(pixels).save(tmp_path / "a.png")
    bundle = make_bundle(classes=Classes(names=("disc",), single_object=True), preprocessing=GREY)
    run(bundle, [tmp_path / "a.png"], tmp_path / "out", report=False)
    (row,) = rows(tmp_path / "out")
    assert (row["area_pixels"], row["components"]) == ("100", "1")


def test_volumes_keep_their_place_and_are_measured(make_bundle, tmp_path):
    values = np.zeros((10, 8, 6), np.int16)
    values[2:5, 3:5, 1:3] = 900
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    affine[:3, 3] = (-7, 3, 11)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    bundle = make_bundle(preprocessing=Preprocessing(channels=("MR",)), classes=Classes(names=("tumour",)))
    result = run(bundle, [tmp_path / "scan.nii.gz"], tmp_path / "out", contours=True)
    assert result.exit_code == 0
    written = nibabel.load(tmp_path / "out" / "masks" / "scan.nii.gz")
    np.testing.assert_allclose(written.affine, affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), values > 0)
    (row,) = rows(tmp_path / "out")
    assert (row["area_mm2"], float(row["volume_mm3"]), row["components"]) == ("", 12 * 0.5, "1")


def test_equal_stems_are_kept_apart(make_bundle, tmp_path):
    for name in ("left/x.png", "left/x.bmp", "right/x.png", "right/y.png"):
        square(tmp_path / name)
    out = tmp_path / "out"
    run(make_bundle(preprocessing=GREY), [tmp_path / "left", tmp_path / "right"], out, report=False, overlays=False)
    masks = [Path(name).name for name in files(out) if name.startswith("masks")]
    assert masks == ["left_x_png.png", "right_x_png.png", "x_bmp.png", "y.png"]


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["a/x.png", "b/X.png"], ["a_x_png", "b_X_png"]),
        (["x.nii.gz", "x.png"], ["x_nii.gz", "x_png"]),
        (["p/a/x.png", "q/a/x.png"], ["a_x_png", "a_x_png_2"]),
        (["d/x.png", "d/x_png.png", "d/x.jpg"], ["d_x_png", "d_x_png_png", "x_jpg"]),
    ],
)
def test_names(paths, stems):
    assert unique_stems([Path(p) for p in paths]) == stems


def test_what_is_passed_over_in_a_folder_is_named(make_bundle, tmp_path, capsys):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("notes.txt", "x.jp2"):
        (folder / name).write_text("")
    bundle, out = make_bundle(preprocessing=GREY), tmp_path / "out"
    assert run(bundle, [folder], out).exit_code == 1
    assert "Folders in it are not searched: more/" in capsys.readouterr().err
    square(folder / "a.png")
    assert run(bundle, [folder], out).exit_code == 0
    assert "not images that leanseg reads: more/, notes.txt, x.jp2" in capsys.readouterr().err


def tiled(path: Path, side: int) -> Path:
    """A large RGB TIFF of noise with a bright square in every tile."""
    tile = np.random.default_rng(0).integers(0, 100, (256, 256, 3), dtype=np.uint8)
    tile[40:90, 30:130] = 240
    tiles = (tile for _ in range((side // 256) ** 2))
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    tifffile.imwrite(path, tiles, shape=(side, side, 3), dtype=np.uint8, **options)
    return path


def test_a_streamed_tiff_equals_the_same_in_memory(make_bundle, tmp_path, monkeypatch):
    path = tiled(tmp_path / "slide.tif", 768)
    expected = {name: quality()["vessel"] for name in TWO.names}
    bundle = make_bundle("strided", classes=TWO, quality=expected)
    run(bundle, [path], tmp_path / "whole")
    # Less than the decoded picture is left for it: it has to be read tile by tile.
    monkeypatch.setattr("leanseg.workflows.segment_one.LIBRARIES", 398_000_000)
    result = run(bundle, [path], tmp_path / "pieces", memory="400MB")
    assert result.exit_code == 0
    for name in ("disc", "cup"):
        whole = tmp_path / "whole" / "masks" / name / "slide.png"
        pieces = tifffile.imread(tmp_path / "pieces" / "masks" / name / "slide.tif")
        assert np.mean(np.asarray(Pillow.open(whole)) != pieces) < 1e-5
    merged = [tmp_path / "whole" / "merged" / "slide.png", tmp_path / "pieces" / "merged" / "slide.tif"]
    numbers, colours = ([read(path) for path in merged] for read in (read_mask, lambda path: read_image(path).pixels))
    assert set(np.unique(numbers[1])) == {0, 1, 2}
    assert np.mean(numbers[0] != numbers[1]) < 1e-5
    assert np.mean(colours[0] != colours[1]) < 1e-5
    for one, other in zip(rows(tmp_path / "whole"), rows(tmp_path / "pieces"), strict=True):
        assert one["class"] == other["class"]
        for key in ("area_pixels", "shared_pixels", "components", "fraction", "mean_probability", "expected_dice"):
            assert float(one[key]) == pytest.approx(float(other[key]), rel=1e-3)
    assert (tmp_path / "pieces" / "overlays" / "slide.png").is_file()
    refused = run(bundle, [path], tmp_path / "refused", memory="400MB", contours=True)
    assert "writing contours needs it whole" in refused.failed[0][1]


PEAK = """
import pathlib, re, sys
from leanseg.cli import main
code = main(["segment", sys.argv[1], "--model", sys.argv[2], "--out", sys.argv[3], "--memory", "400MB", "--no-report"])
# Not ru_maxrss, which begins with the size of the process that started this one.
print(code, int(re.search("VmHWM:\\\\s*([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_does_not_grow_with_the_image(make_bundle, tmp_path):
    bundle = make_bundle()
    peaks = []
    for side in (3584, 4096):
        path = tiled(tmp_path / f"{side}.tif", side)
        command = [sys.executable, "-c", PEAK, path, bundle.folder, tmp_path / f"out{side}"]
        code, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert code == "0"
        peaks.append(int(peak))
    assert max(peaks) < 400e6
    assert peaks[1] < 1.15 * peaks[0]


@pytest.mark.data
def test_a_real_photograph(make_bundle, tmp_path, data_root):
    bundle = make_bundle(preprocessing=Preprocessing(field_of_view="fundus", diameter=400.0))
    result = run(bundle, [data_root / "HRF_4" / "images" / "01_h.jpg"], tmp_path / "out")
    (row,) = result.rows
    assert np.asarray(Pillow.open(tmp_path / "out" / "masks" / "01_h.png")).shape == (2336, 3504)
    assert 0.2 < row.fraction < 0.8


def test_the_torch_backend_serves_models_without_a_graph(make_bundle, tmp_path):
    bundle = make_bundle(preprocessing=GREY)
    parts = tuple(replace(part, onnx=None, weights="w.safetensors") for part in bundle.parts)
    pytest.importorskip("torch")
    from safetensors.torch import save

    from leanseg import nets
    from leanseg.bundle import write_bundle

    keywords = {"in_channels": 1, "widths": [4, 8, 8]}
    net = nets.create("mini-net", **keywords)
    parts = (replace(parts[0], keywords=keywords, divisor=4, halo=net.halo),)
    files = {"w.safetensors": save(net.state_dict())}
    bundle = write_bundle(replace(bundle, parts=parts), tmp_path / "weights", files=files)
    assert run(bundle, [square(tmp_path / "a.png")], tmp_path / "out").exit_code == 0


def quality(**changes: object) -> dict[str, dict[str, object]]:
    """Expects the soft Dice less 0.05 for each doubling of the pieces."""
    fields: dict[str, object] = {
        "centre": (0.0,) * 5, "scale": (1.0,) * 5, "weights": (0.0, 0.0, 0.0, -0.1, 0.0), "intercept": 0.05,
        "margin": 0.5, "confidence": 0.9, "patients": 20, "best": 1.0, "usual": 0.5,
    }  # fmt: skip
    return {"vessel": fields | changes}


def speckled(path: Path) -> Path:
    """Many bright points."""
    pixels = np.zeros((30, 40), np.uint8)
    pixels[::3, ::3] = 200
    Pillow.fromarray(pixels).save(path)
    return path


def test_a_model_without_figures_on_its_quality_does_not_guess(make_bundle, tmp_path):
    out = tmp_path / "out"
    run(make_bundle(preprocessing=GREY), [square(tmp_path / "a.png")], out)
    (row,) = rows(out)
    assert (row["expected_dice"], row["expected_low"], row["unlike"], row["review"]) == ("", "", "", "unknown")
    assert "does not know" in row["why"]
    assert "cannot tell" in (out / "report.html").read_text()


def test_masks_that_need_a_person_come_first(make_bundle, tmp_path, capsys):
    bundle = make_bundle(preprocessing=GREY, quality=quality(), temperature=0.2)
    dark = tmp_path / "c.png"
    Pillow.fromarray(np.zeros((30, 40), np.uint8)).save(dark)
    out = tmp_path / "out"
    run(bundle, [square(tmp_path / "a.png"), speckled(tmp_path / "b.png"), dark], out, review_below=0.8)
    found = {row["mask"]: row for row in rows(out)}
    assert (found["a"]["review"], found["a"]["why"]) == ("fine", "")
    assert float(found["a"]["expected_low"]) >= 0.8
    assert found["b"]["review"] == "look first" and float(found["b"]["expected_dice"]) < 0.8
    assert (found["c"]["review"], found["c"]["why"]) == ("look first", "nothing was found")
    with (out / "review.csv").open(newline="") as file:
        assert [line["mask"] for line in csv.DictReader(file)] == ["c", "b"]
    page = (out / "report.html").read_text()
    assert page.index(">c</td>") < page.index(">b</td>") < page.index(">a</td>")
    assert "3 segmented, 0 skipped, 0 failed, 2 to look at" in " ".join(capsys.readouterr().err.split())


def test_the_list_for_review_keeps_what_earlier_runs_found(make_bundle, tmp_path):
    bundle, out = make_bundle(preprocessing=GREY, quality=quality(), temperature=0.2), tmp_path / "out"
    run(bundle, [speckled(tmp_path / "b.png")], out, review_below=0.8)
    run(bundle, [tmp_path / "b.png", square(tmp_path / "a.png")], out, review_below=0.8, skip_existing=True)
    with (out / "review.csv").open(newline="") as file:
        assert [line["mask"] for line in csv.DictReader(file)] == ["b"]


def test_an_image_unlike_those_of_training_is_named_with_its_reasons(make_bundle, tmp_path):
    known = [square(tmp_path / f"{n}.png", at=(n, n), size=6 + n % 4) for n in range(12)]
    looks = np.stack([appearance(GREY.prepare(read_image(path))) for path in known])
    like = fit_likeness(looks, names=appearance_names(("grey",)), patients=[str(n) for n in range(12)])
    bundle = make_bundle(preprocessing=GREY, quality=quality(), reference=like.to_dict())
    negative = tmp_path / "negative.png"
    Pillow.fromarray(255 - np.asarray(Pillow.open(known[0]))).save(negative)
    out = tmp_path / "out"
    deep = tmp_path / "again16.png"
    again = square(tmp_path / "again.png", at=(5, 6), size=7)
    Pillow.fromarray(np.asarray(Pillow.open(again)).astype(np.uint16) * 257).save(deep)
    run(bundle, [again, deep, negative], out)
    again, more_bits, other = rows(out)
    assert (again["unlike"], other["unlike"], other["review"]) == ("False", "True", "look first")
    assert (more_bits["unlike"], more_bits["expected_dice"]) == ("False", again["expected_dice"])
    assert other["why"].startswith("unlike the training images: ") and "brighter (grey)" in other["why"]


def test_a_review_threshold_is_a_dice(make_bundle, tmp_path):
    with pytest.raises(UsageError, match="review-below"):
        run(make_bundle(preprocessing=GREY), [square(tmp_path / "a.png")], tmp_path / "out", review_below=80)


def test_options_of_objects_need_instances(make_bundle, tmp_path):
    with pytest.raises(UsageError, match="--instances"):
        run(make_bundle(preprocessing=GREY), [square(tmp_path / "a.png")], tmp_path / "out", smallest=30)


def test_broken_figures_are_an_error_and_not_a_guess(make_bundle, tmp_path):
    with pytest.raises(InputError, match="quality"):
        run(make_bundle(preprocessing=GREY, quality={"vessel": {"x": 1}}), [square(tmp_path / "a.png")], tmp_path / "o")


def test_touching_objects_are_parted_and_counted(make_bundle, tmp_path):
    y, x = np.indices((40, 60))
    touching = (np.hypot(y - 20, x - 15) < 9) | (np.hypot(y - 20, x - 30) < 9) | (np.hypot(y - 20, x - 50) < 5)
    Pillow.fromarray((touching * 200).astype(np.uint8)).save(tmp_path / "cells.png")
    out = tmp_path / "out"
    run(make_bundle(preprocessing=GREY), [tmp_path / "cells.png"], out, instances=True, contours=True)
    (row,) = rows(out)
    assert (row["components"], row["objects"]) == ("2", "3")
    objects = np.asarray(Pillow.open(out / "instances" / "cells.png"))
    mask = np.asarray(Pillow.open(out / "masks" / "cells.png"))
    np.testing.assert_array_equal(objects > 0, mask > 0)
    assert len({objects[20, 15], objects[20, 30], objects[20, 50]} - {0}) == 3
    found = list(csv.DictReader((out / "instances" / "cells.csv").open()))
    assert [int(one["area_pixels"]) for one in found] == np.bincount(objects.ravel())[1:].tolist()
    first = next(one for one in found if int(one["object"]) == objects[20, 15])
    assert (float(first["x"]), float(first["y"])) == pytest.approx((14.5, 20), abs=1)
    outlines = json.loads((out / "contours" / "cells.geojson").read_text())["features"]
    assert [one["properties"]["name"] for one in outlines] == ["1", "2", "3"], "also of those that touch"
    run(make_bundle(preprocessing=GREY), [tmp_path / "cells.png"], tmp_path / "whole")
    parted, whole = (np.asarray(Pillow.open(place / "overlays" / "cells.png")) for place in (out, tmp_path / "whole"))
    changed = np.flatnonzero((parted != whole).any((0, 2)))
    assert 19 <= changed.min() <= changed.max() <= 26, "a line where two touch, and nowhere else"
    run(
        make_bundle(preprocessing=GREY, name="b"),
        [tmp_path / "cells.png"],
        tmp_path / "large",
        instances=True,
        smallest=200,
    )
    assert rows(tmp_path / "large")[0]["objects"] == "2", "the small one is gone"


def test_an_image_of_too_many_objects_is_named_and_others_go_on(make_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("leanseg.workflows.segment_one.MOST_OBJECTS", 1)
    pixels = np.zeros((20, 60), np.uint8)
    pixels[5:10, 5:10] = pixels[5:10, 30:40] = 200
    Pillow.fromarray(pixels).save(tmp_path / "two.png")
    pixels[:, 20:] = 0
    Pillow.fromarray(pixels).save(tmp_path / "z_one.png")
    out = tmp_path / "out"
    result = run(make_bundle(preprocessing=GREY), [tmp_path / "two.png", tmp_path / "z_one.png"], out, instances=True)
    ((name, reason),) = result.failed
    assert name.endswith("two.png") and "at most 1 objects, found 2" in reason and result.exit_code == 3
    assert [row["mask"] for row in rows(out)] == ["z_one"]
    assert not (out / "masks" / "two.png").exists()


def test_objects_of_several_classes_get_a_folder_each(make_bundle, tmp_path):
    out = tmp_path / "out"
    run(make_bundle(classes=TWO, preprocessing=GREY), [square(tmp_path / "a.png")], out, instances=True)
    assert {"instances/cup/a.png", "instances/disc/a.png"} <= set(files(out))
    assert [(row["objects"] == "0") == (row["area_pixels"] == "0") for row in rows(out)] == [True, True]
