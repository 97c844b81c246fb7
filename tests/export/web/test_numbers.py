"""The page computes what Python computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.data import retina

from export.web.node import run
from leanseg.bundle import Bundle
from leanseg.images.clahe import Clahe
from leanseg.images.field_of_view import find_field_of_view
from leanseg.images.image import Image
from leanseg.images.preprocess import Preprocessing
from leanseg.images.resample import Resampling, resample_mask
from leanseg.images.statistics import affine, block_mean
from leanseg.images.tiles import plan_tiles
from leanseg.inference.postprocess import keep_largest, to_labels, to_probabilities
from leanseg.inference.predictor import Predictor
from leanseg.inference.windows import window_rows
from leanseg.types import Classes

ONE = Classes(names=("vessel",), values=(255,))
TWO = Classes(names=("disc", "cup"))
BOTH = Classes(names=("disc", "cup"), overlapping=True, single_object=True)


def photograph(step: int = 4) -> np.ndarray:
    """(3, H, W) of a real eye."""
    return np.ascontiguousarray(retina()[::step, ::step].transpose(2, 0, 1))


@pytest.mark.parametrize(("before", "after"), [((31, 40), (17, 64)), ((9, 9), (9, 4)), ((5, 3), (1, 30))])
def test_resampling(before: tuple[int, int], after: tuple[int, int], tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(before, np.float32)
    body = """
      const { Resampling, resampleMask } = await load("images/resample.js");
      const there = new Resampling(input.before, input.after);
      const mask = input.values.map((v) => (v > 0.5 ? 1 : 0));
      const found = there.apply(input.values);
      return [found, there.inverse.apply(found), resampleMask(mask, there)];
    """
    found, back, mask = run(body, tmp_path, before=before, after=after, values=values)
    there = Resampling(before=before, after=after)
    np.testing.assert_allclose(found.reshape(after), there(values), atol=1e-6)
    np.testing.assert_allclose(back.reshape(before), there.inverse(there(values)), atol=1e-6)
    np.testing.assert_array_equal(mask.reshape(after) > 0, resample_mask(values > 0.5, there))


@pytest.mark.parametrize("kind", ["z-score", "percentile", "none"])
def test_statistics(kind: str, tmp_path: Path) -> None:
    values = np.random.default_rng(1).gamma(2.0, 30.0, (41, 58)).astype(np.float32)
    valid = values > 5
    body = """
      const { affine, blockMean } = await load("images/statistics.js");
      return [affine(input.kind, input.values, input.valid), blockMean(input.values, 41, 58, 4)];
    """
    found, blocks = run(body, tmp_path, kind=kind, values=values, valid=valid.astype(np.uint8))
    shift, divisor = affine(kind, values[None], valid)
    assert (found["shift"], found["divisor"]) == pytest.approx((shift[0], divisor[0]), rel=1e-6)
    np.testing.assert_allclose(blocks.reshape(11, 15), block_mean(values[None], 4)[0], rtol=1e-5)


def eye(kind: str) -> np.ndarray:
    """(3, H, W): a real photograph, whole, cut off at the top, with writing, with a notch, or without a frame."""
    pixels = photograph().astype(np.float32)
    if kind == "cut":
        return pixels[:, 40:-30]
    if kind == "text":
        pixels[:, 4:10, 5:60] = 200
    if kind == "notch":
        pixels[:, 150:190, -60:] = 2
    if kind == "holes":
        pixels[:, 100:160, 100:170] = 0
    return pixels[:, 80:270, 90:280] if kind == "frameless" else pixels


@pytest.mark.parametrize("kind", ["whole", "cut", "text", "notch", "holes", "frameless"])
def test_field_of_view(kind: str, tmp_path: Path) -> None:
    pixels = eye(kind)
    body = """
      const { findFieldOfView } = await load("images/field_of_view.js");
      const planes = [0, 1, 2].map((c) => input.pixels.subarray(c * input.h * input.w, (c + 1) * input.h * input.w));
      return findFieldOfView(planes, input.h, input.w);
    """
    found = run(body, tmp_path, pixels=pixels, h=pixels.shape[1], w=pixels.shape[2])
    wanted = find_field_of_view(pixels)
    np.testing.assert_array_equal(found["mask"].reshape(wanted.mask.shape) > 0, wanted.mask)
    assert found["diameter"] == pytest.approx(wanted.diameter, abs=1e-6)
    assert found["centre"] == pytest.approx(wanted.centre, abs=1e-6)


def test_equalised_lightness(tmp_path: Path) -> None:
    pixels = photograph(8).astype(np.float32)
    size = pixels.shape[1:]
    valid = pixels[0] > 20
    body = """
      const { Clahe } = await load("images/clahe.js");
      const n = input.size[0] * input.size[1];
      const planes = [0, 1, 2].map((c) => input.pixels.subarray(c * n, (c + 1) * n));
      return new Clahe(planes, input.size, 2, input.valid).apply(planes, ...input.size);
    """
    found = np.stack(run(body, tmp_path, pixels=pixels, size=size, valid=valid.astype(np.uint8)))
    equal = Clahe.of(pixels, shape=(size[0], size[1]), limit=2.0, valid=valid)
    wanted = equal(pixels, (slice(0, size[0]), slice(0, size[1])))
    difference = np.abs(found.reshape(wanted.shape) - wanted)
    # OpenCV keeps its table of Lab colours in whole numbers.
    assert difference.mean() < 0.1 and np.quantile(difference, 0.99) < 1


@pytest.mark.parametrize(("shape", "side", "halo"), [((96, 64), 48, 7), ((40, 200), 64, 12), ((16, 16), 64, 3)])
def test_tiles(shape: tuple[int, int], side: int, halo: int, tmp_path: Path) -> None:
    body = """
      const { planTiles } = await load("images/tiles.js");
      return planTiles(input.shape, input.side, input.halo, 4);
    """
    found = run(body, tmp_path, shape=shape, side=side, halo=halo)
    rows = plan_tiles(shape, tile=(side, side), halo=halo, divisor=4)
    wanted = [
        {
            "outer": [[part.start, part.stop] for part in tile.outer],
            "core": [[part.start, part.stop] for part in tile.core],
        }
        for row in rows
        for tile in row
    ]
    assert found == wanted


@pytest.mark.parametrize("classes", [ONE, TWO, BOTH])
def test_decisions(classes: Classes, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (classes.outputs, 23, 30)).astype(np.float32)
    temperature = [0.7, 1.9] if classes.overlapping else [1.4]
    threshold = [0.4, 0.6][: len(classes.names)]
    body = """
      const { keepLargest, toLabels, toProbabilities } = await load("inference/postprocess.js");
      const maps = toProbabilities(input.logits, input.classes, input.temperature);
      const labels = toLabels(maps, input.classes, input.threshold);
      return [maps, labels, keepLargest(labels, input.classes, 23, 30)];
    """
    settings = {"classes": classes.to_dict(), "temperature": temperature, "threshold": threshold}
    maps, labels, kept = run(body, tmp_path, logits=logits, **settings)
    wanted = to_probabilities(logits.copy(), classes=classes, temperature=temperature)
    decided = to_labels(wanted, classes=classes, threshold=threshold)
    np.testing.assert_allclose(maps.reshape(wanted.shape), wanted, atol=1e-6)
    np.testing.assert_array_equal(labels.reshape(decided.shape), decided)
    np.testing.assert_array_equal(kept.reshape(decided.shape), keep_largest(decided, classes=classes))


NETWORK = """
  const { Predictor } = await load("inference/predictor.js");
  const { outputsOf } = await load("inference/postprocess.js");
  const bright = async (pixels, [, channels, height, width]) => {
    const size = height * width;
    const outputs = outputsOf(input.model.classes);
    const data = new Float32Array(outputs * size);
    for (let k = outputs > 1 ? 1 : 0; k < outputs; k++) {
      for (let i = 0; i < size; i++) {
        for (let c = 0; c < channels; c++) data[k * size + i] += (10 / channels) * pixels[c * size + i];
      }
    }
    return { data, dims: [1, outputs, height, width] };
  };
  const seen = [];
  const predictor = new Predictor(input.model, input.model.parts.map(() => bright));
  const image = { pixels: input.pixels, channels: input.shape[0], height: input.shape[1], width: input.shape[2] };
  const { probabilities, prepared } = await predictor.segment(image, (share) => seen.push(share));
  return { probabilities, seen, field: prepared.field, grid: prepared.shape };
