/** The round field of view of a fundus photograph: where the camera saw the eye and where only the black frame is. */

import { convex, eroded, filled, largest, opened } from "./morphology.js";
import { countNonzero, median, percentile, roundHalfEven } from "./numbers.js";

const RIM = 0.004;

/**
 * Find the bright disc of a fundus photograph.
 *
 * The darkest corner gives the level of the frame. What is clearly brighter, its largest piece without thin outgrowths
 * (marks, text), made convex, is the field; a circle is fitted to the part of its edge that the picture does not cut,
 * and what lies outside the circle (the notch of many cameras) does not count. A photograph without dark corners is all
 * field, and its diagonal is taken as the diameter, which holds for the largest square inside a circle.
 *
 * @param {Float32Array[]} channels of the small picture, brighter meaning more light
 * @param {number} height
 * @param {number} width
 * @returns {{mask: Uint8Array, centre: number[], diameter: number}} centre (y, x) and diameter in pixels
 */
export function findFieldOfView(channels, height, width) {
  // The median takes away speckle and, unlike a mean, leaves the edge where it is.
  const grey = medianOf9(brightest(channels), height, width);
  const { level, noise } = frame(grey, height, width);
  const light = percentile(grey, 95) - level;
  const floor = grey.reduce((least, value) => Math.min(least, value), Infinity);
  if (light <= 0 || level - floor > 0.25 * (light + level - floor)) return everything(height, width);
  const limit = Math.fround(level + Math.max(0.08 * light, 6 * noise));
  const bright = new Uint8Array(grey.length).map((_, i) => (grey[i] > limit ? 1 : 0));
  const field = convex(body(bright, height, width), height, width);
  const share = countNonzero(field) / field.length;
  if (share > 0.97 || share < 0.05) return everything(height, width);
  const { centre, diameter } = circle(field, height, width);
  // The outermost 0.4 % is where the frame bleeds into the picture: darker than any vessel.
  const mask = field.map((inside, i) => {
    const distance = Math.hypot(Math.floor(i / width) - centre[0], (i % width) - centre[1]);
    return inside && distance <= (0.5 - RIM) * diameter ? 1 : 0;
  });
  return { mask, centre, diameter };
}

/** The field without its rim, a hundredth of the diameter, where the frame bleeds into the pixels. */
export function withoutRim(field, height, width) {
  const size = 2 * Math.max(1, roundHalfEven(0.01 * field.diameter)) + 1;
  const inner = eroded(field.mask, height, width, size);
  return inner.includes(1) ? inner : field.mask;
}

function brightest(channels) {
  const result = channels[0].slice();
  for (const channel of channels) {
    for (let i = 0; i < result.length; i++) if (channel[i] > result[i]) result[i] = channel[i];
  }
  return result;
}

/** Median of the 3 x 3 neighbours; the outermost pixels go on outside. */
function medianOf9(values, height, width) {
  const near = new Float32Array(9);
  const result = new Float32Array(values.length);
  for (let y = 0, i = 0; y < height; y++) {
    const rows = [Math.max(y - 1, 0) * width, y * width, Math.min(y + 1, height - 1) * width];
    for (let x = 0; x < width; x++, i++) {
      const [before, after] = [Math.max(x - 1, 0), Math.min(x + 1, width - 1)];
      let count = 0;
      for (const row of rows) {
        count = insert(near, count, values[row + before]);
        count = insert(near, count, values[row + x]);
        count = insert(near, count, values[row + after]);
      }
      result[i] = near[4];
    }
  }
  return result;
}

/** Put a value at its place among the first `count` sorted ones. */
function insert(sorted, count, value) {
  let place = count;
  for (; place > 0 && sorted[place - 1] > value; place--) sorted[place] = sorted[place - 1];
  sorted[place] = value;
  return count + 1;
}

/** Level and noise of the darkest corner. */
function frame(grey, height, width) {
  const side = Math.max(2, roundHalfEven(0.04 * Math.min(height, width)));
  const corner = (top, left) => {
    const values = [];
    for (let y = Math.max(top, 0); y < Math.min(top + side, height); y++) {
      values.push(...grey.subarray(y * width + Math.max(left, 0), y * width + Math.min(left + side, width)));
    }
    return values;
  };
  const places = [[0, 0], [0, width - side], [height - side, 0], [height - side, width - side]];
  const corners = places.map(([top, left]) => corner(top, left));
  const levels = corners.map(median);
  const level = Math.min(...levels);
  return { level, noise: median(corners[levels.indexOf(level)].map((value) => Math.abs(value - level))) };
}

