"""Superpixels: what every kind must keep, what they follow, and the file of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.segmentation import slic
from torch import Tensor

from leanseg.errors import UsageError
from leanseg.loading import regions as module
from leanseg.loading.augment import Augmentation
from leanseg.loading.regions import find_regions, load_regions

KINDS = ["slic", "felzenszwalb", "grid"]


def disc(side: int = 96, noise: float = 0.1, channels: int = 1) -> tuple[Tensor, Tensor]:
    """A normalised bright disc off the centre (C, H, W) in faint noise, and its mask."""
    y, x = np.mgrid[:side, :side] / side
    mask = (y - 0.45) ** 2 + (x - 0.56) ** 2 < 0.23**2
    image = mask + np.random.default_rng(0).normal(0, noise, (channels, side, side))
    image = (image - image.mean()) / image.std()
    return torch.from_numpy(image.astype(np.float32)), torch.from_numpy(mask)


def achievable(labels: Tensor, mask: Tensor) -> float:
    """Dice of the mask made of all regions that lie mostly inside it."""
    flat, truth = labels.flatten().long(), mask.flatten().double()
    share = flat.bincount(truth) / flat.bincount()
    drawn = share[flat] > 0.5
    return float(2 * (drawn * truth).sum() / (drawn.sum() + truth.sum()))


@given(
    st.sampled_from(KINDS),
    st.integers(1, 3),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 60),
    st.sampled_from(["flat", "noise", "steps"]),
)
def test_every_pixel_has_a_region_and_numbers_have_no_gaps(
    kind: str, channels: int, height: int, width: int, n_regions: int, look: str
) -> None:
    noise = torch.randn(channels, height, width, generator=torch.Generator().manual_seed(height))
    image = {"flat": torch.full_like(noise, 3.0), "noise": noise, "steps": noise.round()}[look]
    labels = find_regions(image, kind=kind, n_regions=n_regions)
    assert labels.shape == (height, width) and labels.dtype == torch.int32
    assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
    assert torch.equal(labels, find_regions(image, kind=kind, n_regions=n_regions))


@pytest.mark.parametrize("kind", KINDS)
def test_one_region(kind: str) -> None:
    image, _ = disc()
    few = find_regions(image, kind=kind, n_regions=1)
    # The disc is a region of its own for an algorithm without a number of regions.
    assert few.max() <= (kind == "felzenszwalb")
    assert find_regions(torch.zeros(1, 1, 1), kind=kind).tolist() == [[0]]


@pytest.mark.parametrize("kind", ["slic", "felzenszwalb"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 250.0])
def test_brightness_and_contrast_of_the_clean_image_do_not_matter(kind: str, scale: float) -> None:
    image, mask = disc()
    labels = find_regions(image * scale - 7, kind=kind)
    assert achievable(labels, mask) > 0.95
    assert abs(int(labels.max()) + 1 - 36) <= 8


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_regions_follow_edges_and_squares_do_not(channels: int) -> None:
    image, mask = disc(channels=channels)
    squares = achievable(find_regions(image, kind="grid"), mask)
    assert squares < 0.9
    for kind in ("slic", "felzenszwalb"):
        assert achievable(find_regions(image, kind=kind), mask) > squares + 0.07


def test_published_compactness_between_0_and_1_gives_squares() -> None:
    """scikit-image does not bring grey values to the scale of lightness: 10 is a hundred times too much there."""
    image, mask = disc()
    published = slic(image[0].numpy(), n_segments=36, compactness=10, channel_axis=None, start_label=0)
    squares = achievable(find_regions(image, kind="grid"), mask)
    assert achievable(torch.from_numpy(published), mask) < squares + 0.02
    assert achievable(find_regions(image, kind="slic"), mask) > squares + 0.07


def test_noise_does_not_break_regions_up() -> None:
    image, mask = disc(noise=1.0)
    labels = find_regions(image)
    assert int(labels.max()) + 1 >= 30 and achievable(labels, mask) > 0.9


@pytest.mark.parametrize("kind", ["slic", "felzenszwalb"])
def test_large_images_are_cut_as_well_as_small_ones_at_half_their_size(kind: str) -> None:
    image, mask = disc(203, noise=0.3)
    labels = find_regions(image, kind=kind, n_regions=16)
    assert achievable(labels, mask) > 0.93
    assert torch.equal(labels[0:202:2], labels[1:202:2]) and torch.equal(labels[:, 0:202:2], labels[:, 1:202:2])


@pytest.mark.parametrize(
    ("height", "width", "n_regions", "wanted"),
    [(128, 128, 36, 36), (96, 96, 30, 30), (64, 128, 32, 32), (7, 3, 500, 21)],
)
def test_squares_are_as_many_as_wanted_and_equal(height: int, width: int, n_regions: int, wanted: int) -> None:
    sizes = find_regions(torch.zeros(1, height, width), kind="grid", n_regions=n_regions).flatten().bincount()
    assert len(sizes) == wanted
    side = (height * width / wanted) ** 0.5
    assert (sizes.double().sqrt() - side).abs().max() <= 1.5


@pytest.mark.parametrize(
    ("keywords", "match"), [({"kind": "watershed"}, "watershed"), ({"n_regions": 0}, "at least 1")]
)
def test_wrong_options(keywords: dict, match: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=match):
        find_regions(torch.zeros(1, 8, 8), **keywords)
    with pytest.raises(UsageError, match=match):
        load_regions([torch.zeros(1, 8, 8)], tmp_path / "regions.npz", **keywords)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The images that were cut, not read."""
    seen: list[Tensor] = []

    def counting(image: Tensor, **keywords: object) -> Tensor:
        seen.append(image)
        return find_regions(image, **keywords)

    monkeypatch.setattr(module, "find_regions", counting)
    return seen


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, *size, generator=generator) for size in ((24, 20), (16, 16), (9, 30))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_reads_what_was_made(kind: str, tmp_path: Path, cut: list[Tensor]) -> None:
    file = tmp_path / "run" / "regions.npz"
    made = load_regions(images(), file, kind=kind, n_regions=4)
    assert len(cut) == 3 and [path.name for path in file.parent.iterdir()] == ["regions.npz"]
    read = load_regions(images(), file, kind=kind, n_regions=4)
    assert len(cut) == 3
    for image, first, second in zip(images(), made, read, strict=True):
        assert second.dtype == torch.int32
        assert torch.equal(first, second) and torch.equal(first, find_regions(image, kind=kind, n_regions=4))


