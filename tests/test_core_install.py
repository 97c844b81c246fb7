"""The core works alone: with the libraries of training forbidden, every torch-free room imports and images segment."""

import pkgutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import leanseg
from leanseg import cli
from leanseg.bundle import Bundle

FORBIDDEN = ("torch", "lightning", "kornia", "sklearn", "skimage", "onnx", "onnxscript", "numba", "yaml")
"""Libraries that the core install does not bring."""

TORCH_ROOMS = (
    "leanseg.nets", "leanseg.losses", "leanseg.loading", "leanseg.methods",
    "leanseg.estimate.reverse_unet", "leanseg.estimate.universeg",
)  # fmt: skip

VERBS = {home.split(":")[0] for home, _ in cli.VERBS.values()}
"""Modules of the commands; helpers of training beside them may need torch."""

GUARD = f"""
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Guard())
"""

pytestmark = pytest.mark.slow


def _without_extras(code: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", GUARD + code, *arguments], capture_output=True, text=True, check=False)


def _leanseg(*words: str) -> subprocess.CompletedProcess[str]:
    return _without_extras("from leanseg.cli import main; sys.exit(main(sys.argv[1:]))", words)


def test_every_torch_free_room_and_every_command_imports() -> None:
    found = {module.name for module in pkgutil.walk_packages(leanseg.__path__, "leanseg.")}
    names = sorted({name for name in found if not name.startswith((*TORCH_ROOMS, "leanseg.workflows"))} | VERBS)
    assert {"leanseg.bundle", "leanseg.inference.predictor", "leanseg.workflows.train"} <= set(names)
    done = _without_extras("import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", names)
    assert done.returncode == 0, done.stderr


def test_the_guard_forbids() -> None:
    done = _without_extras("import torch")
    assert done.returncode != 0 and "No module named 'torch'" in done.stderr


def test_help_and_the_list_of_public_sets() -> None:
    assert "segment" in _leanseg("--help").stdout
    assert "chase-db1" in _leanseg("data", "prepare", "--list").stdout


SEGMENT_AND_LIST = """
import sys
from leanseg.cli import main
assert main(sys.argv[1:]) == 0
print("loaded:", *sorted(sys.modules))
"""


def test_a_picture_needs_no_reader_of_volumes(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    """Each of these would add to the time to the first mask."""
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    words = ("segment", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", str(make_bundle().folder))
    done = _without_extras(SEGMENT_AND_LIST, words)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("loaded: ")[2].split())
    assert "leanseg.inference.predictor" in loaded
    assert not loaded & {"pydicom", "nibabel", "scipy.optimize", "pandas", "matplotlib"}


def test_images_segment_and_score(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle()
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:40, 30:50] = 255
    for folder in ("data/images", "data/masks"):
        (tmp_path / folder).mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "data/images/a.png")
    Image.fromarray(picture[..., 0]).save(tmp_path / "data/masks/a.png")
    data, out = str(tmp_path / "data"), str(tmp_path / "out")
    model = ("--model", str(bundle.folder))
    done = _leanseg("segment", f"{data}/images", *model, "--out", out, "--contours", "--probabilities")
    assert done.returncode == 0, done.stderr
    mask = np.asarray(Image.open(tmp_path / "out/masks/a.png"))
    np.testing.assert_array_equal(mask, picture[..., 0])
    done = _leanseg("evaluate", data, *model, "--out", str(tmp_path / "scores"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scores/scores.csv").is_file()


def test_training_without_torch_names_the_extra(tmp_path: Path) -> None:
    done = _leanseg("train", str(tmp_path), "--out", str(tmp_path / "run"))
    assert done.returncode != 0
    assert "leanseg[train]" in done.stderr and "Traceback" not in done.stderr
