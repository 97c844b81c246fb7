"""Pre-training by contrast: its views, its terms, what it hands on, and both stages through the real trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.loading.augment import Augmentation
from leanseg.loading.regions import find_regions
from leanseg.loading.samples import Sample
from leanseg.loading.views import Regions, Views, sliced
from leanseg.losses.supervised_contrastive import supervised_contrastive
from leanseg.methods.contrastive_pretraining import ContrastivePretraining, Projected, centred, same_image
from leanseg.methods.stage import Stage
from leanseg.nets import create
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.unet import UNet
from leanseg.workflows.fitting import Machine
from leanseg.workflows.fitting import fit as fit_in_folder
from testers.methods import MethodTester, fit, hidden, make, score, weights
from testers.samples import discs, numbered

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL: dict[str, Any] = {"crop": 16, "batch": 4, "epochs": 2, "epoch_steps": 2}
TERMS = ("ins", "intra", "inter")


class TestSuperCL(MethodTester):
    name = "supercl"


class TestWithoutUnlabelled(MethodTester):
    name = "supercl"

    def samples(self, seed: int = 0) -> list[Sample]:
        return discs(4, 24, 24, seed=seed)


def mixed() -> list[Sample]:
    return [*discs(2, 24, 24), *hidden(discs(4, 24, 24, seed=9))]


def first_stage(samples: list[Sample] | None = None, **settings: Any) -> Stage:
    return next(iter(make("supercl", **{**SMALL, **settings}).stages(samples or mixed(), [])))


def run(stage: Stage) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_epochs=stage.epochs,
        enable_model_summary=False, use_distributed_sampler=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(stage.module, stage.train)
    return trainer


def pretraining(stage: Stage) -> ContrastivePretraining:
    assert isinstance(stage.module, ContrastivePretraining)
    return stage.module


def views_of(stage: Stage) -> Views:
    assert isinstance(stage.train.dataset, Views)
    return stage.train.dataset


def views(samples: list[Sample], **settings: Any) -> Views:
    maps = Regions([sample.image for sample in samples], kind="grid", n_regions=16, crop=24)
    fixed = {"size": 16, "batch": 3, "augmentation": Augmentation(), "regions": maps}
    return Views(samples, **{**fixed, **settings})


# Views


def test_regions_follow_the_crop_and_not_its_appearance() -> None:
    """Oracle 8.11: the labels of the pixel that every crop shows, whatever the views look like."""
    sample = numbered(24, 20)
    regions = find_regions(sample.image, kind="grid", n_regions=16).flatten()
    clean, strong = (
        views([sample], augmentation=Augmentation(gain=size, offset=size, rotation=90, warped=1)) for size in (0.0, 0.4)
    )
    for step in range(20):
        batch, changed = clean[step], strong[step]
        pixels = batch["image"][:, 0].long() - 1
        expected = regions[pixels.clamp_min(0)].where(pixels >= 0, -1)
        assert torch.equal(batch["regions"], expected)
        assert torch.equal(batch["regions"], changed["regions"])
        assert torch.equal(batch["image"], batch["second"])
        assert not torch.equal(changed["image"], changed["second"])


def test_only_the_last_two_views_are_warped() -> None:
    """Each is warped by itself, out of one of the first two."""
    batch = views([numbered(24, 20)], augmentation=Augmentation(gain=0, offset=0, warped=0), batch=8)[0]
    sums = [batch[name].sum((1, 2, 3)) for name in ("image", "second", "third", "fourth")]
    assert all(torch.equal(sums[0], total) for total in sums[1:])
    assert not torch.equal(batch["third"], batch["fourth"])
    assert not torch.equal(batch["image"], batch["third"])


def test_the_first_views_are_upright() -> None:
    """Oracle of images that are built alike: their maps are compared cell by cell."""
    batch = views([numbered(24, 20)], augmentation=Augmentation(gain=0, offset=0), batch=8)[0]
    for crop in batch["image"][:, 0]:
        rows, columns = crop.nonzero().T
        inside = crop[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (inside.diff(dim=0) == 20).all() and (inside.diff(dim=1) == 1).all()


def test_a_large_image_has_as_many_regions_in_a_crop_as_a_small_one() -> None:
    images = [torch.zeros(1, 16, 16), torch.zeros(1, 64, 64), torch.zeros(1, 8, 8)]
    found = Regions(images, kind="grid", n_regions=4, crop=16)
    assert [len(regions.unique()) for regions in found] == [4, 64, 4]


def test_views_depend_on_seed_and_step_alone() -> None:
    made, again, other = (views(discs(3, 24, 24), seed=seed) for seed in (1, 1, 2))
    for name in ("image", "second", "third", "fourth", "regions"):
        assert torch.equal(made[5][name], again[5][name])
        assert not torch.equal(made[5][name], made[6][name])
        assert not torch.equal(made[5][name], other[5][name])


def test_processes_share_a_batch() -> None:
    whole, halves = views(discs(3, 24, 24), batch=4), [views(discs(3, 24, 24), batch=2) for _ in range(2)]
    for rank, half in enumerate(halves):
        half.share(rank=rank, world=2)
    for name in ("image", "fourth", "regions", "index"):
        assert torch.equal(whole[3][name], torch.cat([half[3][name] for half in halves]))


def test_regions_are_cut_once_on_the_clean_image(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []

    def cut(image: Tensor, **options: Any) -> Tensor:
        calls.append(image)
        return find_regions(image, **options)

    monkeypatch.setattr("leanseg.loading.views.find_regions", cut)
    samples = discs(2, 24, 24)
    made = views(samples)
    assert not calls
    for step in range(10):
        made[step]
    assert len(calls) == 2
    assert {id(image) for image in calls} == {id(sample.image) for sample in samples}


def test_pixels_that_do_not_count_have_no_region() -> None:
    sample = numbered(16, 16)
    valid = torch.ones(1, 16, 16, dtype=torch.uint8)
    valid[:, :, :8] = 0
    made = views([replace(sample, valid=valid)], augmentation=Augmentation(gain=0, offset=0))
    batch = made[0]
    columns = (batch["image"][:, 0].long() - 1) % 16
    assert torch.equal(batch["regions"] >= 0, (columns >= 8) & (batch["image"][:, 0] > 0))


def test_volumes_are_cut_into_slices_with_their_place() -> None:
    volume = numbered(5, 24, 20)
    valid = volume.valid.clone()
    valid[:, 3] = 0
    images, places = sliced([numbered(24, 20), replace(volume, valid=valid)])
    assert np.allclose(places, [np.nan, 0, 0.25, 0.5, 1], equal_nan=True)
    assert torch.equal(images[4].image, volume.image[:, 4])
    assert images[4].image.data_ptr() == volume.image[:, 4].data_ptr()


# Terms


def test_slices_at_one_height_and_crops_of_one_image_are_positives() -> None:
    """Oracle 8.10, with one image drawn twice and images that are no slices."""
    batch = {"index": torch.tensor([0, 1, 2, 2, 4]), "position": torch.tensor([0, 0.05, 0.2, torch.nan, torch.nan])}
    expected = torch.eye(5, dtype=torch.bool)
    expected[0, 1] = expected[1, 0] = expected[2, 3] = expected[3, 2] = True
    assert torch.equal(same_image(batch), expected.repeat(2, 2))


@pytest.mark.parametrize("net", [UNet(in_channels=1, widths=(3, 4, 5, 6, 7)), MiniNet(in_channels=1, widths=(4, 8))])
def test_terms_are_those_of_the_equations(net: nn.Module) -> None:
    stage = first_stage(net=net, crop=32, regions="grid", n_regions=4, n_positions=10_000)
    module, batch = pretraining(stage), views_of(stage)[0]
    module.eval()
    terms = module.contrasts(batch)
    encode = module.projected
    first, second, third, fourth = (encode(batch[name]) for name in ("image", "second", "third", "fourth"))
    z = torch.cat([encode.head(third), encode.head(fourth)])
    same = batch["index"].repeat(2)
    assert torch.allclose(terms["ins"], supervised_contrastive(z, same[:, None] == same), atol=1e-4)
    losses = []
    factor = 32 // first.shape[-1]
    for one, other, regions in zip(*centred(torch.cat([first, second])), batch["regions"], strict=True):
        cells = regions.unfold(0, factor, factor).unfold(1, factor, factor).flatten(2)
        label, share = cells.mode().values, (cells == cells.mode().values[..., None]).float().mean(-1)
        at = ((share >= 0.6) & (label >= 0)).flatten()
        vectors = torch.cat([one.flatten(1)[:, at].T, other.flatten(1)[:, at].T])
        region = label.flatten()[at].repeat(2)
        losses.append(supervised_contrastive(vectors, region[:, None] == region))
    assert torch.allclose(terms["intra"], torch.stack(losses).mean(), atol=1e-4)
    total = module.training_loss(batch)
    assert torch.allclose(total, terms["ins"] + terms["intra"] + 0.5 * terms["inter"], atol=1e-5)


def test_a_tiny_run_lowers_each_term() -> None:
    """Oracle 8.13."""
    samples = discs(8, 32, 32)
    settings = {"crop": 32, "batch": 8, "epochs": 2, "epoch_steps": 20, "learning_rate": 2e-2}
    method = make("supercl", **settings)
    stages = method.stages(samples, samples[:1])
    stage = next(stages)
    module, held = pretraining(stage), views_of(stage)
    before = values(module, held)
    trainer = run(stage)
    after = values(module, held)
    assert all(after[name] < before[name] for name in TERMS), (before, after)
    logged = trainer.callback_metrics
    assert {*TERMS, "loss", "cells", "inside_regions", "component", "largest", "split"} <= set(logged)
    assert 0 < float(logged["inside_regions"]) < 1
    assert float(logged["cells"]) > 1 and 1 <= float(logged["component"]) <= float(logged["largest"]) <= 8


def values(module: ContrastivePretraining, held: Views) -> dict[str, float]:
    module.train()
    with torch.no_grad():
        found = [module.contrasts(held[1000 + step]) for step in range(4)]
    return {name: sum(float(terms[name]) for terms in found) for name in TERMS}


@pytest.mark.parametrize("terms", [("ins",), ("intra",), ("inter",), ("ins", "intra")])
def test_every_choice_of_terms_trains_what_it_needs(terms: tuple[str, ...]) -> None:
    stage = first_stage(terms=terms)
    module, batch = pretraining(stage), views_of(stage)[0]
    assert set(module.contrasts(batch)) == set(terms)
    assert ("regions" in batch) == (terms != ("ins",))
    module.train()
    module.training_loss(batch).backward()
    learning = [p for p in module.net.parameters() if p.requires_grad]
    # Else several processes would wait for gradients that never come.
    assert learning and all(p.grad is not None for p in learning)
    assert any(p is q for p in learning for q in module.projected.head.parameters()) == (terms != ("intra",))


@pytest.mark.parametrize("choice", [{"regions": kind} for kind in ("slic", "felzenszwalb", "grid")] + [
    {"graph": "nn"}, {"asp_norm": "all"}, {"asp_input": "raw"}, {"n_regions": 4}, {"n_positions": 3},
])  # fmt: skip
def test_options_reach_the_loss(choice: dict[str, Any]) -> None:
    usual, changed = first_stage(batch=12), first_stage(batch=12, **choice)
    losses = [float(pretraining(stage).training_loss(views_of(stage)[0]).detach()) for stage in (usual, changed)]
    assert np.isfinite(losses[1])
    same = {"regions": "slic"}.items() >= choice.items()
    assert (losses[0] == losses[1]) == same


def test_heights_of_slices_can_be_left_out() -> None:
    volumes = discs(1, 6, 24, 24)
    with_heights, without = (views_of(first_stage(volumes, positions=on))[0]["position"] for on in (True, False))
    assert torch.isfinite(with_heights).all() and torch.isnan(without).all()


# What is handed on


@pytest.mark.parametrize("name", ["unet", "mini-net", "xnet-plus"])
def test_the_coarsest_map_has_a_stride_of_eight_at_most(name: str) -> None:
    wide = {"unet": {"widths": (2, 3, 4, 5, 6)}, "mini-net": {"widths": (4, 8, 8, 8, 8)}, "xnet-plus": {"base": 2}}
    net = create(name, in_channels=1, **wide[name])
    made = Projected(net, channels=1, seed=0)
    assert made(torch.zeros(2, 1, 32, 48)).shape[2:] == (4, 6)
    assert made.head(made(torch.zeros(2, 1, 32, 48))).shape == (2, 512)
    frozen = [key for key, p in made.net.named_parameters() if not p.requires_grad]
    assert any("decoders" in key for key in frozen)
    assert not any("encoders.0" in key for key in frozen if "low" not in key and "high" not in key)


def test_the_head_has_the_published_size() -> None:
    """Oracle 8.8."""
    made = Projected(UNet(in_channels=1, widths=(8, 16, 32, 64)), channels=1, seed=0)
    assert sum(p.numel() for p in made.head.parameters()) == 37_440


def test_the_encoder_is_handed_on_and_nothing_else() -> None:
    """Oracle 8.8: no head; the decoder as it was given; what stage 2 starts from is what stage 1 learnt."""
    method = make("supercl", **SMALL)
    given = {key: value.clone() for key, value in method.network.state_dict().items()}
    stages = method.stages(mixed(), [])
    stage = next(stages)
    run(stage)
    learnt = pretraining(stage).averaged.net.state_dict()
    start: Any = next(stages).module
    found = start.net.state_dict()
    assert set(found) == set(given)
    assert all(torch.equal(found[key], learnt[key]) for key in found)
    moved = {key for key in found if found[key].is_floating_point() and not torch.equal(found[key], given[key])}
    assert any(key.startswith("encoders") for key in moved) and any(key.startswith("middle") for key in moved)
    assert not any(key.startswith(("decoders", "ups", "skips", "head")) for key in moved)
    assert all(p.requires_grad for p in start.net.parameters())
    assert all(torch.equal(value, given[key]) for key, value in method.network.state_dict().items())


def test_the_fit_is_that_of_supervised() -> None:
    """Same crops of the labelled images, and the generator of torch as it would be."""
    net = MiniNet(in_channels=1, widths=(4, 8))
    *_, fine = make("supercl", net=net, **SMALL).stages(mixed(), [])
    state = torch.get_rng_state()
    (plain,) = make("supervised", net=net, **{**SMALL, "epochs": 1}).stages(mixed()[:2], [])
    assert torch.equal(torch.get_rng_state(), state)
    assert fine.name == plain.name and fine.epochs == plain.epochs
    ours, theirs = (stage.train.dataset[3] for stage in (fine, plain))
    assert all(torch.equal(ours[key], theirs[key]) for key in ("image", "target", "valid"))
    settings = ("steps", "learning_rate", "optimiser", "weight_decay", "average")
    assert all(getattr(fine.module, name) == getattr(plain.module, name) for name in settings)


def test_a_step_can_be_timed_without_a_trainer() -> None:
    for stage in make("supercl", **SMALL).stages(mixed(), mixed()[:1]):
        module: Any = stage.module
        optimiser = module.configure_optimizers()["optimizer"]
        module.training_loss(next(iter(stage.train))).backward()
        optimiser.step()


def test_validation_has_no_part_in_the_first_stage() -> None:
    first, second = make("supercl", **SMALL).stages(mixed(), discs(2, 24, 24))
    assert (len(first.val), len(second.val)) == (0, 2)


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 4}
    ran: list[int] = []

    def interrupt() -> None:
        ran.append(1)
        if len(ran) in (2, 4):
            raise RuntimeError("stopped")

    def trained(folder: str, resume: bool, each_epoch: Callable[[], None]) -> Tensor:
        torch.manual_seed(0)
        method = make("supercl", **settings)
        net = fit_in_folder(
            method, mixed(), [], folder=tmp_path / folder, machine=Machine(), resume=resume, each_epoch=each_epoch
        )
        return weights(net)

    whole = trained("whole", False, lambda: None)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            trained("parts", True, interrupt)
    assert torch.equal(trained("parts", True, interrupt), whole)
    assert {path.name for path in (tmp_path / "parts").iterdir()} >= {"pretrain", "fit"}


def test_slices_of_volumes_train_a_network_for_images() -> None:
    samples = [*discs(2, 6, 24, 24), *hidden(discs(2, 4, 20, 28, seed=5))]
    method = make("supercl", **SMALL)
    losses = fit(method, samples, [])
    assert np.isfinite(losses).all() and torch.isfinite(weights(method.result())).all()


def test_it_learns_from_labels_after_contrast() -> None:
    labelled, others = discs(2, 32, 32), discs(2, 32, 32, seed=1)
    method = make("supercl", epochs=10, epoch_steps=15, pretrain=0.2, learning_rate=3e-2)
    fit(method, [*labelled, *hidden(others)], labelled)
    assert score(method.result(), others) > 0.8


# Wrong uses


def test_wrong_uses_are_told() -> None:
    with pytest.raises(UsageError, match="--epochs 2"):
        make("supercl", epochs=1)
    with pytest.raises(UsageError, match="--batch 2"):
        make("supercl", batch=1)
    with pytest.raises(UsageError, match="share"):
        make("supercl", pretrain=1.0)
    for name, value in (("regions", "hexagons"), ("graph", "all"), ("asp_norm", "none"), ("asp_input", "sharp")):
        with pytest.raises(UsageError, match=f"{name}.*{value}"):
            make("supercl", **{name: value})
    for terms in (("ins", "outer"), ()):
        with pytest.raises(UsageError, match="ins, intra, inter"):
            make("supercl", terms=terms)
    with pytest.raises(UsageError, match="labelled"):
        next(iter(make("supercl").stages(hidden(discs(2, 24, 24)), [])))


def test_only_networks_with_an_encoder_for_images() -> None:
    with pytest.raises(UsageError, match="MiniNetCascade has none, med2d-segnet, mini-net, unet, xnet-plus have"):
        make("supercl", net=create("mini-net-cascade", in_channels=1))
    with pytest.raises(UsageError, match="dims 2"):
        make("supercl", net=UNet(in_channels=1, dims=3))


def test_images_of_the_test_split_are_refused() -> None:
    """Oracle 8.12."""
    first, *others = mixed()
    tested = replace(first, case=replace(first.case, split="test"))
    with pytest.raises(UsageError, match="test split"):
        next(iter(make("supercl", **SMALL).stages([*others, tested], [])))
