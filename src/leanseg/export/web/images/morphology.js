/** Shapes in masks (H, W) of 0 and 1: filling, eroding, opening, connected pieces, convex hulls. */

import { roundHalfEven } from "./numbers.js";

/** Half the width of each row of a disc of odd size, from the top down. */
export function disc(size) {
  const radius = (size - 1) / 2;
  return Array.from({ length: size }, (_, i) => roundHalfEven(Math.sqrt(radius * radius - (i - radius) ** 2)));
}

/** Erode a mask by a disc of odd size; nothing outside the picture erodes. */
export function eroded(mask, height, width, size) {
  const reach = disc(size);
  const radius = (size - 1) / 2;
  const result = mask.slice();
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      // Only the outermost pixels outside the mask can be the first that a disc meets.
      if (mask[i] || !touches(mask, height, width, y, x)) continue;
      for (let row = Math.max(y - radius, 0); row <= Math.min(y + radius, height - 1); row++) {
        const half = reach[row - y + radius];
        result.fill(0, row * width + Math.max(x - half, 0), row * width + Math.min(x + half, width - 1) + 1);
      }
    }
  }
  return result;
}

/** Whether one of the four neighbours of a pixel is in the mask. */
function touches(mask, height, width, y, x) {
  const i = y * width + x;
  return (
    (x > 0 && mask[i - 1]) || (x < width - 1 && mask[i + 1]) || (y > 0 && mask[i - width])
    || (y < height - 1 && mask[i + width])
  );
}

/** What an erosion by a disc leaves, grown back by it. */
export function opened(mask, height, width, size) {
  // Growing a mask is eroding what is outside it.
  return inverted(eroded(inverted(eroded(mask, height, width, size)), height, width, size));
}

const inverted = (mask) => mask.map((inside) => 1 - inside);

/** Fill the holes of a mask: all that cannot be reached from outside without crossing it. */
export function filled(mask, height, width) {
  const result = new Uint8Array(mask.length).fill(1);
  const stack = [];
  const visit = (y, x) => {
    const i = y * width + x;
    if (y >= 0 && x >= 0 && y < height && x < width && !mask[i] && result[i]) {
      result[i] = 0;
      stack.push(i);
    }
  };
  for (let y = 0; y < height; y++) [0, width - 1].forEach((x) => visit(y, x));
  for (let x = 0; x < width; x++) [0, height - 1].forEach((y) => visit(y, x));
  while (stack.length) {
    const i = stack.pop();
    const [y, x] = [Math.floor(i / width), i % width];
    visit(y - 1, x);
    visit(y + 1, x);
    visit(y, x - 1);
    visit(y, x + 1);
  }
  return result;
}

/**
 * Number the connected pieces of a mask in the order of their first pixels.
 *
 * @param {boolean} corners whether pieces that touch at a corner are one
 * @returns {{pieces: Int32Array, sizes: number[]}} 0 outside, then 1, 2, ...; sizes[n] pixels in piece n
 */
export function label(mask, height, width, corners) {
  const parent = [0];
  const root = (n) => {
    while (parent[n] !== n) n = parent[n] = parent[parent[n]];
    return n;
  };
  const pieces = new Int32Array(mask.length);
  const join = (one, other) => {
    if (!one || !other) return one || other;
    const [own, its] = [root(one), root(other)];
    // The smaller number came first and stays.
    return (parent[Math.max(own, its)] = Math.min(own, its));
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      let found = join(x ? pieces[i - 1] : 0, y ? pieces[i - width] : 0);
      if (corners && y && x) found = join(found, pieces[i - width - 1]);
      if (corners && y && x < width - 1) found = join(found, pieces[i - width + 1]);
      if (!found) parent.push((found = parent.length));
      pieces[i] = found;
    }
  }
  return numbered(pieces, parent.map((_, n) => root(n)));
}

function numbered(pieces, roots) {
  const final = new Int32Array(roots.length);
  const sizes = [0];
  roots.forEach((first, n) => {
    if (n && first === n) final[n] = sizes.push(0) - 1;
  });
  for (let i = 0; i < pieces.length; i++) {
    pieces[i] = final[roots[pieces[i]]];
    sizes[pieces[i]] += 1;
  }
  return { pieces, sizes };
}

/** The largest connected piece of a mask, the first of equals. */
export function largest(mask, height, width, corners) {
  const { pieces, sizes } = label(mask, height, width, corners);
  let best = 1;
  for (let n = 2; n < sizes.length; n++) if (sizes[n] > sizes[best]) best = n;
  const result = new Uint8Array(mask.length);
  for (let i = 0; i < pieces.length; i++) if (pieces[i] === best) result[i] = 1;
  return result;
}

/** The convex hull of a mask, filled. */
export function convex(mask, height, width) {
  const corners = hull(mask, height, width);
  const [left, right] = [new Int32Array(height).fill(width), new Int32Array(height).fill(-1)];
  corners.forEach((corner, n) => {
    const ends = [corner, corners[(n + 1) % corners.length]];
    for (const [y, x] of [...line(...ends), ...crossings(...ends)]) {
      left[y] = Math.min(left[y], x);
      right[y] = Math.max(right[y], x);
    }
  });
  const result = new Uint8Array(mask.length);
  for (let y = 0; y < height; y++) {
    if (right[y] >= left[y]) result.fill(1, y * width + left[y], y * width + right[y] + 1);
  }
  return result;
}

/** Pixels (y, x) of a line, drawn from its left end as OpenCV does: halves stay with the pixel before. */
function line(one, other) {
  const [[y0, x0], [y1, x1]] = one[1] <= other[1] ? [one, other] : [other, one];
  const steps = Math.max(Math.abs(y1 - y0), x1 - x0, 1);
  const moved = (way, step) => Math.sign(way) * Math.ceil((Math.abs(way) * step) / steps - 0.5);
  return Array.from({ length: steps + 1 }, (_, step) => [y0 + moved(y1 - y0, step), x0 + moved(x1 - x0, step)]);
}

/** Pixels (y, x) where a line crosses the rows, in OpenCV's steps of 1 / 65536 pixel, which decide at halves. */
function crossings(one, other) {
  const [[y0, x0], [y1, x1]] = one[0] <= other[0] ? [one, other] : [other, one];
  const [rows, unit] = [y1 - y0, 65536];
  const slope = rows ? Math.trunc((2 * unit * (x1 - x0) + rows) / (2 * rows)) : 0;
  return Array.from({ length: rows + 1 }, (_, row) => [y0 + row, x0 + Math.floor((row * slope + unit / 2) / unit)]);
}

/** Corners (y, x) of the convex hull in order, by Andrew's monotone chain. */
function hull(mask, height, width) {
  const points = [];
  for (let y = 0; y < height; y++) {
    const first = mask.indexOf(1, y * width);
    if (first < 0 || first >= (y + 1) * width) continue;
    const last = mask.lastIndexOf(1, (y + 1) * width - 1);
    points.push([y, first - y * width]);
    if (last > first) points.push([y, last - y * width]);
  }
  const cross = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const chain = (ordered) => {
    const kept = [];
    for (const point of ordered) {
      while (kept.length > 1 && cross(kept.at(-2), kept.at(-1), point) <= 0) kept.pop();
      kept.push(point);
    }
    return kept.slice(0, -1);
  };
  return points.length < 2 ? points : [...chain(points), ...chain(points.reverse())];
}
