/** Run a model on an image: tile by tile, so that the memory of a phone is enough. */

import { InputError } from "../images/image.js";
import { prepare } from "../images/preprocess.js";
import { planTiles, roundUp, smallestTile } from "../images/tiles.js";
import { outputsOf, toProbabilities } from "./postprocess.js";
import { windowStarts, windowWeight } from "./windows.js";

/** Bytes that the network may take for one tile. */
const MEMORY = 400e6;
/** The largest side of a tile in pixels; larger ones bring no speed. */
const LARGEST = 1024;

/** The networks of a model as one. */
export class Predictor {
  /**
   * @param {object} model `config.json` of the exported model
   * @param {((pixels: Float32Array, shape: number[]) => Promise<{data: Float32Array, dims: number[]}>)[]} networks
   *   one function for each part: normalised (1, C, H, W) pixels to (1, outputs, H, W) logits
   */
  constructor(model, networks) {
    Object.assign(this, { model, networks });
    this.divisor = model.parts.map((part) => part.divisor).reduce(leastCommonMultiple);
    const halos = model.parts.map((part) => part.halo);
    this.halo = halos.includes(null) ? null : Math.max(...halos);
    const windows = model.parts.map((part) => part.window).filter((side) => side !== null);
    this.window = this.halo === null && windows.length ? Math.min(...windows) : null;
  }

  /**
   * Segment an image.
   *
   * @param {import("../images/image.js").Image} image
   * @param {(share: number) => void} progress called with the share of the work that is done
   * @returns {Promise<{prepared: object, probabilities: Float32Array}>} (K, H, W) in the size of the image, 0 outside
   *   the field of view
   */
  async segment(image, progress) {
    const prepared = prepare(image, this.model.preprocessing);
    const maps = this.window === null
      ? await this.#byTiles(prepared, progress)
      : await this.#byWindows(prepared, progress);
    const [size, small] = [image.height * image.width, prepared.shape[0] * prepared.shape[1]];
    const probabilities = new Float32Array(this.model.classes.names.length * size);
    this.model.classes.names.forEach((_, k) => {
      const whole = prepared.toSource(maps.subarray(k * small, (k + 1) * small));
      for (let i = 0; i < size; i++) probabilities[k * size + i] = prepared.field[i] ? whole[i] : 0;
    });
    return { prepared, probabilities };
  }

  async #byTiles(prepared, progress) {
    const padded = prepared.shape.map((size) => roundUp(size, this.divisor));
    const side = this.halo === null ? Math.max(...padded) : this.#side(padded);
    const tiles = planTiles(padded, side, this.halo ?? 0, this.divisor);
    const [height, width] = prepared.shape;
    const maps = new Float32Array(this.model.classes.names.length * height * width);
    for (const [n, { outer, core }] of tiles.entries()) {
      const answer = await this.#answer(prepared, outer);
      const across = outer[1][1] - outer[1][0];
      const area = (outer[0][1] - outer[0][0]) * across;
      for (let k = 0; k * height * width < maps.length; k++) {
        for (let y = core[0][0]; y < Math.min(core[0][1], height); y++) {
          const from = k * area + (y - outer[0][0]) * across + core[1][0] - outer[1][0];
          const length = Math.min(core[1][1], width) - core[1][0];
          maps.set(answer.subarray(from, from + length), (k * height + y) * width + core[1][0]);
        }
      }
      progress((n + 1) / tiles.length);
    }
    return maps;
  }

  async #byWindows(prepared, progress) {
    const padded = prepared.shape.map((size) => roundUp(size, this.divisor));
    const [rows, columns] = padded.map((size) => windowStarts(size, this.window, this.divisor));
    const [tall, wide] = padded.map((size) => Math.min(size, this.window));
    const weight = windowWeight(tall, wide);
    const [height, width] = prepared.shape;
    const maps = new Float32Array(this.model.classes.names.length * height * width);
    const share = new Float32Array(height * width);
    for (const [n, top] of rows.entries()) {
      for (const [m, left] of columns.entries()) {
        const answer = await this.#answer(prepared, [[top, top + tall], [left, left + wide]]);
        for (let k = -1; k * height * width < maps.length; k++) {
          for (let y = top; y < Math.min(top + tall, height); y++) {
            for (let x = left; x < Math.min(left + wide, width); x++) {
              const i = (y - top) * wide + x - left;
              if (k < 0) share[y * width + x] += weight[i];
              else maps[(k * height + y) * width + x] += answer[k * tall * wide + i] * weight[i];
            }
          }
        }
        progress((n * columns.length + m + 1) / (rows.length * columns.length));
      }
    }
    return maps.map((sum, i) => sum / share[i % share.length]);
  }

  /** Mean probability (K, h, w) over the networks for a region of the padded grid. */
  async #answer(prepared, region) {
    const shape = region.map(([start, stop]) => stop - start);
    const pixels = read(prepared, region, shape);
    let total = null;
    for (const [n, part] of this.model.parts.entries()) {
      const { data, dims } = await this.networks[n](pixels, [1, prepared.pixels.length, ...shape]);
      const expected = [1, outputsOf(this.model.classes), ...shape];
      if (dims.join() !== expected.join()) {
        const msg = `The model should answer with ${expected.join(" x ")} numbers, it gives ${dims.join(" x ")}`;
        throw new InputError(`${msg}. Export it again.`);
      }
      const maps = toProbabilities(data, this.model.classes, part.temperature);
      total = total === null ? maps : total.map((sum, i) => sum + maps[i]);
    }
    return this.model.parts.length === 1 ? total : total.map((sum) => sum / this.model.parts.length);
  }

  /** The side of the largest tile that the memory allows. */
  #side(padded) {
    const bytes = Math.max(...this.model.parts.map((part) => part.bytes_per_pixel));
    const side = Math.min(LARGEST, Math.floor(Math.sqrt(MEMORY / bytes) / 64) * 64);
    return Math.max(side, Math.min(smallestTile(this.halo, this.divisor), Math.max(...padded)));
  }
}

/** Pixels (C, h, w) of a region of the padded grid, mirrored where it reaches beyond the image. */
function read(prepared, [rows, columns], [tall, wide]) {
  const [height, width] = prepared.shape;
  const across = Int32Array.from({ length: wide }, (_, x) => mirrored(columns[0] + x, width));
  const result = new Float32Array(prepared.pixels.length * tall * wide);
  prepared.pixels.forEach((channel, c) => {
    for (let y = 0; y < tall; y++) {
      const from = mirrored(rows[0] + y, height) * width;
      const to = (c * tall + y) * wide;
      for (let x = 0; x < wide; x++) result[to + x] = channel[from + across[x]];
    }
  });
  return result;
}

/** The place inside that a place beyond the end shows, as between two mirrors. */
export function mirrored(place, size) {
  if (size === 1) return 0;
  const period = 2 * (size - 1);
  const rest = place % period;
  return rest < size ? rest : period - rest;
}

function leastCommonMultiple(a, b) {
  const divisor = (x, y) => (y ? divisor(y, x % y) : x);
  return (a * b) / divisor(a, b);
}
