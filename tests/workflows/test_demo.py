"""The demo finds its photograph, segments it and says where the results are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from leanseg import bundle
from leanseg.bundle import Bundle
from leanseg.cli import main
from leanseg.errors import InputError
from leanseg.images.read import read_image, read_mask
from leanseg.workflows import demo


def test_the_photograph_is_the_one_of_the_card() -> None:
    pytest.importorskip("skimage")
    assert read_image(demo.photograph()).pixels.shape == (3, 1411, 1411)


def test_the_demo_says_where_everything_is(
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("skimage")
    tiny = make_bundle()
    monkeypatch.setattr(bundle, "zoo", lambda: {"vessels": tiny.folder})
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--out", "shown"]) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines() if not line.startswith("Time"))
    assert set(lines) == {"Mask", "Overlay", "Report"}
    assert all(Path(file).is_file() for file in lines.values())
    mask = read_mask(Path(lines["Mask"]))
    assert mask.shape == (1411, 1411) and set(mask.ravel().tolist()) == {0, 255}


def test_without_scikit_image_the_install_line_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    assert "pip install 'leanseg[demo]'" in capsys.readouterr().err


def test_a_scikit_image_without_the_photograph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(demo, "PHOTOGRAPH", "data/none.jpg")
    with pytest.raises(InputError, match=r"none\.jpg.*Install scikit-image again"):
        demo.photograph()
