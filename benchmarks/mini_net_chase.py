"""Mini-Net on CHASE_DB1: the first 20 images against the last 8, in the field of view, at native resolution.

    python benchmarks/mini_net_chase.py --download DIR --work DIR

The recipe was developed on the training images alone; the test images are opened by the last step of each run.
The parts of the network and of the loss are taken apart on DRIVE alone (``mini_net_drive.py``).
"""

from mini_net_arms import DECISIVE, compare

if __name__ == "__main__":
    compare(name="mini_net_chase", public="chase-db1", groups=[DECISIVE])
