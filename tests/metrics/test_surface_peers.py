"""Surface scores beside MONAI 1.6.1 and DeepMind's surface-distance 0.1.

The stored values were made by the two functions ``monai_values`` and ``deepmind_values`` below; where the packages are
installed the same functions run again.
"""

from __future__ import annotations

import numpy as np
import pytest

from leanseg.metrics.surface import surface_distances

Pair = tuple[np.ndarray, np.ndarray, tuple[float, ...]]


def ellipsoid(shape: tuple[int, ...], centre: tuple[int, ...], radii: tuple[int, ...]) -> np.ndarray:
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


DISCS = ellipsoid((40, 48), (20, 20), (12, 9)), ellipsoid((40, 48), (18, 24), (10, 13))
PAIRS: dict[str, Pair] = {
    "discs": (*DISCS, (1.0, 1.0)),
    "anisotropic": (*DISCS, (0.5, 2.0)),
    "image border": (ellipsoid((40, 48), (2, 40), (12, 12)), ellipsoid((40, 48), (0, 44), (9, 14)), (0.5, 0.5)),
    "volume": (
        ellipsoid((16, 30, 28), (8, 14, 13), (5, 10, 9)),
        ellipsoid((16, 30, 28), (7, 16, 15), (6, 9, 11)),
        (2.5, 0.8, 0.8),
    ),
}
# HD95, Hausdorff distance, average symmetric surface distance, surface Dice at 1 mm
MONAI = {
    "discs": (7.565423011779785, 8.246211051940918, 2.732781171798706, 0.4000000059604645),
    "anisotropic": (14.06944751739502, 16.031219482421875, 2.882678985595703, 0.4583333432674408),
    "image border": (2.5995850563049316, 3.0, 0.8720454573631287, 0.6326530575752258),
    "volume": (4.7169904708862305, 5.546169757843018, 1.6712770462036133, 0.4057970941066742),
}
# HD95, Hausdorff distance, mean of both directed averages, surface Dice at 1 mm
DEEPMIND = {
    "discs": (7.615773105863909, 8.246211251235321, 2.5565689410390844, 0.42759173090469466),
    "anisotropic": (14.0089257261219, 16.0312195418814, 2.3945903177235808, 0.48021152878727685),
    "image border": (2.5495097567963922, 3.0, 0.9014479883484642, 0.5991637793001318),
    "volume": (4.060788100849391, 5.546169849544819, 1.3218826648456021, 0.4878382416964561),
}


def our_values(pair: Pair) -> tuple[float | None, ...]:
    found = surface_distances(pair[0], pair[1], spacing=pair[2])
    return found.hd95, found.hausdorff(), found.average, found.surface_dice(1.0)


def monai_values(pair: Pair) -> tuple[float, ...]:
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    p, t = (torch.from_numpy(mask)[None, None].float() for mask in pair[:2])
    hausdorff, mean = metrics.compute_hausdorff_distance, metrics.compute_average_surface_distance
    dice = metrics.compute_surface_dice(p, t, class_thresholds=[1.0], include_background=True, spacing=pair[2])
    farthest = [hausdorff(p, t, percentile=q, spacing=pair[2]) for q in (95, 100)]
    return tuple(float(v) for v in (*farthest, mean(p, t, symmetric=True, spacing=pair[2]), dice))


def deepmind_values(pair: Pair) -> tuple[float, ...]:
    peer = pytest.importorskip("surface_distance")
    found = peer.compute_surface_distances(pair[1], pair[0], pair[2])
    farthest = [peer.compute_robust_hausdorff(found, q) for q in (95.0, 100.0)]
    mean = float(np.mean(peer.compute_average_surface_distance(found)))
    return (*farthest, mean, peer.compute_surface_dice_at_tolerance(found, 1.0))


@pytest.mark.parametrize("name", PAIRS)
def test_equal_to_monai(name: str) -> None:
    assert our_values(PAIRS[name]) == pytest.approx(MONAI[name], rel=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_largest_distance_is_deepminds_and_the_rest_within_a_voxel(name: str) -> None:
    ours, voxel = our_values(PAIRS[name]), max(PAIRS[name][2])
    assert ours[1] == pytest.approx(DEEPMIND[name][1], abs=1e-9)
    assert ours[0] == pytest.approx(DEEPMIND[name][0], abs=voxel)
    assert ours[2] == pytest.approx(DEEPMIND[name][2], abs=voxel)
    assert ours[3] == pytest.approx(DEEPMIND[name][3], abs=0.1)


@pytest.mark.parametrize("name", PAIRS)
def test_stored_values_of_monai_still_hold(name: str) -> None:
    assert monai_values(PAIRS[name]) == pytest.approx(MONAI[name], rel=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_stored_values_of_deepmind_still_hold(name: str) -> None:
    assert deepmind_values(PAIRS[name]) == pytest.approx(DEEPMIND[name], rel=1e-9)


# MONAI 1.6.1: HD95 of (discs, missed), their mean and the number of images that it counts
MONAI_MISSED = (7.565423011779785, float("nan")), 7.565423011779785, 1


def test_a_missed_structure_counts_here_and_is_dropped_by_monai() -> None:
    each, mean, counted = MONAI_MISSED
    missed = surface_distances(np.zeros_like(DISCS[1]), DISCS[1])
    assert np.isnan(each[1]) and counted == 1 and mean == each[0]
    assert missed.hd95 == missed.diagonal == pytest.approx(np.hypot(40, 48))
    assert np.mean([each[0], missed.hd95]) > 4 * mean


def test_monai_still_drops_a_missed_structure() -> None:
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    p = torch.from_numpy(np.stack([DISCS[0], np.zeros_like(DISCS[0])]))[:, None].float()
    t = torch.from_numpy(np.stack([DISCS[1]] * 2))[:, None].float()
    metric = metrics.HausdorffDistanceMetric(include_background=True, percentile=95, get_not_nans=True)
    each = metric(p, t).ravel().tolist()
    mean, counted = (float(v) for v in metric.aggregate())
    assert each == pytest.approx(MONAI_MISSED[0], nan_ok=True)
    assert (mean, counted) == pytest.approx(MONAI_MISSED[1:])
