/** The one definition of resizing: a triangle filter with half-pixel centres, widened where pictures shrink. */

/**
 * From one grid to another over the same field.
 *
 * Output pixel i lies at (i + 1/2) r - 1/2 on the input grid, r being the input pixels per output pixel, and averages
 * the input with the weights max(0, 1 - distance / max(r, 1)).
 */
export class Resampling {
  /**
   * @param {number[]} before height and width of the input grid
   * @param {number[]} after height and width of the output grid
   * @param {number[]} [ratios] input pixels per output pixel along each axis; by default before / after
   */
  constructor(before, after, ratios = before.map((size, axis) => size / after[axis])) {
    Object.assign(this, { before, after, ratios });
  }

  /** The way back to the input grid. */
  get inverse() {
    return new Resampling(this.after, this.before, this.ratios.map((ratio) => 1 / ratio));
  }

  /** Resample one plane (H, W). */
  apply(values) {
    const [height, width] = this.before;
    const down = this.#changes(0) ? alongRows(axis(height, this.after[0], this.ratios[0]), values, width) : values;
    const across = this.#changes(1) ? alongColumns(axis(width, this.after[1], this.ratios[1]), down, width) : down;
    return across === values ? new Float32Array(values) : across;
  }

  #changes(index) {
    return this.before[index] !== this.after[index] || this.ratios[index] !== 1;
  }
}

/** Bring a mask to another grid: 1 where at least one half is covered. */
export function resampleMask(mask, resampling) {
  const covered = resampling.apply(mask);
  const result = new Uint8Array(covered.length);
  for (let i = 0; i < covered.length; i++) result[i] = covered[i] >= 0.5 ? 1 : 0;
  return result;
}

/** For each output place, `taps` input places and their weights, which sum to one. */
export function axis(before, after, ratio) {
  const reach = Math.max(ratio, 1);
  const taps = Math.ceil(2 * reach);
  const index = new Int32Array(after * taps);
  const weight = new Float32Array(after * taps);
  const row = new Float64Array(taps);
  for (let i = 0; i < after; i++) {
    // Grids that overhang the input (a last, partial block) repeat its last pixel.
    const centre = Math.min(Math.max((i + 0.5) * ratio - 0.5, 0), before - 1);
    const first = Math.floor(centre - reach) + 1;
    let sum = 0;
    for (let t = 0; t < taps; t++) {
      const place = first + t;
      const share = Math.max(0, 1 - Math.abs(place - centre) / reach);
      // A tap exactly one reach away weighs nothing.
      row[t] = place < 0 || place >= before || share < 1e-9 ? 0 : share;
      sum += row[t];
    }
    for (let t = 0; t < taps; t++) {
      index[i * taps + t] = Math.min(Math.max(first + t, 0), before - 1);
      weight[i * taps + t] = row[t] / sum;
    }
  }
  return { taps, index, weight, size: after };
}

function alongRows({ taps, index, weight, size }, values, width) {
  const result = new Float32Array(size * width);
  const sums = new Float64Array(width);
  for (let i = 0; i < size; i++) {
    sums.fill(0);
    for (let t = i * taps; t < (i + 1) * taps; t++) {
      const w = weight[t];
      if (w === 0) continue;
      const start = index[t] * width;
      for (let x = 0; x < width; x++) sums[x] += w * values[start + x];
    }
    result.set(sums, i * width);
  }
  return result;
}

function alongColumns({ taps, index, weight, size }, values, width) {
  const height = values.length / width;
  const result = new Float32Array(height * size);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let t = i * taps; t < (i + 1) * taps; t++) sum += weight[t] * values[row + index[t]];
      result[y * size + i] = sum;
    }
  }
  return result;
}
