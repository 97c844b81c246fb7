"""Mini-Net on DRIVE: the official split, in the field of view, at native resolution.

    python benchmarks/mini_net_drive.py --download DIR --work DIR

The recipe was developed on the training images alone; the test images are opened by the last step of each run.
"""

from mini_net_arms import DECISIVE, ONCE, SHORTENED, compare

if __name__ == "__main__":
    compare(name="mini_net_drive", public="drive", groups=[DECISIVE, ONCE, SHORTENED])
