"""Time surface distances beside MONAI's, on the same masks and in one run.

    python benchmarks/metrics_speed.py --peers PEERS/bin/python

PEERS is a virtual environment with MONAI; its Python runs as a second process. Rounds of both sides take turns, so that
other load on the machine meets both. A busy machine starves a second torch thread (MONAI then seems 30 to 200 times
slower), therefore torch gets as many threads as --threads says, by default one, as we use. The ratio of the fastest
calls is the one to quote: load can only make a call slower. Writes benchmarks/results/metrics_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from leanseg.metrics.surface import surface_distances

Pair = tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[float, ...]]
Result = dict[str, dict[str, Any]]

HERE = Path(__file__).resolve().parent
TOLERANCE = 1.0

PEER = """
import json, sys, time, warnings
import numpy as np, torch, monai
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
warnings.simplefilter("ignore")
pairs, out, repeats, tolerance = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(int(sys.argv[5]))

def timed(work):
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - start)
    return value, seconds

results = {}
for name in sorted({key.split("/")[0] for key in pairs.files}):
    p, t = (torch.from_numpy(pairs[f"{name}/{i}"])[None, None] for i in (0, 1))
    spacing = pairs[f"{name}/2"].tolist()
    hd95 = lambda: float(compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=spacing))
    asd = lambda: float(compute_average_surface_distance(p, t, True, symmetric=True, spacing=spacing))
    nsd = lambda: float(compute_surface_dice(p, t, [tolerance], include_background=True, spacing=spacing))
    value, seconds = timed(hd95)
    values, all_seconds = timed(lambda: [hd95(), asd(), nsd()])
    results[name] = {"values": values, "hd95": seconds, "all": all_seconds}
names = {"python": sys.version.split()[0], "monai": monai.__version__, "torch": torch.__version__}
json.dump({"results": results, "versions": names, "threads": torch.get_num_threads()}, open(out, "w"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="the Python of the environment with MONAI")
    parser.add_argument("--rounds", type=int, default=3, help="how often both sides take turns")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each case in a round")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    chosen = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    pairs = make_pairs()
    ours: list[Result] = []
    peers: list[dict[str, Any]] = []
    for _ in range(chosen.rounds):
        ours.append(time_ours(pairs, chosen.repeats))
        peers.append(time_peer(pairs, chosen.peers, chosen.repeats, chosen.threads))
    cases = {name: compare(name, pair, ours, [p["results"] for p in peers]) for name, pair in pairs.items()}
    record = {
        "commit": commit(),
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            "leanseg": {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "scipy")}}
            | {"opencv": cv2.__version__},
            "monai": peers[0]["versions"],
        },
        "threads": {"leanseg": 1, "torch": peers[0]["threads"]},
        "load_at_start": load,
        "rounds": chosen.rounds,
        "repeats": chosen.repeats,
        "cases": cases,
    }
    write_json(HERE / "results" / "metrics_speed.json", record)
    for name, case in cases.items():
        ratios = {key: round(part["ratio"], 1) for key, part in case.items() if isinstance(part, dict)}
        print(f"{name}: {ratios}, equal values: {case['equal']}")


def make_pairs() -> dict[str, Pair]:
    """Masks as they occur: trees of vessels, one blob, an organ; each with a prediction that is a little off."""
    tree, blob, organ = vessels(512), wavy_ball((512, 512), (150, 120)), wavy_ball((128, 128, 128), (40, 48, 36))
    small = wavy_ball((128, 128, 128), (9, 8, 10))
    return {
        "vessels 512x512": (disturb(tree, 1.5), tree, (1.0, 1.0)),
        "blob 512x512": (disturb(blob, 6.0), blob, (1.0, 1.0)),
        "blob 512x512 anisotropic": (disturb(blob, 6.0), blob, (0.5, 0.8)),
        "organ 128x128x128": (disturb(organ, 3.0), organ, (1.0, 1.0, 1.0)),
        "organ 128x128x128 anisotropic": (disturb(organ, 3.0), organ, (2.5, 0.8, 0.8)),
        "small organ 128x128x128": (disturb(small, 2.0), small, (1.0, 1.0, 1.0)),
    }


