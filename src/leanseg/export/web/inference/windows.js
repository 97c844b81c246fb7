/** A network that looks at the whole of what it is shown, on more than it learnt from: overlapping windows. */

/** Neighbouring windows share at least one part in so many of their side. */
const OVERLAP = 8;

/** Where the windows of one axis begin, evenly spread, at multiples of `divisor`. */
export function windowStarts(size, side, divisor) {
  if (size <= side) return [0];
  const count = 1 + Math.ceil((size - side) / (side - Math.floor(side / OVERLAP)));
  const step = (size - side) / (count - 1);
  const starts = Array.from({ length: count - 1 }, (_, i) => Math.floor(Math.floor(i * step) / divisor) * divisor);
  return [...starts, size - side];
}

/** How far each pixel of a window is from its edge, along each axis, multiplied. */
export function windowWeight(height, width) {
  const near = (place, size) => Math.fround(Math.min(place + 1, size - place) / size);
  const weight = new Float32Array(height * width);
  return weight.map((_, i) => near(Math.floor(i / width), height) * near(i % width, width));
}
