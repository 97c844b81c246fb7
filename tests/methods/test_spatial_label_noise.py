"""Labels that are wrong in patches: the fields find them, through the real training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from leanseg.data.dataset import Case
from leanseg.errors import UsageError
from leanseg.loading.augment import Augmentation
from leanseg.loading.crops import Crops
from leanseg.loading.samples import Sample
from leanseg.methods.e_step import bound_by_correlation, fit_field, fitted_prior, unknown_field
from leanseg.methods.error_prior import ErrorPrior
from leanseg.methods.noisy_segmenter import NoisySegmenter
from leanseg.methods.spatial_label_noise import SpatialLabelNoise
from leanseg.types import Classes
from testers.methods import MethodTester, fit, make
from testers.samples import discs

pytestmark = pytest.mark.filterwarnings("ignore")

PRIOR: dict[str, Any] = {
    "mu": -2.0,
    "s": 1.3133,
    "rho": (0.75, 0.75),
    "rho_q": (0.75, 0.75),
    "kind": "tight",
    "nodes": None,
}


TESTS = str(Path(__file__).parents[1])
TWO_PROCESSES = """
import json, sys
from pathlib import Path
from leanseg.methods.e_step import START
from leanseg.workflows.fitting import Machine, fit
from testers.methods import make
from testers.samples import discs

if __name__ == "__main__":
    method = make("spatial-label-noise", epochs=2, epoch_steps=2, warm_up=1, correlation="auto", learn_prior=True)
    machine = Machine(processes=2, threads=1)
    samples = [s for s in discs(4, 32, 32)]
    samples = [type(s)(image=s.image, target=s.target.roll(6, 1), valid=s.valid, case=s.case) for s in samples]
    fit(method, samples, [], folder=Path(sys.argv[1]), machine=machine, resume=False, each_epoch=int)
    prior = method.prior.arguments()
    moved = [bool((field[0] != START[0]).any()) for field in method._fields]
    print(json.dumps({"mu": prior["mu"], "rho": prior["rho"], "moved": moved}))
"""


def error_prior() -> ErrorPrior:
    return ErrorPrior(mu=-2.0, s=1.3133, rho=(0.75, 0.75), kind="tight")


class TestSpatialLabelNoise(MethodTester):
    name = "spatial-label-noise"

    def short(self, **settings: Any) -> Any:
        return super().short(warm_up=settings.pop("warm_up", 1), **settings)


class Knows(nn.Module):
    """A classifier whose logit is its image."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        self.dims, self.calls = dims, 0
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x[:, :1] + 0 * self.unused


def shifted(*shape: int, by: int = 5, seed: int = 0) -> tuple[Sample, Tensor]:
    """A sample whose label is a shifted disc and whose image is the noisy logit of the true one; where it is wrong."""
    random = np.random.default_rng(seed)
    grid = np.indices(shape)
    middle = [n / 2 for n in shape]
    true = sum((g - c) ** 2 for g, c in zip(grid, middle, strict=True)) < (min(shape[-2:]) / 3.7) ** 2
    label = np.roll(true, by, -1)
    image = np.where(true, 1.0, -1.0) + 1.5 * random.standard_normal(shape)
    sample = Sample(
        image=torch.from_numpy(image[None].astype(np.float32)),
        target=torch.from_numpy(label[None].astype(np.uint8)),
        valid=torch.ones(1, *shape, dtype=torch.uint8),
        case=Case(stem="a", image=(), patient="a"),
    )
    return sample, torch.from_numpy(true ^ label)


def auc(score: Tensor, wrong: Tensor) -> float:
    ranks = score.flatten().argsort().argsort().float()
    hits = wrong.flatten()
    n, m = int(hits.sum()), int((~hits).sum())
    return float((ranks[hits].sum() - n * (n - 1) / 2) / (n * m))


def fitted(sample: Sample, net: nn.Module, *, rho: float = 0.75, steps: int = 150) -> Tensor:
    correlation = (rho,) * net.dims
    prior = {**PRIOR, "rho": correlation, "rho_q": correlation}
    return fit_field(net, sample, unknown_field(sample), prior=prior, steps=steps, rate=0.1)


def test_neighbours_tell_a_shifted_disc_from_noise() -> None:
    sample, wrong = shifted(48, 48)
    correlated, alone = (fitted(sample, Knows(), rho=rho)[0] for rho in (0.75, 0.0))
    assert auc(correlated, wrong) > 0.93
    assert auc(correlated, wrong) > auc(alone, wrong) + 0.05