def vessels(size: int) -> NDArray[np.bool_]:
    rng, picture = np.random.default_rng(0), np.zeros((size, size), np.uint8)
    for _ in range(25):
        turns = rng.uniform(0, 7) + rng.normal(0, 0.25, 40).cumsum()
        path = rng.uniform(0, size, 2) + 8 * np.stack([np.cos(turns), np.sin(turns)], axis=1).cumsum(axis=0)
        cv2.polylines(picture, [path.astype(np.int32)], False, 1, int(rng.integers(1, 9)))
    return picture > 0


def wavy_ball(shape: tuple[int, ...], radii: tuple[int, ...]) -> NDArray[np.bool_]:
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    distance = sum(((g - n / 2) / r) ** 2 for g, n, r in zip(grid, shape, radii, strict=True)) ** 0.5
    waves = gaussian_filter(np.random.default_rng(1).normal(size=shape), shape[0] / 20)
    return np.asarray(distance + 0.1 * waves / waves.std() < 1)


def disturb(mask: NDArray[np.bool_], size: float) -> NDArray[np.bool_]:
    """Move the border by smooth noise and drop some islands in, far from the structure."""
    rng = np.random.default_rng(2)
    noise = gaussian_filter(rng.normal(size=mask.shape), size)
    moved = gaussian_filter(mask.astype(np.float64), size) + 0.15 * noise / noise.std() > 0.5
    for corner in rng.integers(0, np.array(mask.shape) - 4, size=(5, mask.ndim)):
        moved[tuple(slice(c, c + 4) for c in corner)] = True
    return moved


def time_ours(pairs: dict[str, Pair], repeats: int) -> Result:
    results = {}
    for name, (p, t, spacing) in pairs.items():

        def every(p: Any = p, t: Any = t, spacing: Any = spacing) -> list[float | None]:
            found = surface_distances(p, t, spacing=spacing)
            return [found.hd95, found.average, found.surface_dice(TOLERANCE)]

        _, seconds = timed(lambda p=p, t=t, spacing=spacing: surface_distances(p, t, spacing=spacing).hd95, repeats)
        values, all_seconds = timed(every, repeats)
        results[name] = {"values": values, "hd95": seconds, "all": all_seconds}
    return results


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, list[float]]:
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - start)
    return value, seconds


def time_peer(pairs: dict[str, Pair], python: Path, repeats: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "pairs.npz", Path(folder) / "answer.json"
        np.savez(
            given, **{f"{name}/{i}": np.asarray(part) for name, pair in pairs.items() for i, part in enumerate(pair)}
        )
        call = [str(python), "-c", PEER, str(given), str(answer), str(repeats), str(TOLERANCE), str(threads)]
        subprocess.run(call, check=True)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def compare(name: str, pair: Pair, ours: list[Result], peers: list[Result]) -> dict[str, Any]:
    def milliseconds(side: list[Result], what: str) -> list[float]:
        return [1000 * second for result in side for second in result[name][what]]

    mine, theirs = ours[0][name]["values"], peers[0][name]["values"]
    case: dict[str, Any] = {"shape": pair[1].shape, "spacing_mm": pair[2]}
    for what in ("hd95", "all"):
        us, them = milliseconds(ours, what), milliseconds(peers, what)
        for way, of in (("median", statistics.median), ("fastest", min)):
            case[f"{what}_{way}"] = {"leanseg_ms": of(us), "monai_ms": of(them), "ratio": of(them) / of(us)}
    case["values_leanseg"], case["values_monai"] = mine, theirs
    case["equal"] = bool(np.allclose(mine, theirs, rtol=1e-5))
    return case


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", str(HERE.parent / "src/leanseg/metrics"), __file__)
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def write_json(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    part.replace(path)


if __name__ == "__main__":
    main()