/** The largest piece, holes filled, without outgrowths thinner than a twentieth of the picture. */
function body(bright, height, width) {
  const size = Math.max(3, roundHalfEven(0.05 * Math.min(height, width))) | 1;
  const solid = largest(filled(bright, height, width), height, width, false);
  // Outside the picture counts as bright: a disc that the edge cuts off must not lose its corners there.
  const [tall, wide] = [height + 2 * size, width + 2 * size];
  const clamp = (place, most) => Math.min(Math.max(place - size, 0), most - 1);
  const padded = new Uint8Array(tall * wide).map((_, i) => {
    return solid[clamp(Math.floor(i / wide), height) * width + clamp(i % wide, width)];
  });
  const open = opened(padded, tall, wide, size);
  const inside = solid.map((_, i) => open[(Math.floor(i / width) + size) * wide + (i % width) + size]);
  return largest(inside, height, width, false);
}

/** Centre (y, x) and diameter of the circle through the curved part of the outline. */
function circle(field, height, width) {
  const points = outline(field, height, width);
  const [xs, ys] = [points.map(([, x]) => x), points.map(([y]) => y)];
  const [left, right, top, bottom] = [least(xs), most(xs), least(ys), most(ys)];
  // Straight cuts lie on the outline's outermost rows and columns, at the picture's edge or inside a letterbox.
  const rim = 0.01 * Math.max(height, width);
  const free = points.filter(([y, x]) => (
    x > left + rim && x < right - rim && y > top + rim && y < bottom - rim
    && x > 1 && x < width - 2 && y > 1 && y < height - 2
  ));
  const box = extent(left, right, top, bottom);
  if (free.length < 20) return box;
  const weights = new Float64Array(free.length).fill(1);
  let fit;
  for (let round = 0; round < 10; round++) {
    fit = throughPoints(free, weights);
    const residual = free.map(([y, x]) => Math.abs(Math.hypot(x - fit.x, y - fit.y) - fit.radius));
    // Tukey's biweight: points off the circle (notches, lids) lose their say.
    const reach = 6 * median(residual) + 0.5;
    residual.forEach((off, i) => (weights[i] = Math.max(0, 1 - (off / reach) ** 2) ** 2));
  }
  const span = Math.max(right - left, bottom - top);
  if (!(0.45 * span < fit.radius && fit.radius < span)) return box;
  // The outline runs through the centres of the outermost pixels, half a pixel inside the true edge.
  return { centre: [fit.y, fit.x], diameter: 2 * fit.radius + 1 };
}

const least = (values) => values.reduce((a, b) => Math.min(a, b));
const most = (values) => values.reduce((a, b) => Math.max(a, b));

/** Pixels (y, x) of a mask that have a neighbour outside it. */
function outline(field, height, width) {
  const inside = (y, x) => y >= 0 && x >= 0 && y < height && x < width && field[y * width + x];
  const points = [];
  field.forEach((value, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    if (value && !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1))) points.push([y, x]);
  });
  return points;
}

/** Weighted algebraic circle (Kasa 1976): x^2 + y^2 = 2 a x + 2 b y + c. */
function throughPoints(points, weights) {
  const total = weights.reduce((a, b) => a + b);
  // Coordinates from the centre of mass keep the equations well conditioned.
  const mean = (of) => points.reduce((sum, point, i) => sum + weights[i] * of(point), 0) / total;
  const [my, mx] = [mean(([y]) => y), mean(([, x]) => x)];
  const average = (of) => mean(([y, x]) => of(x - mx, y - my, (x - mx) ** 2 + (y - my) ** 2));
  const [xx, yy, xy] = [average((x) => x * x), average((_, y) => y * y), average((x, y) => x * y)];
  const [xr, yr, rr] = [average((x, _, r) => x * r), average((_, y, r) => y * r), average((_, __, r) => r)];
  const determinant = 4 * (xx * yy - xy * xy);
  const a = (2 * (xr * yy - yr * xy)) / determinant;
  const b = (2 * (yr * xx - xr * xy)) / determinant;
  return { x: a + mx, y: b + my, radius: Math.sqrt(Math.max(rr + a * a + b * b, 0)) };
}

/** Without a curved edge, the circle around the field's box, so that nothing of the field is lost. */
function extent(left, right, top, bottom) {
  const diameter = Math.hypot(right - left + 1, bottom - top + 1) / (1 - 2 * RIM);
  return { centre: [(top + bottom) / 2, (left + right) / 2], diameter };
}

function everything(height, width) {
  const mask = new Uint8Array(height * width).fill(1);
  return { mask, centre: [(height - 1) / 2, (width - 1) / 2], diameter: Math.hypot(height, width) };
}