def test_the_network_is_asked_once_and_left_alone() -> None:
    sample, _ = shifted(20, 24)
    net = Knows()
    first = fitted(sample, net, steps=12)
    assert net.calls == 1 and net.unused.grad is None
    assert torch.equal(first, fitted(sample, net, steps=12))


@pytest.mark.parametrize("dims", [2, 3])
def test_volumes_have_a_field_for_each_slice_or_one(dims: int) -> None:
    sample, _ = shifted(4, 16, 18)
    field = fitted(sample, Knows(dims), steps=5)
    assert field.shape == (2, 4, 16, 18) and bool(torch.isfinite(field).all())
    lone = replace(sample, image=sample.image[:, 1], target=sample.target[:, 1], valid=sample.valid[:, 1])
    alike = torch.allclose(fitted(lone, Knows(), steps=5), field[:, 1], atol=1e-5)
    assert alike == (dims == 2)


def test_ignored_pixels_say_nothing() -> None:
    sample, _ = shifted(24, 24)
    ignored = replace(sample, valid=torch.zeros_like(sample.valid))
    field = fitted(ignored, Knows(), steps=60)
    assert float(field[0].std()) < 0.2 and bool(torch.isfinite(field).all())
    assert float(fitted(sample, Knows(), steps=60)[0].std()) > 0.5


