"""The whole way on tiny generated images: plan, fit, bundle, scores, report; resume after a kill; wrong uses."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import pytest
import tifffile
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import nn

from leanseg.bundle import read_bundle
from leanseg.cli import main
from leanseg.errors import InputError, UsageError
from leanseg.images.read import read_image
from leanseg.inference.predictor import Predictor
from leanseg.loading.samples import Sample
from leanseg.methods.stage import Method
from leanseg.workflows.fitting import fit
from leanseg.workflows.train import Train
from testers.training import FAST, discs


def test_a_run_leaves_everything_a_user_needs(run: Path) -> None:
    for name in ("config.json", "splits.csv", "scores.csv", "scores.json", "report.html", "model/model.onnx",
                 "model/model.safetensors", "model/README.md"):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    splits = [row["split"] for row in csv.DictReader((run / "splits.csv").open())]
    assert {split: splits.count(split) for split in ("train", "val", "test")} == {"train": 6, "val": 1, "test": 1}
    page = (run / "report.html").read_text()
    assert "not a medical device" in page
    assert "learning rate" in page


def test_the_bundle_predicts_without_torch_what_torch_predicts(run: Path, data: Path) -> None:
    bundle = read_bundle(run / "model")
    image = read_image(data / "images" / "0.png")
    onnx = Predictor(bundle=bundle).predict(image, probabilities=True)
    torch = Predictor(bundle=bundle, backend="torch").predict(image, probabilities=True)
    assert onnx.probabilities is not None
    assert torch.probabilities is not None
    np.testing.assert_allclose(onnx.probabilities, torch.probabilities, atol=1e-5)


def test_a_model_knows_the_images_that_it_was_trained_on(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever they are called elsewhere; those for validation and test are not among them."""
    assert len(read_bundle(run / "model").trained_on) == 6
    renamed = tmp_path / "renamed"
    for part in ("images", "masks"):
        (renamed / part).mkdir(parents=True)
        for path in (data / part).iterdir():
            shutil.copy(path, renamed / part / f"x{path.name}")
    shutil.copy(data / "dataset.toml", renamed)
    assert main(["evaluate", str(renamed), "--model", str(run / "model"), "--out", str(tmp_path / "scores")]) == 0
    told = "was trained on 6 of these 8 images"
    assert told in " ".join(capsys.readouterr().out.split())
    assert told in (tmp_path / "scores" / "report.html").read_text()


def test_an_occupied_folder_is_refused(run: Path, data: Path) -> None:
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(UsageError, match="--resume"):
        Train(data=data, out=run).run()
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_broken_image_leaves_nothing_in_the_way_of_the_next_try(tmp_path: Path) -> None:
    data, out = discs(tmp_path / "data"), tmp_path / "run"
    broken = data / "images" / "3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(InputError):
        Train(data=data, out=out).run()
    assert not out.exists()


def test_fine_tuning_starts_from_the_model_and_learns_new_classes(run: Path, tmp_path: Path) -> None:
    data = discs(tmp_path / "three", values=(1, 2, 3))
    out = tmp_path / "run"
    assert main(["train", str(data), "--out", str(out), "--init", str(run / "model"), *FAST]) == 0
    bundle = read_bundle(out / "model")
    assert bundle.classes.names == ("class1", "class2", "class3")
    assert bundle.parts[0].keywords["classes"] == 4
    labels = Predictor(bundle=bundle).predict(read_image(data / "images" / "0.png")).labels
    assert set(np.unique(labels)) <= {0, 1, 2, 3}


def test_pretrained_weights_start_another_training(data: Path, tmp_path: Path) -> None:
    out, tuned = tmp_path / "run", tmp_path / "tuned"
    words = ["--method", "supercl", "--no-baseline", "--net", "unet", *FAST]
    assert main(["train", str(data), "--out", str(out), *words]) == 0
    weights = out / "fold-0" / "pretrain" / "pretrained.safetensors"
    settings = {"init": str(weights), "net": "unet", "crop": 32, "batch": 2, "threads": 1, "learning_rate": 0.0}
    Train(data=data, out=tuned, epochs=1, epoch_steps=1, **settings).run()
    started, found = load_file(weights), load_file(tuned / "model" / "model.safetensors")
    kept = [name for name, value in started.items() if value.ndim == 4]
    assert kept and all(np.array_equal(found[name], started[name]) for name in kept)


