from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leanseg.data.folder import open_dataset
from leanseg.data.pairing import index
from leanseg.errors import InputError

MakeFolder = Callable[..., Path]


@pytest.mark.parametrize("suffix", ["_mask", "_segmentation", "_manual1", "_1stHO", "-labels"])
def test_known_suffixes_of_masks(make_folder: MakeFolder, suffix: str) -> None:
    dataset = open_dataset(make_folder(suffix=suffix))
    assert [case.masks[0].stem for case in dataset.cases] == [f"{case.stem}{suffix}" for case in dataset.cases]


def test_the_exact_stem_goes_before_a_suffix(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "masks" / "1L_mask.png").write_bytes(b"")
    assert open_dataset(root).cases[0].masks[0].name == "1L.png"


def test_two_possible_masks_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder(suffix="_mask")
    (root / "masks" / "1L_manual1.png").write_bytes(b"")
    with pytest.raises(InputError, match="several files could belong to the image '1L'"):
        open_dataset(root)


def test_two_images_of_one_stem_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder()
    (root / "images" / "1L.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="same stem"):
        open_dataset(root)


def test_a_folder_without_images_is_empty(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    assert index(tmp_path) == {}
