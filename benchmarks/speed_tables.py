"""Tables of how long things take: networks, a whole process, the page in a browser."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leanseg.images.atomic import replacing
from markdown_table import markdown_table
from speed_chart import bars
from speed_runner import EXACT, PLAIN, ROOFLINE

Run = Mapping[str, Any]

LARGEST = 8
"""Libraries of the install that are named."""


def browser_page(content: Mapping[str, Any] | None) -> str:
    """How long the page takes for each image, beside Python, and whether the masks are the same."""
    if content is None:
        return "*Not run yet: `make bench NAME=browser`.*\n"
    single, threaded = content["runs"]
    head = ["image", "pixels", "seconds", "the first time", "threads allowed", "Python", "same pixels"]
    rows = []
    for row, other in zip(single["images"], threaded["images"], strict=True):
        times = [row["seconds"], row["first_seconds"], other["seconds"], row["python_seconds"]]
        size, same = " x ".join(map(str, row["pixels"])), min(row["agreement"], other["agreement"])
        rows.append([row["image"], size, *(f"{value:.2f}" for value in times), f"{same:.2%}"])
    made = f"`vessels` in {single['browser'].split()[-2]} and ONNX Runtime in Python, one thread of "
    made += f"{single['machine']['cpu']} with {single['machine']['cores']} cores: medians of {single['repeats']} "
    made += f"images after the first. The page was ready after {single['seconds_to_load']:.1f} s. Made by "
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}`benchmarks/browser.py`, commit {single['commit']}.\n"


def start_up_page(content: Mapping[str, Any] | None) -> str:
    """Where the time of one photograph goes, and how large the install is."""
    if content is None:
        return "*Not run yet: `make bench NAME=start_up`.*\n"
    parts = ("import", "load", "read", "compute", "write")
    head = ["install", "whole process", *parts, "processor", "the first time", "peak memory", "installed"]
    rows = []
    for run in content["runs"]:
        times = [run["median"][name] for name in ("whole", *parts, "processor")]
        sizes = [f"{run['median']['peak_bytes'] / 1e6:.0f} MB", f"{sum(run['bytes'].values()) / 1e6:.0f} MB"]
        rows.append([run["arm"], *(f"{t:.2f} s" for t in times), f"{run['first']['whole']:.2f} s", *sizes])
    first = content["runs"][0]
    sizes = sorted(first["bytes"].items(), key=lambda pair: -pair[1])[:LARGEST]
    named = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes)
    made = (
        f"Medians of {first['repeats']} processes on {first['machine']['cpu']}, two threads. The largest parts of the "
    )
    made += f"install: {named}. Made by `benchmarks/start_up.py`, commit {first['commit']}."
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}\n"


def scan_page(content: Mapping[str, Any] | None) -> str:
    """State-space scans, forward and backward, as multiples of the exact one."""
    if content is None:
        return "*Not run yet: `make bench NAME=selective_scan`.*\n"
    ways = list(dict.fromkeys(way for size in content["sizes"] for way in size["ways"]))
    head = ["batch, channels, states, length", *ways]
    rows = []
    for one in content["sizes"]:
        cells = []
        for way in ways:
            found = one["ways"].get(way)
            cells.append(f"{found['ratio']:.2f}<br><small>{found['kept_mb']:,.0f} MB</small>" if found else "")
        rows.append([", ".join(map(str, one["size"].values())), *cells])
    growth = content["growth"]
    lengths = f"{growth['lengths'][0]} to {growth['lengths'][-1]:,}"
    powers = ", ".join(f"{power:.2f} ({way})" for way, power in growth["exponent"].items())
    grown = f"From a length of {lengths} time grows with this power of the length: {powers}."
    made = "Time as a multiple of the exact scan's, in turns in one process on one thread, and memory kept between "
    made += "forward and backward beside the inputs. Made by `benchmarks/selective_scan.py` on "
    made += f"{content['machine']['cpu']}, commit "
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}{content['commit']}. {grown}\n"


def training_speed_page(content: Mapping[str, Any] | None) -> str:
    """Steps and pixels a second of a training."""
    if content is None:
        return "*Not run yet: `make bench NAME=training_speed`.*\n"
    (run,) = content["runs"]
    pixels, seconds = run["batch"] * run["crop"] ** 2, run["seconds"]
    head = ["training, one thread", "seconds a step", "crops a second", "megapixels a second"]
    rows = []
    shown = {
        "`leanseg train`, Mini-Net": "leanseg train",
        "a plain loop in torch, leanseg's Mini-Net": "plain loop",
        "a plain loop in torch, Mini-Net layer by layer": "plain loop, layer by layer",
    }
    for name, way in shown.items():
        step = seconds[way]
        rows.append([name, f"{step:.3f}", f"{run['batch'] / step:.1f}", f"{pixels / step / 1e6:.2f}"])
    if peer := run["peer"]:
        step, size = min(peer["seconds"]), peer["batch"] * peer["patch"][0] * peer["patch"][1]
        cells = [f"{step:.1f}", f"{peer['batch'] / step:.2f}", f"{size / step / 1e6:.3f}"]
        rows.append([f"nnU-Net, 2-D, {peer['parameters']:,} parameters", *cells])
    crops, step = seconds["leanseg: crops"], seconds["leanseg: step"]
    made = f"Mini-Net sees {run['batch']} crops of {run['crop']} pixels a step, nnU-Net its own patches. In leanseg, "
    made += f"making the crops takes {crops / (crops + step):.0%} of a step. The fastest of {run['rounds']} rounds on "
    made += f"{run['machine']['cpu']}; made by `benchmarks/training_speed.py`, commit {run['commit']}."
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}\n"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What all rounds say together.

    Args:
        best: fastest call and least processor time in milliseconds, least peak memory in bytes; by arm, threads, side.
        same: of each way to compute Mini-Net, the smallest share of pixels with the same mask.
        roofs: by threads, operations and bytes a second, and what the network needs of them for a pixel.
        machine: the processor.
        commits: that the rounds were measured with.
        rounds: how often everything was measured.
    """

    best: Mapping[tuple[str, int, int], tuple[float, float, float]]
    same: Mapping[str, float]
    roofs: Mapping[int, Mapping[str, float]]
    machine: str
    commits: Sequence[str]
    rounds: int

    def limits(self, threads: int, side: int) -> dict[str, float]:
        """Milliseconds below which the machine cannot go, by its arithmetic and by its memory."""
        roof = self.roofs[threads]
        times = {kind: 1000 * roof["operations"] * side**2 / roof[kind] for kind in ("float32", "bfloat16")}
        return {**times, "memory": 1000 * roof["bytes"] * side**2 / roof["copied"]}