def test_fields_follow_the_geometry_of_their_crops() -> None:
    samples = discs(2, 20, 20)
    maps = [torch.stack([s.image[0], -s.image[0]]).half() for s in samples]
    plain = Augmentation(gain=0, offset=0, warped=0)
    crops = Crops(samples, size=12, batch=8, augmentation=plain, maps=maps)
    for step in range(4):
        batch = crops[step]
        torch.testing.assert_close(batch["maps"][:, :1], batch["image"], atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(batch["maps"][:, 1:], -batch["image"], atol=2e-3, rtol=2e-3)
    loud = Crops(samples, size=12, batch=8, augmentation=Augmentation(gain=0.5, offset=1.0, warped=0), maps=maps)[0]
    assert float((loud["maps"][:, :1] - loud["image"]).abs().mean()) > 0.1
    maps[0].fill_(7), maps[1].fill_(7)
    assert float(crops[0]["maps"].amax()) == 7, "what is written to a field reaches the next crop"


def noisy_discs(seed: int = 0) -> tuple[list[Sample], list[Tensor]]:
    """Discs, half of whose labels are shifted, each another way; and where labels are wrong."""
    samples, wrong = [], []
    for number, sample in enumerate(discs(8, 32, 32, seed=seed)):
        label = sample.target
        if number % 2:
            label = label.roll(((4, 0), (0, 4), (-4, 0), (0, -4))[number // 2], (1, 2))
        samples.append(replace(sample, target=label))
        wrong.append((label != sample.target)[0])
    return samples, wrong


def test_training_finds_the_labels_that_are_wrong() -> None:
    samples, wrong = noisy_discs(seed=1)
    method = make("spatial-label-noise", epochs=8, epoch_steps=20, warm_up=3, learning_rate=3e-2)
    fit(method, samples, samples[:1])
    net = method.result()
    found = method.findings(net)
    scores = torch.cat([found[f"wrong/{s.case.stem}"].flatten() for s in samples])
    assert auc(scores.float(), torch.cat([w.flatten() for w in wrong])) > 0.9
    before = sum(int(w.sum()) for w in wrong)
    truth = [s.target[0] ^ w.to(torch.uint8) for s, w in zip(samples, wrong, strict=True)]
    after = sum(int((found[f"right/{s.case.stem}"][0] != t).sum()) for s, t in zip(samples, truth, strict=True))
    assert after < 0.8 * before, (after, before)


def test_images_that_taught_the_network_are_judged_like_those_that_did_not() -> None:
    samples, _ = noisy_discs(seed=1)
    twin = replace(samples[0], case=replace(samples[0].case, stem="twin"))
    method = make("spatial-label-noise", epochs=4, epoch_steps=5, warm_up=1)
    fit(method, samples, [twin])
    found = method.findings(method.result())
    for part in ("wrong", "right"):
        assert torch.equal(found[f"{part}/{samples[0].case.stem}"], found[f"{part}/twin"])


@pytest.mark.parametrize("warm_up", [0, 1, 2])
def test_every_field_has_as_many_turns_as_the_findings_take(warm_up: int, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: Counter[str] = Counter()

    def counted(net: nn.Module, sample: Sample, field: Tensor, **options: Any) -> Tensor:
        turns[sample.case.stem] += 1
        return fit_field(net, sample, field, **options)

    monkeypatch.setattr("leanseg.methods.noisy_segmenter.fit_field", counted)
    samples, _ = noisy_discs()
    method = make("spatial-label-noise", epochs=5, epoch_steps=2, warm_up=warm_up, e_every=2, e_steps=1)
    fit(method, samples, samples[:1])
    assert set(turns) == {sample.case.stem for sample in samples}
    assert abs(np.mean(list(turns.values())) - method.turns) < 1


def test_fields_are_kept_with_the_checkpoint() -> None:
    sample, _ = shifted(12, 12)

    def module(fields: list[Tensor]) -> NoisySegmenter:
        settings = {"loss": nn.MSELoss(), "classes": Classes(names=("a",)), "steps": 4}
        how = {"prior": error_prior(), "e_steps": 1, "e_rate": 0.1, "e_every": 1, "warm_up": 0, "learn_prior": False}
        return NoisySegmenter(net=Knows(), samples=[sample], fields=fields, **how, **settings)

    kept: dict[str, Any] = {}
    module([unknown_field(sample) + 3]).on_save_checkpoint(kept)
    fields = [unknown_field(sample)]
    cut = Crops([sample], size=8, batch=1, augmentation=Augmentation(), maps=fields)
    module(fields).on_load_checkpoint(kept)
    assert torch.equal(fields[0], unknown_field(sample) + 3)
    assert float(cut[0]["maps"].amax()) == 4, "crops are cut from the very tensors that were loaded into"


def test_the_bound_tells_patches_from_single_pixels() -> None:
    patches, _ = shifted(32, 32)
    assert _best([patches]) > 0
    alone = np.random.default_rng(0).random((32, 32)) < 0.2
    true = patches.target.roll(-5, -1)
    image = torch.where(true > 0, 4.0, -4.0)
    speckled = replace(patches, image=image, target=true ^ torch.from_numpy(alone).to(torch.uint8))
    assert _best([speckled]) == 0


def _best(samples: list[Sample]) -> float:
    bounds = bound_by_correlation(Knows(), samples, PRIOR, (0.0, 0.5, 0.75))
    return max(bounds, key=bounds.__getitem__)


def test_a_learnt_prior_expects_as_many_errors_as_there_are() -> None:
    few, many = (shifted(32, 32, by=by)[0] for by in (0, 8))
    fields = [fitted(sample, Knows(), steps=60) for sample in (few, many)]
    one, other = (fitted_prior([field], PRIOR) for field in fields)
    assert one["mu"] < other["mu"] and 0 < one["s"] < 4
    both = fitted_prior(fields, PRIOR)
    assert one["mu"] < both["mu"] < other["mu"]


@pytest.mark.parametrize("settings", [{"correlation": "auto"}, {"learn_prior": True}, {"correlation": [0.5, 0.9]}])
def test_what_is_learnt_of_the_errors_is_resumed(settings: dict[str, Any]) -> None:
    samples, _ = noisy_discs()
    method = make("spatial-label-noise", epochs=3, epoch_steps=2, warm_up=1, **settings)
    fit(method, samples[:4], samples[:1])
    kept: dict[str, Any] = {}
    module = method._module
    module.on_save_checkpoint(kept)
    assert len(kept["label_error_prior"]) == 4 and kept["correlation_choices"] == ()
    module.prior = error_prior()
    module.on_load_checkpoint(kept)
    assert module.prior.arguments() == method.prior.arguments()
    assert (module.prior.arguments()["mu"] == -2.0) == ("learn_prior" not in settings)


def test_several_processes_learn_one_prior_and_all_fields(tmp_path: Path) -> None:
    """In a process of its own, as spawning needs a main module that can be imported."""
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    words = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": TESTS})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["mu"] != -2.0 and found["rho"] != [0.0, 0.0]
    assert all(found["moved"]), "the fields of both processes reach the one that asks for findings"


def test_wrong_uses_are_told() -> None:
    with pytest.raises(UsageError, match="overlapping"):
        make("spatial-label-noise", Classes(names=("a", "b"), overlapping=True))
    with pytest.raises(UsageError, match=r"0\.99"):
        make("spatial-label-noise", correlation=1.0)
    with pytest.raises(UsageError, match="or 2, or 'auto'"):
        make("spatial-label-noise", correlation=[0.5])
    with pytest.raises(UsageError, match="prior_scale"):
        make("spatial-label-noise", prior_scale=9.0)
    with pytest.raises(UsageError, match="--epochs"):
        make("spatial-label-noise", epochs=3, warm_up=3)
    assert isinstance(make("spatial-label-noise"), SpatialLabelNoise)
