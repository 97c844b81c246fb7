"""The page trusts a mask as far as Python does, and scores it as Python does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import retina

from export.web.node import run
from leanseg.bundle import read_bundle
from leanseg.images.image import Image
from leanseg.inference.merge import merge
from leanseg.inference.tally import Tally
from leanseg.metrics.overlap import Confusion
from leanseg.quality.appearance import appearance
from leanseg.quality.expected_dice import ExpectedDice
from leanseg.quality.likeness import Likeness
from leanseg.types import Classes

VESSELS = read_bundle("vessels")
TWO = Classes(names=("disc", "cup"), values=(128, 255))
BOTH = Classes(names=("disc", "cup"), values=(255, 255), overlapping=True)


@pytest.mark.parametrize("step", [2, 9])
def test_likeness(step: int, tmp_path: Path) -> None:
    pixels = np.ascontiguousarray(retina()[::step, ::step].transpose(2, 0, 1))
    if step == 9:
        pixels = 255 - pixels
    body = """
      const { prepare } = await load("images/preprocess.js");
      const { appearance } = await load("quality/appearance.js");
      const { likeness } = await load("quality/likeness.js");
      const [channels, height, width] = input.shape;
      const looks = appearance(prepare({ pixels: input.pixels, channels, height, width }, input.settings));
      return [looks, likeness(input.reference, looks)];
    """
    settings = VESSELS.preprocessing.to_dict()
    looks, found = run(
        body, tmp_path, pixels=pixels, shape=pixels.shape, settings=settings, reference=dict(VESSELS.reference)
    )
    wanted = appearance(VESSELS.preprocessing.prepare(Image(pixels)))
    np.testing.assert_allclose(looks, wanted, rtol=1e-3, atol=2e-3)
    unlike, reasons = Likeness.from_dict(VESSELS.reference)(wanted)
    assert (found["unlike"], tuple(found["reasons"])) == (unlike, reasons)
    assert unlike is (step == 9)


def test_expected_dice(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    probability = rng.beta(0.4, 1.5, (60, 70)).astype(np.float32)
    mask = probability > 0.4
    body = """
      const { traitsOf } = await load("quality/traits.js");
      const { expected } = await load("quality/appraise.js");
      const traits = traitsOf(input.mask, input.probability, 60, 70);
      return [expected(input.fit, traits, 60 * 70), expected(input.fit, { ...traits, area: 0 }, 60 * 70)];
    """
    fit = dict(VESSELS.quality["vessel"])
    found, nothing = run(body, tmp_path, probability=probability, mask=mask.astype(np.uint8), fit=fit)
    tally = Tally()
    tally.add(mask, probability)
    wanted = ExpectedDice.from_dict(fit)(tally.traits(field=60 * 70))
    assert nothing is None
    assert (found["value"], found["low"], found["high"]) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_merged_classes(tmp_path: Path) -> None:
    maps = np.random.default_rng(4).random((2, 20, 30), np.float32)
    body = """
      const { merged, toLabels } = await load("inference/postprocess.js");
      return merged(toLabels(input.maps, input.classes, input.limits), input.maps, input.classes, input.limits);
    """
    found = run(body, tmp_path, maps=maps, classes=BOTH.to_dict(), limits=(0.4, 0.7))
    np.testing.assert_array_equal(found.reshape(20, 30), merge(maps, (0.4, 0.7)))


COMPARE = """
  const { compare, encode } = await load("page/compare.js");
  const [height, width] = input.shape;
  try {
    const truth = encode({ values: input.values, height, width }, input.classes, { height: 20, width: 30 }, input.only);
    return { note: truth.note, ...compare(input.labels, truth, input.classes, input.only) };
  } catch (error) {
    return { message: error.message };
  }
"""


def compared(folder: Path, values: np.ndarray, labels: np.ndarray, classes: Classes, **options: Any) -> Any:
    given = {"shape": values.shape, "only": None, "classes": classes.to_dict()} | options
    return run(COMPARE, folder, values=values, labels=labels, **given)


def test_scores_of_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, (20, 30), np.uint8)
    labels = rng.integers(0, 3, (20, 30), np.uint8)
    found = compared(tmp_path, TWO.decode(truth), labels, TWO)
    for number, counts in enumerate(found["counts"], start=1):
        yes, said = truth == number, labels == number
        wanted = Confusion(tp=int((yes & said).sum()), fp=int((said & ~yes).sum()), fn=int((yes & ~said).sum()))
        assert (counts["correct"], counts["extra"], counts["missed"]) == (wanted.tp, wanted.fp, wanted.fn)
        assert counts["dice"] == pytest.approx(wanted.dice)
    assert np.bincount(found["kinds"], minlength=5).tolist() == [
        ((truth == 0) & (labels == 0)).sum(),
        ((truth > 0) & (labels == truth)).sum(),
        ((truth == 0) & (labels > 0)).sum(),
        ((truth > 0) & (labels == 0)).sum(),
        ((truth > 0) & (labels > 0) & (labels != truth)).sum(),
    ]


def test_one_of_several_overlapping_classes(tmp_path: Path) -> None:
    labels = np.random.default_rng(6).integers(0, 2, (2, 20, 30), np.uint8)
    found = compared(tmp_path, labels[1] * 255, labels, BOTH, only=1)
    assert found["counts"] == [
        {"index": 1, "correct": int(labels[1].sum()), "extra": 0, "missed": 0, "dice": pytest.approx(1.0)}
    ]


@pytest.mark.parametrize(
    ("values", "shape", "wanted"),
    [
        ([0, 1], (20, 30), "1 was taken as the class"),
        ([0, 128, 255], (20, 30), "found 3 values: 0, 128, 255"),
        (list(range(30)), (20, 30), "JPEG files blur"),
        ([0, 255], (30, 20), "The mask has 20 x 30 pixels, the image 30 x 20"),
    ],
)
def test_what_a_mask_may_hold(values: list[int], shape: tuple[int, int], wanted: str, tmp_path: Path) -> None:
    one = Classes(names=("vessel",), values=(255,))
    mask = np.resize(np.array(values, np.uint8), shape)
    found = compared(tmp_path, mask, np.zeros((20, 30), np.uint8), one)
    assert wanted in found.get("message", found.get("note"))


def test_nothing_there_and_nothing_found(tmp_path: Path) -> None:
    one = Classes(names=("vessel",), values=(255,))
    empty = np.zeros((20, 30), np.uint8)
    [counts] = compared(tmp_path, empty, empty, one)["counts"]
    assert counts["dice"] is None