def test_other_images_or_options_are_made_anew(tmp_path: Path, cut: list[Tensor]) -> None:
    file = tmp_path / "regions.npz"
    load_regions(images(), file, n_regions=4)
    load_regions(images(), file, n_regions=9)
    assert len(cut) == 6
    load_regions(images(), file, n_regions=9, kind="grid")
    assert len(cut) == 9
    changed = images()
    changed[1][0, 3, 3] += 1
    load_regions(changed, file, n_regions=9, kind="grid")
    assert len(cut) == 12
    turned = [image.transpose(1, 2) for image in changed]
    found = load_regions(turned, file, n_regions=9, kind="grid")
    assert len(cut) == 15 and [tuple(labels.shape) for labels in found] == [(20, 24), (16, 16), (30, 9)]


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_damaged_file_is_made_anew(kept: int, tmp_path: Path, cut: list[Tensor]) -> None:
    file = tmp_path / "regions.npz"
    made = load_regions(images(), file)
    file.write_bytes(file.read_bytes()[:kept])
    again = load_regions(images(), file)
    assert len(cut) == 6 and all(map(torch.equal, made, again))
    load_regions(images(), file)
    assert len(cut) == 6


def test_an_interrupted_run_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(KeyboardInterrupt):
        load_regions(images(), tmp_path / "regions.npz")
    assert not list(tmp_path.iterdir())


def test_photometric_views_share_the_regions_of_the_clean_image(tmp_path: Path) -> None:
    """Views are made from copies, so the regions read later are still those of the image itself."""
    clean, _ = disc()
    random = np.random.default_rng(0)
    change = Augmentation(gain=0.5, offset=0.5, gamma=0.5, noise=1.0, blur=2.0)
    before = load_regions([clean], tmp_path / "regions.npz")[0]
    view = torch.from_numpy(change.appearance(clean.numpy().copy(), random).astype(np.float32))
    after = load_regions([clean], tmp_path / "regions.npz")[0]
    assert torch.equal(before, after)
    assert not torch.equal(view, clean) and not torch.equal(find_regions(view), before)


def test_no_images(tmp_path: Path) -> None:
    assert load_regions([], tmp_path / "regions.npz") == load_regions([], tmp_path / "regions.npz") == []