def measured(runs: Sequence[Run]) -> Measured:
    """The fastest of all rounds; other load can only slow a call down."""
    best: dict[tuple[str, int, int], tuple[float, float, float]] = {}
    same: dict[str, float] = {}
    roofs: dict[int, dict[str, float]] = defaultdict(dict)
    for run in runs:
        if run["arm"] == ROOFLINE:
            for name in ("float32", "bfloat16", "copied", "operations", "bytes"):
                roofs[run["threads"]][name] = max(run[name], roofs[run["threads"]].get(name, 0.0))
        for row in run.get("rows", ()):
            key = (run["arm"], run["threads"], row["side"])
            new = (1000 * min(row["seconds"]), 1000 * min(row["processor"]), row["peak_bytes"])
            least = map(min, new, best.get(key, new))
            best[key] = (next(least), next(least), next(least))
            if "agreement" in row:
                same[run["arm"]] = min(row["agreement"], same.get(run["arm"], 1.0))
    # A round that was broken off counts for the arms that it reached, but is not a whole one.
    rounds = min(Counter((run["arm"], run["threads"]) for run in runs).values())
    commits = sorted({run["commit"] for run in runs})
    return Measured(
        best=best, same=same, roofs=roofs, machine=runs[-1]["machine"]["cpu"], commits=commits, rounds=rounds
    )


