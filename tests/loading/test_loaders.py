"""Loaders: batches by step number."""

import torch

from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.loaders import Steps, crop_loader, sample_loader
from testers.samples import numbered


def test_epochs_go_on_where_the_last_one_ended() -> None:
    crops = Crops([numbered(12, 12)], size=8, batch=2, augmentation=Augmentation())
    loader = crop_loader(crops, steps=3)
    assert len(loader) == 3
    seen = []
    for epoch in range(2):
        assert isinstance(loader.sampler, Steps)
        loader.sampler.set_epoch(epoch)
        seen += [batch["image"] for batch in loader]
    assert len(seen) == 6
    assert all(torch.equal(image, crops[step]["image"]) for step, image in enumerate(seen))


def test_whole_samples_in_order() -> None:
    samples = [numbered(5, 6), numbered(7, 4, stem="b")]
    for batch, sample in zip(sample_loader(samples), samples, strict=True):
        assert torch.equal(batch["image"], sample.image)
        assert torch.equal(batch["target"], sample.target)
        assert torch.equal(batch["valid"], sample.valid)
