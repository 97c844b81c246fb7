"""Patch fusion beside plain loops, and its oracles 3 and 4 of the specification."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.estimate.patch_fusion import PatchFusion, patch_distances


def fused(images: list, masks: list, queries: list, **settings: object) -> list[np.ndarray]:
    fusion = PatchFusion(**settings)
    supports = [fusion.prepare(image) for image in images]
    return fusion.fit(supports, [fusion.prepare(query) for query in queries]).predict(masks)


def looped_distances(query: np.ndarray, support: np.ndarray, patch: int, reach: int) -> np.ndarray:
    _, height, width = query.shape
    half, found = patch // 2, np.zeros((2 * reach + 1, 2 * reach + 1, height, width))

    def value(image: np.ndarray, y: int, x: int) -> np.ndarray:
        return image[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    for a, b, y, x in np.ndindex(*found.shape):
        for dy in range(-half, half + 1):
            for dx in range(-half, half + 1):
                other = value(support, y + a - reach + dy, x + b - reach + dx)
                found[a, b, y, x] += ((value(query, y + dy, x + dx) - other) ** 2).mean()
    return found / patch**2


@settings(max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([(1, 0), (3, 1), (5, 2)]))
def test_distances_against_loops(seed: int, sizes: tuple[int, int]) -> None:
    query, support = np.random.default_rng(seed).normal(size=(2, 2, 5, 6)).astype(np.float32)
    found = patch_distances(query, support, patch=sizes[0], reach=sizes[1])
    np.testing.assert_allclose(found, looped_distances(query, support, *sizes), atol=1e-5)


def test_the_answer_against_its_definition() -> None:
    rng = np.random.default_rng(3)
    images, (query,) = list(rng.normal(size=(3, 1, 16, 16))), rng.normal(size=(1, 1, 16, 16))
    masks = list(rng.random((3, 16, 16)) > 0.5)
    fusion = PatchFusion(size=16, reach=1, neighbours=3, softness=0.01)
    own, others = fusion.prepare(query), [fusion.prepare(image) for image in images]
    found = fusion.fit(others, [own]).predict(masks)[0]
    d = np.stack([patch_distances(own.pixels, other.pixels, patch=5, reach=1) for other in others])
    w = np.exp(-d.astype(np.float64) / (d.min((0, 1, 2)) + 0.01))
    w /= w.sum((0, 1, 2))
    wanted = np.zeros((16, 16))
    for k, mask in enumerate(masks):
        padded = np.pad(mask, 1, mode="edge")
        for a, b in np.ndindex(3, 3):
            wanted += w[k, a, b] * padded[a : a + 16, b : b + 16]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_image_itself_gives_its_mask_back(scene: Callable) -> None:
    image, mask = scene(0)
    found = fused([image], [mask], [image], reach=0, neighbours=1)
    np.testing.assert_array_equal(found[0], mask.astype(np.float32))


def test_full_masks_give_full_answers_at_the_size_of_the_query(scene: Callable) -> None:
    images = [scene(seed, side)[0] for seed, side in enumerate((64, 80, 50))]
    answers = fused(images, [np.ones(image.shape[1:], bool) for image in images], images[::-1])
    for answer, query in zip(answers, images[::-1], strict=True):
        assert answer.shape == query.shape[1:] and answer.max() <= 1
        np.testing.assert_allclose(answer, 1, atol=1e-5)


def test_neither_order_nor_brightness_nor_contrast_matter(scene: Callable) -> None:
    scenes = [scene(seed) for seed in range(8)]
    images, masks, query = [s[0] for s in scenes], [s[1] for s in scenes], scene(9)[0]
    plain = fused(images, masks, [query])[0]
    np.testing.assert_allclose(fused(images[::-1], masks[::-1], [query])[0], plain, atol=1e-6)
    np.testing.assert_allclose(fused([2 * i + 3 for i in images], masks, [query])[0], plain, atol=1e-4)
    np.testing.assert_allclose(fused(images, masks, [2 * query + 3])[0], plain, atol=1e-4)


def test_one_fit_serves_many_sets_of_masks_bit_by_bit(scene: Callable) -> None:
    scenes = [scene(seed) for seed in range(7)]
    images, first, queries = [s[0] for s in scenes], [s[1] for s in scenes], [scene(8)[0], scene(9)[0]]
    second = [None if i == 2 else np.roll(mask, 5, axis=1) for i, mask in enumerate(first)]
    fusion = PatchFusion()
    taught = fusion.fit([fusion.prepare(i) for i in images], [fusion.prepare(q) for q in queries])
    for masks in (first, second, first):
        for one, other in zip(taught.predict(masks), fused(images, masks, queries), strict=True):
            np.testing.assert_array_equal(one, other)


def test_threads_change_nothing(scene: Callable) -> None:
    images, masks = zip(*(scene(seed) for seed in range(4)), strict=True)
    one, many = (fused(images, masks, images, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, many)


def test_supports_without_a_mask_are_as_if_absent(scene: Callable) -> None:
    scenes = [scene(seed) for seed in range(8)]
    images, masks, query = [s[0] for s in scenes], [s[1] for s in scenes], scene(20)[0]
    some = [None if i in (0, 3, 4) else mask for i, mask in enumerate(masks)]
    left = [i for i, mask in enumerate(some) if mask is not None]
    wanted = fused([images[i] for i in left], [masks[i] for i in left], [query])
    np.testing.assert_array_equal(fused(images, some, [query])[0], wanted[0])
    assert not fused(images, [None] * 8, [query])[0].any()


def test_only_the_candidates_are_looked_at(scene: Callable) -> None:
    image, mask = scene(0)
    others = [np.random.default_rng(seed).normal(size=image.shape) for seed in range(3)]
    masks = [None, *[np.ones_like(mask)] * 3]
    assert not fused([image, *others], masks, [image], candidates=1, neighbours=1)[0].any()
    assert fused([image, *others], masks, [image], candidates=2, neighbours=1)[0].all()


def test_it_finds_a_structure_it_was_shown_elsewhere(scene: Callable) -> None:
    """Learning oracle: without what the images look like, the mean mask is all that one could say."""
    scenes = [scene(seed) for seed in range(20)]
    images, masks = [s[0] for s in scenes], [s[1] for s in scenes]
    query, truth = scene(99)
    answer = fused(images, masks, [query])[0] > 0.5
    mean = np.mean(masks, axis=0) > 0.5

    def dice(mask: np.ndarray) -> float:
        return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())

    assert dice(answer) > 0.93 and dice(answer) > dice(mean) + 0.05


def test_volumes(scene: Callable) -> None:
    image = np.stack([scene(seed, 20)[0][0] for seed in range(12)])[None]
    mask = np.stack([scene(seed, 20)[1] for seed in range(12)])
    found = fused([image], [mask], [image], ndim=3, size=16)[0]
    assert found.shape == (12, 20, 20)
    assert ((found > 0.5) == mask).mean() > 0.93
    exact = fused([image[:, :, :12, :12]], [mask[:, :12, :12]], [image[:, :, :12, :12]], ndim=3, size=12, reach=0)
    np.testing.assert_allclose(exact[0], mask[:, :12, :12], atol=1e-6)
    assert PatchFusion(ndim=3).patch == 3 and PatchFusion(ndim=3).reach == 1


@pytest.mark.parametrize(
    "keywords", [{"ndim": 4}, {"patch": 4}, {"reach": -1}, {"size": 0}, {"neighbours": 13}, {"softness": 0}]
)
def test_numbers_out_of_range(keywords: dict) -> None:
    with pytest.raises(UsageError):
        PatchFusion(**keywords)


def test_images_that_do_not_fit(scene: Callable) -> None:
    fusion, image = PatchFusion(), scene(0)[0]
    with pytest.raises(UsageError, match="ndim=3"):
        fusion.prepare(image[None])
    with pytest.raises(UsageError, match="found 0 and 1"):
        fusion.fit([], [fusion.prepare(image)])
    with pytest.raises(UsageError, match="same channels"):
        fusion.fit([fusion.prepare(image)], [fusion.prepare(np.repeat(image, 3, axis=0))])
    with pytest.raises(UsageError, match="one mask or None"):
        fused([image], [], [image])
