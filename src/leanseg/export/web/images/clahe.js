/** Contrast-limited adaptive histogram equalisation of lightness, learnt from a small picture of the whole image. */

import { roundHalfEven } from "./numbers.js";

const TILES = 8;
const LEVELS = 256;

/** XYZ of the reference white D65 and the matrix from linear sRGB, as OpenCV has them. */
const WHITE = [0.950456, 1, 1.088754];
const TO_XYZ = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
];
const FROM_XYZ = [
  [3.240479, -1.53715, -0.498535],
  [-0.969256, 1.875991, 0.041556],
  [0.055648, -0.204043, 1.057311],
];

/** Steps of OpenCV's table of Lab colours, and of what it looks up in it. */
const STEPS = 32;
const INPUTS = 512;
const TABLE = labTable();

/** A curve of lightness for each of 8 x 8 tiles, and smooth steps between them (Zuiderveld 1994). */
export class Clahe {
  /**
   * Learn the curves.
   *
   * @param {Float32Array[]} small red, green and blue in [0, 255], a small picture of the whole image
   * @param {number[]} size height and width of the small picture
   * @param {number} limit the most that a level may weigh, as a multiple of an even share
   * @param {Uint8Array} valid where pixels count; a tile without enough of them takes the curve of the whole image
   */
  constructor(small, size, limit, valid) {
    const lightness = lightnessOf(small);
    const [rows, columns] = size.map((side) => {
      return Array.from({ length: TILES + 1 }, (_, i) => roundHalfEven((i * side) / TILES));
    });
    const values = (top, bottom, left, right) => {
      const found = [];
      for (let y = top; y < bottom; y++) {
        for (let i = y * size[1] + left; i < y * size[1] + right; i++) if (valid[i]) found.push(lightness[i]);
      }
      return found;
    };
    const whole = curve(values(0, size[0], 0, size[1]), limit);
    this.curves = rows.slice(0, -1).flatMap((top, i) => columns.slice(0, -1).map((left, j) => {
      const found = values(top, rows[i + 1], left, columns[j + 1]);
      return found.length >= LEVELS ? curve(found, limit) : whole;
    }));
  }

  /**
   * Equalise a whole image.
   *
   * @param {(Uint8Array|Float32Array)[]} channels red, green and blue in [0, 255]
   * @returns {Float32Array[]}
   */
  apply(channels, height, width) {
    const result = channels.map(() => new Float32Array(height * width));
    const across = near(width);
    const rgb = [0, 0, 0];
    near(height).forEach((down, y) => {
      for (let x = 0, i = y * width; x < width; x++, i++) {
        const lab = toLab(channels[0][i], channels[1][i], channels[2][i]);
        lab[0] = this.#equal(clip(lab[0] * 2.55), down, across[x]) / 2.55;
        toRgb(lab, rgb);
        for (let c = 0; c < 3; c++) result[c][i] = rgb[c];
      }
    });
    return result;
  }

  #equal(lightness, down, across) {
    const level = Math.min(Math.floor(lightness), LEVELS - 2);
    const rest = lightness - level;
    let found = 0;
    for (let a = 0; a < 2; a++) {
      for (let b = 0; b < 2; b++) {
        const steps = this.curves[down.tile[a] * TILES + across.tile[b]];
        found += down.weight[a] * across.weight[b] * (steps[level] + rest * (steps[level + 1] - steps[level]));
      }
    }
    return found;
  }
}

/** For each pixel of a side, the tiles before and after its place, and how much each of them counts. */
function near(size) {
  const inside = (tile) => Math.min(Math.max(tile, 0), TILES - 1);
  return Array.from({ length: size }, (_, i) => {
    const place = (i + 0.5) * (TILES / size) - 0.5;
    const first = Math.floor(place);
    return { tile: [inside(first), inside(first + 1)], weight: [1 - (place - first), place - first] };
  });
}

/** The cumulative histogram of lightness, no level weighing more than the limit. */
function curve(values, limit) {
  if (!values.length) return Float32Array.from({ length: LEVELS }, (_, level) => level);
  const counts = new Float64Array(LEVELS);
  for (const value of values) counts[Math.floor(value)] += 1 / values.length;
  const most = Math.max(limit, 1) / LEVELS;
  const excess = counts.reduce((sum, count) => sum + Math.max(count - most, 0), 0);
  let sum = 0;
  return new Float32Array(counts).map((_, i) => 255 * (sum += Math.min(counts[i], most) + excess / LEVELS));
}

function lightnessOf([red, green, blue]) {
  return red.map((value, i) => clip(toLab(value, green[i], blue[i])[0] * 2.55));
}

const clip = (value) => Math.min(Math.max(value, 0), 255);

/** Lab of a colour, read as OpenCV does: from a table of 33 steps for each channel, in 512 steps of input. */
function toLab(red, green, blue) {
  const [r, g, b] = [red, green, blue].map((value) => (Math.floor((value * INPUTS) / 255 + 1e-4) * STEPS) / INPUTS);
  const [i, j, k] = [r, g, b].map((place) => Math.min(Math.floor(place), STEPS - 1));
  const lab = [0, 0, 0];
  for (let corner = 0; corner < 8; corner++) {
    const [x, y, z] = [corner & 1, (corner >> 1) & 1, corner >> 2];
    const weight = share(x, r - i) * share(y, g - j) * share(z, b - k);
    if (weight === 0) continue;
    const at = 3 * (((i + x) * (STEPS + 1) + j + y) * (STEPS + 1) + k + z);
    for (let c = 0; c < 3; c++) lab[c] += weight * TABLE[at + c];
  }
  return lab;
}

const share = (after, rest) => (after ? rest : 1 - rest);

/** Lab of all colours whose channels are multiples of 1 / 32. */
function labTable() {
  const root = (t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const linear = Array.from({ length: STEPS + 1 }, (_, step) => {
    const value = step / STEPS;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const table = new Float32Array(3 * (STEPS + 1) ** 3);
  let at = 0;
  for (const red of linear) for (const green of linear) for (const blue of linear) {
    const [x, y, z] = TO_XYZ.map((row, c) => (row[0] * red + row[1] * green + row[2] * blue) / WHITE[c]);
    const [fx, fy, fz] = [root(x), root(y), root(z)];
    table.set([y > 0.008856 ? 116 * fy - 16 : 903.3 * y, 500 * (fx - fy), 200 * (fy - fz)], at);
    at += 3;
  }
  return table;
}

function toRgb([lightness, a, b], rgb) {
  const fy = lightness <= 8 ? (7.787 * lightness) / 903.3 + 16 / 116 : (lightness + 16) / 116;
  const y = lightness <= 8 ? lightness / 903.3 : fy ** 3;
  const power = (f) => (f <= 0.206893 ? (f - 16 / 116) / 7.787 : f ** 3);
  const xyz = [power(fy + a / 500) * WHITE[0], y, power(fy - b / 200) * WHITE[2]];
  FROM_XYZ.forEach((row, c) => {
    const linear = Math.min(Math.max(row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2], 0), 1);
    rgb[c] = clip(255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055));
  });
}