"""

SETTINGS = {
    "fundus": Preprocessing(field_of_view="fundus", diameter=200),
    "small": Preprocessing(longest=120, normalise="percentile"),
    "window": Preprocessing(channels=("grey",), window=(40.0, 180.0), normalise="none"),
    "equalised": Preprocessing(field_of_view="fundus", clahe=2.0),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("classes", [ONE, TWO])
def test_whole_images(name: str, classes: Classes, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = make_bundle("bright", classes=classes, preprocessing=SETTINGS[name], temperature=4.0)
    image = Image(photograph(4)[:, :301])
    model = {"parts": [dataclasses.asdict(part) for part in bundle.parts], "classes": classes.to_dict()}
    model |= {"preprocessing": bundle.preprocessing.to_dict()}
    found = run(NETWORK, tmp_path, model=model, pixels=image.pixels, shape=image.pixels.shape)
    predictor = Predictor(bundle=bundle)
    wanted = predictor.predict(image, probabilities=True)
    assert wanted.probabilities is not None
    assert tuple(found["grid"]) == predictor.prepare(image).shape
    difference = np.abs(found["probabilities"].reshape(wanted.probabilities.shape) - wanted.probabilities)
    assert np.quantile(difference, 0.999) < (0.02 if name == "equalised" else 1e-4)
    assert found["seen"][-1] == 1


def test_windows(tmp_path: Path) -> None:
    values = np.random.default_rng(5).random((1, 150, 210), np.float32)
    body = """
      const { windowStarts, windowWeight } = await load("inference/windows.js");
      const [rows, columns] = [windowStarts(150, 64, 1), windowStarts(210, 64, 1)];
      const weight = windowWeight(64, 64);
      const [sums, share] = [new Float32Array(150 * 210), new Float32Array(150 * 210)];
      rows.forEach((top, n) => columns.forEach((left, m) => {
        for (let y = 0; y < 64; y++) for (let x = 0; x < 64; x++) {
          const i = (top + y) * 210 + left + x;
          sums[i] += weight[y * 64 + x] * (input.values[i] + n + 3 * m);
          share[i] += weight[y * 64 + x];
        }
      }));
      return sums.map((sum, i) => sum / share[i]);
    """
    found = run(body, tmp_path, values=values)
    rows: list[int] = []

    def answer(region: tuple[slice, ...]) -> np.ndarray:
        if region[0].start not in rows:
            rows.append(region[0].start)
            columns.clear()
        columns.append(region[1].start)
        return values[(slice(None), *region)] + len(rows) - 1 + 3 * (len(columns) - 1)

    columns: list[int] = []
    wanted = np.concatenate([maps for _, maps in window_rows(answer, (150, 210), window=64)], axis=1)
    np.testing.assert_allclose(found.reshape(150, 210), wanted[0], atol=1e-4)
