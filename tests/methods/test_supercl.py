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
from leanseg.loading.samples import Sample
from leanseg.loading.views import Views
from leanseg.losses.supervised_contrastive import supervised_contrastive
from leanseg.methods.contrastive_pretraining import ContrastivePretraining, Projected, centred, same_image
from leanseg.methods.stage import Stage
from leanseg.nets import create
from leanseg.nets.mini_net import MiniNet
from leanseg.nets.unet import UNet
from leanseg.workflows.fitting import Machine
from leanseg.workflows.fitting import fit as fit_in_folder
from testers.methods import MethodTester, fit, hidden, make, score, weights
from testers.samples import discs

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
