"""Time and memory of the state-space scans, forward and backward, beside the ways of writing them that we did not take.

    python benchmarks/selective_scan.py

All ways of one size run in turns in one process on one thread, so that other load meets them alike; the fastest calls
are compared, in seconds of this thread. Memory is what lies between forward and backward beside the inputs.
Writes benchmarks/results/selective_scan.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from harness import RESULTS, commit, machine, now
from leanseg.images.atomic import replacing
from leanseg.nets.selective_scan import selective_scan
from leanseg.nets.state_space_dual import ssd_scan

Scan = Callable[..., Tensor]

HEAD_CHANNELS = 16
LENGTHS = (256, 512, 1024, 2048, 4096)
GROWTH = (2, 64, 16)
SIZES = ((4, 256, 16, 1024), (4, 256, 1, 1024), (4, 512, 16, 256), (1, 192, 16, 4096))
"""Batch, channels, states, length."""
SLOW = ("loop", "doubling")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="timed calls of each way")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    record: dict[str, Any] = {"name": "selective_scan", "commit": commit(), "machine": machine(), "when": now()}
    record |= {"torch": torch.__version__, "threads": 1, "load_at_start": os.getloadavg()[0], "repeats": repeats}
    record |= {"sizes": [compare(size, repeats) for size in SIZES], "growth": growth(repeats)}
    with replacing(RESULTS / "selective_scan.json") as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for case in record["sizes"]:
        print(case["size"], {way: {k: round(v, 3) for k, v in one.items()} for way, one in case["ways"].items()})
    for way, seconds in record["growth"]["seconds"].items():
        print(way, [round(1000 * value, 1) for value in seconds], record["growth"]["exponent"][way])


def compare(size: tuple[int, int, int, int], repeats: int) -> dict[str, Any]:
    """Every way at one size; times and memory also as multiples of the exact scan's, errors against it."""
    inputs = make_inputs(*size)
    chosen = ways()
    wanted = forward_and_backward(selective_scan, inputs)
    times = measure(chosen, inputs, repeats)
    found: dict[str, Any] = {}
    for way, scan in chosen.items():
        kept = kept_bytes(scan, inputs)
        found[way] = {"seconds": times[way], "ratio": times[way] / times["exact"], "kept_mb": kept / 1e6}
        if way != "ssd":  # another model
            found[way]["error"] = largest_error(forward_and_backward(scan, inputs), wanted)
    return {"size": dict(zip(("batch", "channels", "states", "length"), size, strict=True)), "ways": found}


def growth(repeats: int) -> dict[str, Any]:
    """Seconds at each length, and the exponent of the growth from the first to the last."""
    batch, channels, states = GROWTH
    chosen = {way: scan for way, scan in ways().items() if way in ("exact", "ssd")}
    rows = [measure(chosen, make_inputs(batch, channels, states, length), 2 * repeats) for length in LENGTHS]
    seconds = {way: [row[way] for row in rows] for way in chosen}
    times = torch.tensor([LENGTHS[-1] / LENGTHS[0]]).log()
    exponent = {way: round(float(torch.tensor(s[-1] / s[0]).log() / times), 2) for way, s in seconds.items()}
    size = dict(zip(("batch", "channels", "states"), GROWTH, strict=True))
    return {"size": size, "lengths": LENGTHS, "seconds": seconds, "exponent": exponent}


def ways() -> dict[str, Scan]:
    """By name; mambapy's own where it is installed."""
    found: dict[str, Scan] = {"exact": selective_scan, "ssd": as_heads, "two-level, all kept": two_level}
    found |= {"loop": loop, "doubling": doubling}
    if find_spec("mambapy"):
        found["mambapy"] = mambapy
    return found


def make_inputs(batch: int, channels: int, states: int, length: int) -> list[Tensor]:
    """As a layer gives them at the start: rates 1, 2, ... and step sizes from 0.001 to 0.1."""
    steps = torch.empty(batch, length, channels).uniform_(-6.9, -2.3).exp()
    rates = -torch.arange(1.0, states + 1).repeat(channels, 1)
    b, c = torch.randn(batch, length, states), torch.randn(batch, length, states)
    inputs = [torch.randn(batch, length, channels), steps, rates, b, c, torch.ones(channels)]
    return [value.requires_grad_() for value in inputs]


