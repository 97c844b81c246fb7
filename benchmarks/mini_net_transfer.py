"""Mini-Net trained on DRIVE, used as it is on three other cameras, with and without bringing them to DRIVE's scale.

    python benchmarks/mini_net_transfer.py --drive DIR --chase DIR --hrf DIR --fives DIR --work DIR

``--work`` is that of ``mini_net_drive.py``, whose models are used; a missing one is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import Trial, run_arms
from leanseg.data.public import public_set
from mini_net_arms import DECISIVE

DIAMETER = 540
"""Of the field of view of DRIVE's photographs in pixels."""

SETS = {"chase": "chase-db1", "hrf": "hrf", "fives": "fives"}
COMPARED = ("Mini-Net A", "U-Net, matched")


def main() -> None:
    """Prepare the sets and score every seed on all their images."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("drive", *SETS):
        parser.add_argument(f"--{name}", type=Path, required=True, help="its downloaded folder")
    parser.add_argument("--work", type=Path, default=Path("runs/mini_net_drive"))
    given = parser.parse_args()
    trials = []
    for name, public in SETS.items():
        data = given.work / name
        if not data.exists():
            public_set(public).convert(getattr(given, name), data)
        settings = {"data": data, "split": "all", "flips": True, "threshold": 0.5}
        scaled = {"diameter": DIAMETER}
        trials += [Trial(name=f"{public}, scaled", preprocessing=scaled, **settings), Trial(name=public, **settings)]
    data = given.work / "data"
    if not data.exists():
        public_set("drive").convert(given.drive, data)
    arms = [arm for arm in DECISIVE if arm.name in COMPARED]
    run_arms("mini_net_transfer", data, arms, trials, work=given.work)


if __name__ == "__main__":
    main()
