"""A random look keeps places, the range of each image, and the order of grey values in a channel."""

from __future__ import annotations

import torch

from leanseg.methods.random_appearance import RandomAppearance, unit_range


def seeded(seed: int = 0, **keywords: float) -> RandomAppearance:
    torch.manual_seed(seed)
    return RandomAppearance(**keywords)


def test_images_of_a_batch_change_differently_within_their_ranges() -> None:
    image = torch.rand(1, 3, 16, 16).repeat(4, 1, 1, 1) * 7 - 3
    changed = seeded()(image)
    assert len({float(one.mean()) for one in changed}) == 4
    assert bool((changed >= image.amin() - 1e-5).all()) and bool((changed <= image.amax() + 1e-5).all())


def test_brighter_pixels_of_a_channel_stay_brighter() -> None:
    image = torch.rand(8, 2, 6, 6)
    before, after = image.flatten(2), seeded(3)(image).flatten(2)
    order = before.argsort(-1)
    assert bool((after.gather(-1, order).diff(dim=-1) >= -1e-6).all())


def test_strength_0_is_the_identity_and_a_constant_image_stays_finite() -> None:
    image = torch.rand(2, 3, 5, 5) * 9
    nothing = seeded(gamma=1.0, gain=0.0, contrast=0.0, brightness=0.0)
    assert torch.allclose(nothing(image), image, atol=1e-5)
    assert bool(torch.isfinite(seeded()(torch.full((1, 1, 4, 4), 2.5))).all())


def test_torch_s_seed_repeats_it() -> None:
    image = torch.rand(2, 3, 8, 8)
    assert torch.equal(seeded(1)(image), seeded(1)(image))
    assert not torch.equal(seeded(1)(image), seeded(2)(image))


def test_unit_range_of_each_image() -> None:
    unit, low, span = unit_range(torch.stack([torch.arange(4.0), 10 * torch.arange(4.0)]).view(2, 1, 2, 2))
    assert torch.equal(unit[0], unit[1])
    assert span.flatten().tolist() == [3, 30] and low.flatten().tolist() == [0, 0]