def as_heads(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:  # noqa: N803
    """The scan with one decay per head, of as many channels, states and tokens."""
    by_head, first = u.unflatten(-1, (-1, HEAD_CHANNELS)), slice(None, None, HEAD_CHANNELS)
    return ssd_scan(by_head, dt[..., first], A[first, 0], B, C, D[first]).flatten(-2)


def by_states(recurrence: Callable[[Tensor, Tensor], Tensor]) -> Scan:
    """A scan that holds all states (B, L, E, N) and recurs h_t = a_t h_{t-1} + b_t in some way."""

    def scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:  # noqa: N803
        decay = (dt.unsqueeze(-1) * A).exp()
        states = recurrence(decay, (dt * u).unsqueeze(-1) * B.unsqueeze(-2))
        return (states @ C.unsqueeze(-1)).squeeze(-1) + u * D

    return scan


def step_by_step(decay: Tensor, added: Tensor) -> Tensor:
    h, states = torch.zeros_like(added[:, 0]), []
    for factor, new in zip(decay.unbind(1), added.unbind(1), strict=True):
        h = factor * h + new
        states.append(h)
    return torch.stack(states, 1)


def by_doubling(decay: Tensor, added: Tensor) -> Tensor:
    step = 1
    while step < decay.shape[1]:
        added = torch.cat([added[:, :step], added[:, step:] + decay[:, step:] * added[:, :-step]], 1)
        decay = torch.cat([decay[:, :step], decay[:, step:] * decay[:, :-step]], 1)
        step *= 2
    return added


class TwoLevel(torch.autograd.Function):
    """All chunks at once, token after token, then from chunk to chunk: few steps, all decays and states kept."""

    chunk = 32

    @staticmethod
    def forward(ctx: Any, decay: Tensor, added: Tensor) -> Tensor:
        states = TwoLevel.run(decay, added)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        later = F.pad(decay[:, 1:], (0, 0, 0, 0, 0, 1)).flip(1)
        to_added = TwoLevel.run(later, grad.flip(1)).flip(1)
        return to_added * F.pad(states[:, :-1], (0, 0, 0, 0, 1, 0)), to_added

    @staticmethod
    def run(decay: Tensor, added: Tensor) -> Tensor:
        length, missing = decay.shape[1], -decay.shape[1] % TwoLevel.chunk
        shape = (len(decay), -1, TwoLevel.chunk, *decay.shape[2:])
        products = F.pad(decay, (0, 0, 0, 0, 0, missing), value=1).reshape(shape).clone()
        states = F.pad(added, (0, 0, 0, 0, 0, missing)).reshape(shape).clone()
        first = products.clone()
        for k in range(1, TwoLevel.chunk):
            states[:, :, k].addcmul_(first[:, :, k], states[:, :, k - 1])
            products[:, :, k].mul_(products[:, :, k - 1])
        for j in range(1, states.shape[1]):
            states[:, j].addcmul_(products[:, j], states[:, j - 1, -1:])
        return states.flatten(1, 2)[:, :length]


loop, doubling, two_level = by_states(step_by_step), by_states(by_doubling), by_states(TwoLevel.apply)


def mambapy(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:  # noqa: N803
    """The parallel scan of the package mambapy."""
    from mambapy.pscan import pscan

    return by_states(pscan)(u, dt, A, B, C, D)


def forward_and_backward(scan: Scan, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    y = scan(*inputs)
    weights = torch.linspace(-1, 1, y.shape[1])[:, None].expand(y.shape).contiguous()
    return (y.detach(), *torch.autograd.grad(y, inputs, weights))


def measure(chosen: dict[str, Scan], inputs: list[Tensor], repeats: int) -> dict[str, float]:
    """The fastest call of each way, in turns, the first not counted; what takes seconds runs once."""
    best = dict.fromkeys(chosen, float("inf"))
    for number in range(repeats + 1):
        for way, scan in chosen.items():
            if way in SLOW and number:
                continue
            start = time.thread_time()
            forward_and_backward(scan, inputs)
            if number or way in SLOW:
                best[way] = min(best[way], time.thread_time() - start)
    return best


def kept_bytes(scan: Scan, inputs: list[Tensor]) -> int:
    """Bytes between forward and backward, without the inputs, each storage once."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = scan(*inputs)
    for value in inputs:
        kept.pop(value.untyped_storage().data_ptr(), None)
    del y
    return sum(kept.values())


def largest_error(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> float:
    """Over the answer and all gradients, each as a share of its largest value."""
    return max(float((f - w).abs().max() / w.abs().max()) for f, w in zip(found, wanted, strict=True))


if __name__ == "__main__":
    main()