def network_pages(content: Mapping[str, Any] | None, *, picture: Path) -> dict[str, str]:
    """The network alone: a picture with one table, and one table of everything."""
    if content is None:
        none = "*Not run yet: `make bench NAME=speed`.*\n"
        return {"speed": none, "speed_all": none}
    found = measured(content["runs"])
    with replacing(picture) as part:
        part.write_text(bars(found.best, ours=set(found.same)) + "\n", encoding="utf-8")
    return {"speed": _beside(found), "speed_all": _all(found)}


def _beside(found: Measured) -> str:
    """Ratios to the plain export, agreement, and the distance from the roofline."""
    head = ["Mini-Net, 512 x 512, one thread", "ms", "of the plain export", "compute limit / time", "same masks"]
    rows = []
    limits = found.limits(1, 512)
    for arm, same in found.same.items():
        time, plain = (found.best[name, 1, 512][0] for name in (arm, PLAIN))
        share = "" if "int8" in arm else f"{limits['bfloat16' if 'bf16' in arm else 'float32'] / time:.0%}"
        rows.append([arm, f"{time:.1f}", f"{time / plain:.2f}", share, f"{same:.3%}"])
    shown = "![Time of one image](../images/speed.svg)"
    return f"{shown}\n\n{markdown_table(head, *rows, numbers=True)}\n\n{_made(found, limits)}\n"


def _made(found: Measured, limits: Mapping[str, float]) -> str:
    roof = found.roofs[1]
    full, half, copied = (roof[name] / 1e9 for name in ("float32", "bfloat16", "copied"))
    sentences = (
        f"On {found.machine}: the fastest of several calls, rounds: {found.rounds}.",
        f"One thread multiplies matrices at {full:.0f} GFLOP/s (float32) and {half:.0f} (bfloat16),",
        f"and copies {copied:.0f} GB/s, measured in the same rounds.",
        f"The folded network needs {roof['operations'] / 1000:.1f} thousand operations a pixel:",
        f"{limits['float32']:.0f} ms at that rate, {limits['bfloat16']:.0f} in bfloat16.",
        f"Every layer once through memory takes {limits['memory']:.0f} ms.",
        f"Same masks: as by `{EXACT}`, the smallest share over three sizes.",
        f"Made by `benchmarks/speed.py`, commit {', '.join(found.commits)}.",
    )
    return " ".join(sentences)


def _all(found: Measured) -> str:
    sides = sorted({side for _, _, side in found.best})
    threads = sorted({count for _, count, _ in found.best})
    head = ["network", *(f"{side}, {count} thread{'s' * (count > 1)}" for side in sides for count in threads)]
    head += [f"images a second, {sides[1]}", f"memory, {sides[-1]}", f"processor, {sides[1]}"]
    rows = []
    for arm in dict.fromkeys(arm for arm, _, _ in found.best):
        times = [found.best[arm, count, side][0] for side in sides for count in threads]
        rate = 1000 / min(found.best[arm, count, sides[1]][0] for count in threads)
        peak = found.best[arm, 1, sides[-1]][2] / 2**20
        processor = found.best[arm, threads[-1], sides[1]][1]
        cells = [*(f"{time:,.0f}" for time in times), f"{rate:.1f}", f"{peak:,.0f} MiB", f"{processor:,.0f} ms"]
        rows.append([arm, *cells])
    made = "Milliseconds of one image of so many pixels square. Memory is the peak of the whole process, libraries "
    made += f"included; processor is its time with {threads[-1]} threads, a stand-in for energy."
    return f"{markdown_table(head, *rows, numbers=True)}\n\n{made}\n"