def test_what_pre_training_saw_is_told_where_it_is_scored(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "run", tmp_path / "other"
    words = ["--method", "supercl", "--no-baseline", "--net", "unet", *FAST]
    assert main(["train", str(data), "--out", str(out), *words]) == 0
    weights = out / "fold-0" / "pretrain" / "pretrained.safetensors"
    with safe_open(weights, framework="np") as file:
        note = file.metadata()
    assert note["terms"] == "ins intra inter" and note["seed"] == "0"
    shutil.copytree(data, other)
    rows = list(csv.DictReader((out / "splits.csv").open()))
    learnt, others = ([row["stem"] for row in rows if (row["split"] == "train") is wanted] for wanted in (True, False))
    splits = {learnt[0]: "val"} | dict.fromkeys(learnt[1:], "test") | dict.fromkeys(others, "train")
    (other / "splits.csv").write_text("stem,split\n" + "".join(f"{stem},{part}\n" for stem, part in splits.items()))
    capsys.readouterr()
    tuned = tmp_path / "tuned"
    assert main(["train", str(other), "--out", str(tuned), "--init", str(weights), "--net", "unet", *FAST]) == 0
    assert "tuned was trained on 5 of these 5 images" in " ".join(capsys.readouterr().out.split())
    known = read_bundle(out / "model").trained_on
    assert known < read_bundle(tuned / "model").trained_on


def test_weights_that_do_not_fit_are_refused(run: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of its .* tensors fits UNet"):
        weights = run / "model" / "model.safetensors"
        Train(data=data, out=tmp_path / "a", init=str(weights), net="unet").run()
    broken = tmp_path / "broken.safetensors"
    broken.write_text("no weights")
    with pytest.raises(InputError, match="in safetensors"):
        Train(data=data, out=tmp_path / "b", init=str(broken)).run()


def test_folds_average_their_networks(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main(["train", str(data), "--out", str(out), "--folds", "2", "--net", "unet", *FAST]) == 0
    bundle = read_bundle(out / "model")
    assert [part.weights for part in bundle.parts] == ["model-0.safetensors", "model-1.safetensors"]
    learnt = bundle.quality["class255"]
    assert learnt["patients"] <= 8 and learnt["margin"] is None, "too few images for an interval"
    assert len(bundle.reference["distances"]) >= 6
    picture = read_image(next((data / "images").glob("*.png")))
    found = Predictor(bundle=bundle).predict(picture).quality
    assert found is not None and found.unlike is not None
    expected = found.dice["class255"]
    assert expected.low is None and expected.note


def test_without_test_images_each_is_judged_by_the_network_that_did_not_see_it(data: Path, tmp_path: Path) -> None:
    alone = discs(tmp_path / "alone", count=6)
    rows = [f"{number},{'train' if number else 'val'},{number},\n" for number in range(6)]
    (alone / "splits.csv").write_text("stem,split,patient,site\n" + "".join(rows))
    out = tmp_path / "run"
    assert main(["train", str(alone), "--out", str(out), "--folds", "3", "--refit", *FAST]) == 0
    with (out / "scores.csv").open() as file:
        scored = [row["image"] for row in csv.DictReader(file)]
    assert sorted(scored) == [str(n) for n in range(6)]
    bundle = read_bundle(out / "model")
    assert len(bundle.parts) == 1
    refit, first = load_file(out / "fold-3" / "weights.safetensors"), load_file(out / "fold-0" / "weights.safetensors")
    shipped = load_file(out / "model" / "model.safetensors")
    assert all(np.array_equal(shipped[k], refit[k]) for k in refit)
    assert any(not np.array_equal(shipped[k], first[k]) for k in refit)
    assert "trained once more" in bundle.card
    assert "networks averaged" not in bundle.card
    assert "did not learn from it" in (out / "report.html").read_text()


def test_minutes_decide_the_length(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--minutes", "0.05", "--epoch-steps", "2", "--crop", "32", "--batch", "2"]
    assert main(["train", str(data), "--out", str(out), *options]) == 0
    assert 1 <= json.loads((out / "plan.json").read_text())["epochs"] <= 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--net", "no-such-net"], "registered are"),
        (["--net-keywords", "{"], "expects JSON"),
        (["--augment", '{"spin": 1}'], "spin"),
        (["--method", "magic"], "registered are"),
        (["--loss", "hope"], "registered are"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(data), "--out", str(tmp_path / "run"), *FAST, *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists(), "a wrong option must not occupy the folder for the right one"


def test_two_processes_share_each_batch(data: Path, run: Path, tmp_path: Path) -> None:
    """Both see crops of their own, so that the result differs from one process with the same options."""
    out = tmp_path / "run"
    words = [sys.executable, "-m", "leanseg.cli", "train", str(data), "--out", str(out), *FAST, "--processes", "2"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone, shared = (load_file(folder / "model" / "model.safetensors") for folder in (run, out))
    assert alone.keys() == shared.keys()
    assert any(not np.array_equal(alone[name], shared[name]) for name in alone)
    losses = [row["loss"] for row in csv.DictReader((out / "fold-0" / "fit" / "metrics.csv").open()) if row["loss"]]
    assert float(losses[-1]) < float(losses[0])


def test_few_labels_train_beside_a_baseline_and_both_are_scored(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--method", "wt-bcp", "--method-keywords", '{"box": 0.5}', "--labelled", "2"]
    assert main(["train", str(data), "--out", str(out), *words, *FAST]) == 0
    splits = [row["split"] for row in csv.DictReader((out / "splits.csv").open())]
    assert {part: splits.count(part) for part in ("train", "unlabelled", "val", "test")} == {
        "train": 2, "unlabelled": 4, "val": 1, "test": 1,
    }  # fmt: skip
    models = {row["model"] for row in csv.DictReader((out / "scores.csv").open())}
    assert models == {"run", "baseline"}
    assert json.loads((out / "scores.json").read_text())["comparisons"]
    semi, alone = (load_file(folder / "model" / "model.safetensors") for folder in (out, out / "baseline"))
    assert any(not np.array_equal(semi[name], alone[name]) for name in semi)
    curve = (out / "report.html").read_text()
    assert "baseline" in curve
    scores = (out / "scores.csv").read_bytes()
    (out / "report.html").unlink()
    assert main(["train", str(data), "--out", str(out), "--resume"]) == 0
    assert (out / "scores.csv").read_bytes() == scores


def test_the_baseline_is_that_of_supervised_training_alone(data: Path, tmp_path: Path) -> None:
    few, alone = tmp_path / "few", tmp_path / "alone"
    assert main(["train", str(data), "--out", str(few), "--method", "wt-bcp", "--labelled", "2", *FAST]) == 0
    assert main(["train", str(data), "--out", str(alone), "--labelled", "2", "--no-baseline", *FAST]) == 0
    assert not (alone / "baseline").exists()
    expected, found = (load_file(folder / "model" / "model.safetensors") for folder in (alone, few / "baseline"))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_folds_learn_nothing_from_other_images_of_a_patient_who_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every patient but one has an image with a mask and one without."""
    data, seen = discs(tmp_path / "data", count=6), []
    (data / "unlabelled").mkdir()
    for number in range(1, 6):
        shutil.copy(data / "images" / f"{number}.png", data / "unlabelled" / f"{number}u.png")
    text = (data / "dataset.toml").read_text()
    (data / "dataset.toml").write_text("patient = '^(\\d)'\n" + text)
    splits = "".join(f"{number},{'train' if number else 'val'}\n" for number in range(6))
    (data / "splits.csv").write_text("stem,split\n" + splits)

    def fitted(method: Method, train: list[Sample], val: list[Sample], **options: Any) -> nn.Module:
        seen.append([{sample.case.patient for sample in part} for part in (train, val)])
        return fit(method, train, val, **options)

    monkeypatch.setattr("leanseg.workflows.fitting.fit", fitted)
    words = ["--method", "wt-bcp", "--no-baseline", "--folds", "3", *FAST]
    assert main(["train", str(data), "--out", str(tmp_path / "out"), *words]) == 0
    assert len(seen) == 3
    for train, val in seen:
        assert val and train and not train & val


def test_semi_supervision_without_unlabelled_images_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--labelled"):
        Train(data=data, out=tmp_path / "run", method="wt-bcp", epochs=2).run()


def test_doubted_labels_are_listed_mapped_and_corrected(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--method", "spatial-label-noise", "--method-keywords", '{"warm_up": 1}', "--no-baseline"]
    assert main(["train", str(data), "--out", str(out), *words, *FAST]) == 0
    rows = list(csv.DictReader((out / "label-errors" / "label-errors.csv").open()))
    assert len(rows) == 7 and {row["split"] for row in rows} == {"train", "val"}
    expected = [float(row["expected_wrong_pixels"]) for row in rows]
    assert expected == sorted(expected, reverse=True)
    for row in rows:
        corrected = cv2.imread(str(out / "label-errors" / "corrected" / f"{row['image']}.png"), cv2.IMREAD_UNCHANGED)
        given = cv2.imread(str(data / "masks" / f"{row['image']}.png"), cv2.IMREAD_UNCHANGED)
        assert int((corrected != given).sum()) == int(row["changed_pixels"])
        maps = tifffile.imread(out / "label-errors" / "wrong" / f"{row['image']}.tif")
        assert float(maps.sum()) == pytest.approx(float(row["expected_wrong_pixels"]), abs=0.1)
    assert "Look before you accept" in (out / "label-errors" / "report.html").read_text()
    assert not (tmp_path / "run" / "model" / "findings.safetensors").exists()


def test_doubted_labels_of_volumes_keep_their_place(tmp_path: Path) -> None:
    data, out, affine = tmp_path / "scans", tmp_path / "run", np.diag([-0.5, 2.0, 3.0, 1.0])
    random = np.random.default_rng(0)
    for number in range(5):
        values = random.normal(size=(24, 20, 3)).astype(np.float32)
        values[6:14, 5:12] += 4
        for folder, volume in (("images", values), ("masks", (values > 2).astype(np.uint8))):
            (data / folder).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(volume, affine), data / folder / f"{number}.nii.gz")
    words = ["--method", "spatial-label-noise", "--method-keywords", '{"warm_up": 1}', "--no-baseline"]
    assert main(["train", str(data), "--out", str(out), *words, *FAST]) == 0
    for row in csv.DictReader((out / "label-errors" / "label-errors.csv").open()):
        for folder in ("wrong", "corrected"):
            found = nibabel.load(out / "label-errors" / folder / f"{row['image']}.nii.gz")
            assert found.shape[:3] == (24, 20, 3)
            np.testing.assert_allclose(found.affine, affine)
    assert main(["data", "review", str(out), "--worst", "1", "--out", str(tmp_path / "new")]) == 0
    assert len(list((tmp_path / "new" / "masks").iterdir())) == 5
