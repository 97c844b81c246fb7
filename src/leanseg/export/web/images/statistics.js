/** The low-resolution pass: a small picture of the whole image, from which field of view and statistics are taken. */

import { divideUp, moments, percentile } from "./numbers.js";

/** The small picture's long side lies between this and twice this many pixels (or is the image's own, if smaller). */
const LONG_SIDE = 512;

/** Side in pixels of the blocks over which an image of this size is averaged. */
export const blockOf = (height, width) => Math.max(1, Math.floor(Math.max(height, width) / LONG_SIDE));

/** Mean of every block of a plane (H, W); the last blocks may be partial. */
export function blockMean(values, height, width, block) {
  if (block === 1) return new Float32Array(values);
  const [rows, columns] = [divideUp(height, block), divideUp(width, block)];
  const result = new Float32Array(rows * columns);
  const sums = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    const bottom = Math.min((i + 1) * block, height);
    sums.fill(0);
    for (let y = i * block; y < bottom; y++) {
      for (let x = 0, start = y * width; x < width; x++) sums[(x / block) | 0] += values[start + x];
    }
    for (let j = 0; j < columns; j++) {
      const across = Math.min((j + 1) * block, width) - j * block;
      result[i * columns + j] = sums[j] / (across * (bottom - i * block));
    }
  }
  return result;
}

/**
 * What to subtract from a channel and what to divide it by.
 *
 * @param {string} kind "z-score" (mean 0, deviation 1), "percentile" (1st and 99th become 0 and 1) or "none"
 * @param {Float32Array} values the small picture's channel
 * @param {Uint8Array} valid where pixels count
 */
export function affine(kind, values, valid) {
  if (kind === "none") return { shift: 0, divisor: 1 };
  const [shift, spread] = kind === "z-score" ? zScore(values, valid) : percentiles(values, valid);
  // A constant channel carries no information: it becomes 0 everywhere instead of rounding noise blown up.
  const flat = spread <= 1e-6 * Math.max(1, Math.abs(shift));
  return { shift: Math.fround(shift), divisor: flat ? 1 : Math.fround(spread) };
}

function zScore(values, valid) {
  const { mean, deviation } = moments(values, valid);
  return [mean, deviation];
}

function percentiles(values, valid) {
  const counting = values.filter((_, i) => valid[i]);
  const low = percentile(counting, 1);
  return [low, percentile(counting, 99) - low];
}
