"""From a data set folder to samples in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from leanseg.data.folder import open_dataset
from leanseg.errors import InputError
from leanseg.images.preprocess import Preprocessing
from leanseg.loading.samples import load_sample, load_samples

TOML = 'ignore = 50\n[classes]\n100 = "disc"\n200 = "cup"\n'


def save(root: Path, name: str, pixels: np.ndarray) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(root / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for stem in ("a", "b", "c"):
        save(tmp_path, f"images/{stem}.png", random.integers(0, 256, (24, 32, 3), np.uint8))
    for stem in ("a", "b"):
        mask = np.zeros((24, 32), np.uint8)
        mask[4:12, 8:20], mask[6:10, 10:14], mask[20:] = 100, 200, 50
        save(tmp_path, f"masks/{stem}.png", mask)
    (tmp_path / "dataset.toml").write_text(TOML)
    return tmp_path


def test_samples_on_the_grid_of_the_files(folder: Path) -> None:
    data = open_dataset(folder)
    samples = load_samples(data, data.cases, Preprocessing())
    assert [sample.case.stem for sample in samples] == ["a", "b"]
    for sample in samples:
        assert sample.image.shape == (3, 24, 32) and sample.image.dtype == torch.float32
        torch.testing.assert_close(sample.image.mean((1, 2)), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(sample.image.std((1, 2), correction=0), torch.ones(3), atol=1e-3, rtol=0)
        wanted = torch.zeros(24, 32, dtype=torch.uint8)
        wanted[4:12, 8:20], wanted[6:10, 10:14] = 1, 2
        assert torch.equal(sample.target, wanted[None])
        assert sample.valid.dtype == torch.uint8
        assert sample.valid[0, :20].all() and not sample.valid[0, 20:].any()


def test_samples_on_a_smaller_grid(folder: Path) -> None:
    data = open_dataset(folder)
    sample = load_sample(data, data.cases[0], Preprocessing(longest=16))
    assert sample.image.shape == (3, 12, 16)
    assert sample.target.shape == sample.valid.shape == (1, 12, 16)
    assert set(sample.target.unique().tolist()) == {0, 1, 2}
    assert sample.target[0, 2:6, 4:10].all()
    assert not sample.valid[0, 10:].any()


def test_without_labels_the_target_is_empty(folder: Path) -> None:
    data = open_dataset(folder)
    sample = load_sample(data, data.unlabelled[0], Preprocessing())
    assert sample.target.shape == (1, 24, 32) and not sample.target.any()
    assert sample.valid.all()


def test_overlapping_classes_have_a_channel_each(tmp_path: Path) -> None:
    layers = np.zeros((2, 10, 12), np.uint8)
    layers[0, 2:8, 2:8], layers[1, 4:10, 4:10] = 255, 255
    save(tmp_path, "images/a.png", np.random.default_rng(0).integers(0, 256, (10, 12), np.uint8))
    save(tmp_path, "images/b.png", np.random.default_rng(1).integers(0, 256, (10, 12), np.uint8))
    for name, layer in zip(("disc", "cup"), layers, strict=True):
        save(tmp_path, f"masks/{name}/a.png", layer)
    (tmp_path / "dataset.toml").write_text('overlapping = true\n[classes]\n1 = "disc"\n2 = "cup"\n')
    data = open_dataset(tmp_path)
    grey = Preprocessing(channels=("grey",))
    assert torch.equal(load_sample(data, data.cases[0], grey).target, torch.from_numpy(layers // 255))
    assert load_sample(data, data.unlabelled[0], grey).target.shape == (2, 10, 12)


def test_a_broken_file_stops_with_its_name(folder: Path) -> None:
    (folder / "images" / "b.png").write_bytes(b"no picture")
    data = open_dataset(folder)
    with pytest.raises(InputError, match=r"b\.png"):
        load_samples(data, data.cases, Preprocessing())


def test_outside_the_field_of_view_nothing_counts(tmp_path: Path) -> None:
    y, x = np.mgrid[:120, :140]
    disc = ((y - 60) ** 2 + (x - 70) ** 2 < 50**2)[..., None]
    photograph = np.where(disc, np.random.default_rng(0).integers(90, 160, (120, 140, 3)), 2).astype(np.uint8)
    save(tmp_path, "images/a.png", photograph)
    save(tmp_path, "masks/a.png", np.full((120, 140), 100, np.uint8))
    (tmp_path / "dataset.toml").write_text(TOML)
    data = open_dataset(tmp_path)
    sample = load_sample(data, data.cases[0], Preprocessing(field_of_view="fundus"))
    assert not sample.valid[0, :5].any() and sample.valid[0, 40:80, 50:90].all()
    assert not sample.image[:, :5].any()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_samples_hold_no_file_open(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    dataset = open_dataset(folder)
    samples = load_samples(dataset, dataset.cases, Preprocessing())
    assert len(samples) == 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before
