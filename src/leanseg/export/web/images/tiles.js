/** Cut a grid into overlapping tiles whose middles fit together without a seam. */

import { InputError } from "./image.js";

/** The next multiple. */
export const roundUp = (size, divisor) => Math.ceil(size / divisor) * divisor;

/** The least side of a tile that is cut on both sides. */
export const smallestTile = (halo, divisor) => 2 * roundUp(halo, divisor) + divisor;

/**
 * Tiles of one size that cover a grid.
 *
 * Every tile starts at a multiple of `divisor`, ends with the grid or is cut at least a halo away from its core, so
 * that the answers equal those of the whole.
 *
 * @param {number[]} shape height and width, multiples of `divisor`
 * @param {number} side wanted size of a tile; it is cut to the grid and rounded down to multiples of `divisor`
 * @param {number} halo pixels around a place that its answer depends on
 * @param {number} divisor pixels of the coarsest resolution of the network
 * @returns {{outer: number[][], core: number[][]}[]} [start, stop] along each axis
 */
export function planTiles(shape, side, halo, divisor) {
  const [rows, columns] = shape.map((size) => axis(size, side, halo, divisor));
  return rows.flatMap((row) => columns.map((column) => ({
    outer: [row.outer, column.outer],
    core: [row.core, column.core],
  })));
}

function axis(size, side, halo, divisor) {
  const tile = side - (side % divisor);
  if (size <= tile) return [{ outer: [0, size], core: [0, size] }];
  if (tile < smallestTile(halo, divisor)) throw new InputError(`A tile of ${tile} pixels is too small for this model.`);
  const margin = roundUp(halo, divisor);
  const places = [];
  for (let start = 0, done = 0; done < size; ) {
    start = Math.min(start, size - tile);
    const stop = start + tile;
    const end = stop === size ? stop : stop - margin;
    places.push({ outer: [start, stop], core: [done, end] });
    [start, done] = [end - margin, end];
  }
  return places;
}
