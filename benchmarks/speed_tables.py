"""Tables of how long things take: networks, a whole process, the page in a browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leanseg.images.atomic import replacing
from speed_chart import bars
from speed_runner import EXACT, PLAIN

Run = Mapping[str, Any]

LARGEST = 8
"""Libraries of the install that are named."""


def browser_page(content: Mapping[str, Any] | None) -> str:
    """How long the page takes for each image, beside Python, and whether the masks are the same."""
    if content is None:
        return "*Not run yet: `make bench NAME=browser`.*\n"
    single, threaded = content["runs"]
    head = ["image", "pixels", "seconds", "the first time", "threads allowed", "Python", "same pixels"]
    lines = [_row(head), _row(["---", *["---:"] * 6])]
    for row, other in zip(single["images"], threaded["images"], strict=True):
        times = [row["seconds"], row["first_seconds"], other["seconds"], row["python_seconds"]]
        size, same = " x ".join(map(str, row["pixels"])), min(row["agreement"], other["agreement"])
        lines.append(_row([row["image"], size, *(f"{value:.2f}" for value in times), f"{same:.2%}"]))
    made = f"`vessels` in {single['browser'].split()[-2]} and ONNX Runtime in Python, one thread of "
    made += f"{single['machine']['cpu']} with {single['machine']['cores']} cores: medians of {single['repeats']} "
    made += f"images after the first. The page was ready after {single['seconds_to_load']:.1f} s. Made by "
    return "\n".join(lines) + f"\n\n{made}`benchmarks/browser.py`, commit {single['commit']}.\n"


def start_up_page(content: Mapping[str, Any] | None) -> str:
    """Where the time of one photograph goes, and how large the install is."""
    if content is None:
        return "*Not run yet: `make bench NAME=start_up`.*\n"
    parts = ("import", "load", "read", "compute", "write")
    head = ["install", "whole process", *parts, "processor", "the first time", "peak memory", "installed"]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for run in content["runs"]:
        times = [run["median"][name] for name in ("whole", *parts, "processor")]
        sizes = [f"{run['median']['peak_bytes'] / 1e6:.0f} MB", f"{sum(run['bytes'].values()) / 1e6:.0f} MB"]
        lines.append(_row([run["arm"], *(f"{t:.2f} s" for t in times), f"{run['first']['whole']:.2f} s", *sizes]))
    first = content["runs"][0]
    sizes = sorted(first["bytes"].items(), key=lambda pair: -pair[1])[:LARGEST]
    named = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes)
    made = (
        f"Medians of {first['repeats']} processes on {first['machine']['cpu']}, two threads. The largest parts of the "
    )
    made += f"install: {named}. Made by `benchmarks/start_up.py`, commit {first['commit']}."
    return "\n".join(lines) + f"\n\n{made}\n"


def network_pages(content: Mapping[str, Any] | None, *, picture: Path) -> dict[str, str]:
    """The network alone: a picture with one table, and one table of everything."""
    if content is None:
        none = "*Not run yet: `make bench NAME=speed`.*\n"
        return {"speed": none, "speed_all": none}
    (run,) = content["runs"]
    milliseconds = {(r["arm"], r["threads"], r["side"]): 1000 * min(r["seconds"]) for r in run["rows"]}
    with replacing(picture) as part:
        part.write_text(bars(run, milliseconds) + "\n", encoding="utf-8")
    return {"speed": _beside(run, milliseconds), "speed_all": _all(run, milliseconds)}


def _beside(run: Run, milliseconds: Mapping[tuple[str, int, int], float]) -> str:
    """Ratios to the plain export, agreement, and the distance from the roofline."""
    head = ["Mini-Net, 512 x 512, one thread", "ms", "of the plain export", "of the compute limit", "same masks"]
    lines = [_row(head), _row(["---", *["---:"] * 4])]
    limits = limits_of(run, threads=1, side=512)
    for arm, same in run["agreement"].items():
        time = milliseconds[arm, 1, 512]
        limit = limits["bfloat16" if "bf16" in arm else "float32"]
        share = "" if "int8" in arm else f"{limit / time:.0%}"
        lines.append(_row([arm, f"{time:.1f}", f"{time / milliseconds[PLAIN, 1, 512]:.2f}", share, f"{same:.3%}"]))
    return "\n".join([*lines, "", _made(run, limits)]) + "\n"


def limits_of(run: Run, *, threads: int, side: int) -> dict[str, float]:
    """Milliseconds below which the machine cannot go, by its arithmetic and by its memory."""
    (roof,) = (one for one in run["roofline"] if one["threads"] == threads)
    limits = {kind: 1000 * run["work"]["operations"] * side**2 / roof[kind] for kind in ("float32", "bfloat16")}
    return {**limits, "memory": 1000 * run["work"]["bytes"] * side**2 / roof["bytes"]}


def _made(run: Run, limits: Mapping[str, float]) -> str:
    (roof,) = (one for one in run["roofline"] if one["threads"] == 1)
    full, half, copied = (roof[name] / 1e9 for name in ("float32", "bfloat16", "bytes"))
    sentences = (
        f"On {run['machine']['cpu']}: the fastest of several calls in {run['rounds']} rounds.",
        f"One thread multiplies matrices at {full:.0f} GFLOP/s (float32) and {half:.0f} (bfloat16),",
        f"and copies {copied:.0f} GB/s, all measured in the same run.",
        f"The folded network needs {run['work']['operations'] / 1000:.1f} thousand operations a pixel:",
        f"{limits['float32']:.0f} ms at that rate, {limits['bfloat16']:.0f} in bfloat16.",
        f"Every layer once through memory takes {limits['memory']:.0f} ms.",
        f"Same masks: as by `{EXACT}`, the smallest share over three sizes.",
        f"Made by `benchmarks/speed.py`, commit {run['commit']}.",
    )
    return " ".join(sentences)


def _all(run: Run, milliseconds: Mapping[tuple[str, int, int], float]) -> str:
    sides = sorted({side for _, _, side in milliseconds})
    threads = sorted({count for _, count, _ in milliseconds})
    head = ["network", *(f"{side}, {count} thread{'s' * (count > 1)}" for side in sides for count in threads)]
    head += [f"images a second, {sides[1]}", f"memory, {sides[-1]}", f"processor, {sides[1]}"]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for arm in dict.fromkeys(row["arm"] for row in run["rows"]):
        times = [milliseconds[arm, count, side] for side in sides for count in threads]
        rate = 1000 / min(milliseconds[arm, count, sides[1]] for count in threads)
        rows = {(row["threads"], row["side"]): row for row in run["rows"] if row["arm"] == arm}
        peak = min(rows[1, sides[-1]]["peaks"]) / 2**20
        processor = 1000 * min(rows[threads[-1], sides[1]]["processor"])
        cells = [*(f"{time:,.0f}" for time in times), f"{rate:.1f}", f"{peak:,.0f} MiB", f"{processor:,.0f} ms"]
        lines.append(_row([arm, *cells]))
    made = "Milliseconds of one image of so many pixels square. Memory is the peak of the whole process, libraries "
    made += f"included; processor is its time with {threads[-1]} threads, a stand-in for energy."
    return "\n".join([*lines, "", made]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
