"""What every network must keep: subclass :class:`NetTester` with a name, keywords and golden logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.images.tiles import plan_tiles, smallest_tile
from leanseg.nets import create

CHANNELS, CLASSES = 2, 3


def settled(net: nn.Module, seed: int = 0) -> nn.Module:
    """A network in eval mode with random weights and statistics that no version of torch draws differently."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                values = random.uniform(0.5, 1.5, tensor.shape)
            else:
                fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 25
                values = random.standard_normal(tensor.shape) / math.sqrt(fan_in)
            tensor.copy_(torch.from_numpy(values))
    return net.eval()


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers that no version of torch draws differently."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).to(dtype)


def positive(net: nn.Module) -> nn.Module:
    """Weights above zero, so that no path from input to output cancels or is cut by a ReLU."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.05)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.weight.fill_(1.0)
    return net.eval()


def support(net: nn.Module, side: int, at: int, channels: int) -> tuple[int, int]:
    """First and last row that the output at ``(at, at, ...)`` of a square (cube) of the given side depends on."""
    x = torch.ones(1, channels, *[side] * net.dims, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[(0, 0, *[at] * net.dims)], x)
    rows = gradient[0].abs().sum(0).flatten(1).sum(1).nonzero().flatten()
    columns = gradient[0].abs().sum(0).flatten(0, -2).sum(0).nonzero().flatten()
    assert rows.tolist() == columns.tolist()
    return int(rows[0]), int(rows[-1])


def close(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    """Equal up to a share of the largest value."""
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= tolerance * max(1.0, float(wanted.abs().max()))


class NetTester:
    """The checks; a network's own test file holds only what is special about it."""

    name: ClassVar[str]
    keywords: ClassVar[dict[str, Any]] = {}
    golden: ClassVar[tuple[float, ...]]
    """Logits of class 0, 1, 2 at pixel (1, 2) or (1, 2, 3) of the settled net for noise."""

    @pytest.fixture(autouse=True)
    def _seed(self) -> Iterator[None]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield

    def build(self, **changes: Any) -> nn.Module:
        return create(self.name, **{"in_channels": CHANNELS, "classes": CLASSES, **self.keywords, **changes})

    def image(self, *sides: int, batch: int = 1) -> Tensor:
        """Noise of the given sides; one side stands for all axes."""
        return noise(batch, CHANNELS, *(sides if len(sides) > 1 else sides * self.build().dims))

    def test_declares_how_it_may_be_cut(self) -> None:
        net = self.build()
        assert net.dims in (2, 3)
        assert isinstance(net.divisor, int) and net.divisor >= 1
        assert net.halo is None or (isinstance(net.halo, int) and net.halo >= 0)

    @torch.no_grad()
    def test_any_size(self) -> None:
        net = self.build().eval()
        longest = 40 if net.dims == 2 else 14
        for n in [*range(5, 5 + net.divisor), longest]:
            for size in ((n, 5), (n, n + 1), (5, n)):
                sides = (*size, *[6] * (net.dims - 2))
                assert net(noise(1, CHANNELS, *sides)).shape == (1, CLASSES, *sides)

    @torch.no_grad()
    @pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 1), (4, 5)])
    def test_any_channels_and_classes(self, channels: int, classes: int) -> None:
        net = self.build(in_channels=channels, classes=classes).eval()
        assert net(noise(1, channels, *[8] * net.dims)).shape == (1, classes, *[8] * net.dims)

    @torch.no_grad()
    def test_saved_and_loaded_is_the_same(self, tmp_path: Path) -> None:
        net, other, x = settled(self.build()), self.build().eval(), self.image(16)
        save_file(net.state_dict(), tmp_path / "net.safetensors")
        assert not torch.equal(other(x), net(x))
        other.load_state_dict(load_file(tmp_path / "net.safetensors"))
        assert torch.equal(other(x), net(x))

    @torch.no_grad()
    def test_images_of_a_batch_do_not_meet(self) -> None:
        net, x = settled(self.build()), self.image(17, batch=2)
        close(net(x), torch.cat([net(x[:1]), net(x[1:])]), 1e-6)

    def test_every_parameter_has_a_gradient(self) -> None:
        net, x = self.build().train(), self.image(16, batch=2)
        answers = net.training_logits(x) if hasattr(net, "training_logits") else (net(x),)
        torch.stack(answers).square().mean().backward()
        missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert missing == []

    @torch.no_grad()
    def test_golden_logits(self) -> None:
        net = settled(self.build())
        logits = net(self.image(13))[(0, slice(None), *range(1, 1 + net.dims))]
        close(logits, torch.tensor(self.golden), 1e-4)

    def test_thirty_steps_lower_the_loss(self) -> None:
        net = self.build(classes=1)
        x = self.image(16, batch=2)
        target = (x[:, :1] > 0).float()
        optimiser = torch.optim.Adam(net.parameters(), 1e-3)
        losses = []
        for _ in range(30):
            loss = F.binary_cross_entropy_with_logits(net(x), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.98 * losses[0]

    @torch.no_grad()
    def test_padding_by_the_caller_changes_nothing(self) -> None:
        net, x = settled(self.build()), self.image(13)
        missing = -13 % net.divisor
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), *[(0, missing)] * net.dims), mode="reflect")
        answer = net(torch.from_numpy(padded))[(..., *[slice(13)] * net.dims)]
        assert torch.equal(answer, net(x))

    @torch.no_grad()
    def test_a_shifted_image_has_shifted_logits(self) -> None:
        net = settled(self.build())
        if net.halo is None:
            pytest.skip("the net sees the whole image")
        shift, edge = net.divisor, -(-net.halo // net.divisor) * net.divisor + net.divisor
        x = self.image(2 * edge + 2 * shift)
        moved = torch.roll(x, [shift] * net.dims, list(range(2, 2 + net.dims)))
        near, far = slice(edge, -edge - shift), slice(edge + shift, -edge)
        index = (..., *[near] * net.dims), (..., *[far] * net.dims)
        close(net(moved)[index[1]], net(x)[index[0]], 1e-5)

    def test_halo_is_the_reach_of_an_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A maximum passes the gradient to one of its pixels only; the mean over the same pixels shows all of them.
        for dims in (2, 3):
            monkeypatch.setattr(F, f"max_pool{dims}d", getattr(F, f"avg_pool{dims}d"))
        net = positive(self.build())
        if net.halo is None:
            pytest.skip("the net sees the whole image")
        middle = -(-(net.halo + 1) // net.divisor) * net.divisor
        places = range(middle, middle + net.divisor)
        reach = 0
        for at in places:
            first, last = support(net, 2 * middle + net.divisor, at, CHANNELS)
            reach = max(reach, at - first, last - at)
        assert reach <= net.halo < reach + net.divisor, f"an output sees {reach} pixels far"

    @torch.no_grad()
    def test_tiles_equal_the_whole(self) -> None:
        net = settled(self.build())
        if net.halo is None:
            pytest.skip("the net sees the whole image")
        tile = smallest_tile(halo=net.halo, divisor=net.divisor)
        sides = [tile + net.divisor, *[tile + 3 * net.divisor] * (net.dims - 1)]
        x = self.image(*sides)
        whole, answer = net(x), torch.full((1, CLASSES, *sides), torch.nan)
        for row in plan_tiles(sides, tile=[tile] * net.dims, halo=net.halo, divisor=net.divisor):
            for part in row:
                answer[(..., *part.core)] = net(x[(..., *part.outer)])[(..., *part.inner)]
        close(answer, whole, 1e-5)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
    @torch.no_grad()
    def test_a_recorded_graph_fits_any_size(self) -> None:
        net = settled(self.build())
        graph = torch.jit.trace(net, self.image(16), check_trace=False)
        x = self.image(*range(11, 11 + net.dims))
        close(graph(x), net(x), 1e-5)
