/** What an image looks like to a network, in about fifteen numbers: brightness, contrast, fine detail, noise, size. */

import { median, percentile, roundHalfEven } from "../images/numbers.js";

/** Of the windows that are looked at, in pixels of the network's grid; at most three along each axis. */
const SIDE = 192;
/** Standard deviations of the blurs, in pixels, between which detail is measured. */
const SCALES = [0.7, 1.4, 2.8];
/** Pixels from which quantiles are taken. */
const ENOUGH = 30000;
const TINY = 1e-6;

/** Describe a prepared image, on scales on which images of one kind differ evenly. */
export function appearance(prepared) {
  const looks = windows(prepared.shape).map((window) => look(prepared, window));
  const shares = looks.map(({ valid }) => valid.reduce((sum, v) => sum + v, 0) / valid.length);
  const seen = looks.filter((_, n) => shares[n] > 0);
  const levels = prepared.affines.flatMap(({ shift, divisor }, c) => {
    const { mean, deviation } = spread(seen.map(({ channels, valid }) => channels[c].filter((_, i) => valid[i])));
    return [mean * divisor + shift, Math.log(deviation * divisor + TINY)];
  });
  const grey = seen.map(({ channels, valid, height, width }) => ({ values: average(channels), valid, height, width }));
  const size = Math.log(prepared.shape[0] * prepared.shape[1]) / 2;
  const share = shares.reduce((a, b) => a + b) / shares.length;
  return [...levels, ...shape(grey), ...texture(grey), share, size];
}

/** Top left corners and sizes of evenly placed windows. */
function windows(size) {
  const [rows, columns] = size.map((length) => {
    const side = Math.min(SIDE, length);
    const count = Math.min(3, Math.ceil(length / side));
    if (count === 1) return [[Math.floor((length - side) / 2), side]];
    return Array.from({ length: count }, (_, n) => [roundHalfEven((n * (length - side)) / (count - 1)), side]);
  });
  return rows.flatMap(([top, height]) => columns.map(([left, width]) => ({ top, left, height, width })));
}

function look(prepared, { top, left, height, width }) {
  const cut = (plane) => {
    const result = new plane.constructor(height * width);
    for (let y = 0; y < height; y++) {
      const start = (top + y) * prepared.shape[1] + left;
      result.set(plane.subarray(start, start + width), y * width);
    }
    return result;
  };
  return { channels: prepared.pixels.map(cut), valid: cut(prepared.valid), height, width };
}

/** Mean and standard deviation of values that lie in several arrays. */
function spread(arrays) {
  const count = arrays.reduce((sum, values) => sum + values.length, 0);
  const total = (of) => arrays.reduce((sum, values) => values.reduce((all, value) => all + of(value), sum), 0);
  const mean = total((value) => value) / count;
  return { mean, deviation: Math.sqrt(total((value) => (value - mean) ** 2) / count) };
}

function average(channels) {
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

/** Of the distribution of grey values: its asymmetry and the length of its tails. */
function shape(grey) {
  const all = grey.flatMap(({ values, valid }) => Array.from(values.filter((_, i) => valid[i])));
  const step = Math.max(1, Math.floor(all.length / ENOUGH));
  const some = all.filter((_, i) => i % step === 0);
  const [least, low, middle, high, most] = [1, 10, 50, 90, 99].map((share) => percentile(some, share));
  const body = Math.max(high - low, TINY);
  return [(high + low - 2 * middle) / body, Math.log(Math.max(most - least, TINY) / body)];
}

/** Strength of detail between neighbouring blurs beside all contrast, and of the finest where there are no edges. */
function texture(grey) {
  const sums = SCALES.map(() => 0);
  const [finest, every] = [[], []];
  for (const { values, valid, height, width } of grey) {
    const inner = withoutEdge(valid, height, width);
    const inside = inner.includes(1) ? inner : valid;
    const stack = [values, ...SCALES.map((scale) => blurred(values, height, width, scale))];
    SCALES.forEach((_, n) => {
      for (let i = 0; i < values.length; i++) {
        if (!inside[i]) continue;
        const band = Math.fround(stack[n][i] - stack[n + 1][i]);
        sums[n] += band * band;
        if (n === 0) finest.push(Math.abs(band));
      }
    });
    every.push(values.filter((_, i) => inside[i]));
  }
  const whole = Math.log(spread(every).deviation + TINY);
  const strength = sums.map((sum) => Math.log(Math.sqrt(sum / finest.length) + TINY));
  const step = Math.max(1, Math.floor(finest.length / ENOUGH));
  const smooth = Math.log(median(finest.filter((_, i) => i % step === 0)) + TINY);
  return [...strength.map((value) => value - whole), smooth - strength[0]];
}

/** Erode by a square of 5 pixels; the outermost pixels go on outside. */
function withoutEdge(mask, height, width) {
  const least = (values, lines, size, stride, step) => {
    const result = new Uint8Array(values.length);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < size; i++) {
        let all = 1;
        for (let n = i - 2; n <= i + 2; n++) all &= values[line * stride + step * Math.min(Math.max(n, 0), size - 1)];
        result[line * stride + i * step] = all;
      }
    }
    return result;
  };
  return least(least(mask, height, width, width, 1), width, height, 1, width);
}

/** Gaussian blur as OpenCV does it: four standard deviations on either side, mirrored at the edge. */
function blurred(values, height, width, scale) {
  const reach = Math.floor((roundHalfEven(scale * 8 + 1) | 1) / 2);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * scale * scale)));
  const sum = kernel.reduce((a, b) => a + b);
  const weights = kernel.map((weight) => weight / sum);
  const rows = alongAxis(values, weights, height, width, width, 1);
  return alongAxis(rows, weights, width, height, 1, width);
}

/** Weighted sums along one axis: `lines` of `size` pixels that are `step` apart, each `stride` from the next. */
function alongAxis(values, weights, lines, size, stride, step) {
  const result = new Float32Array(values.length);
  const reach = (weights.length - 1) / 2;
  const place = Int32Array.from({ length: size + 2 * reach }, (_, i) => step * mirrored(i - reach, size));
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let n = 0; n < weights.length; n++) sum += weights[n] * values[line * stride + place[i + n]];
      result[line * stride + i * step] = sum;
    }
  }
  return result;
}

function mirrored(place, size) {
  if (size === 1) return 0;
  const rest = Math.abs(place) % (2 * (size - 1));
  return rest < size ? rest : 2 * (size - 1) - rest;
}
