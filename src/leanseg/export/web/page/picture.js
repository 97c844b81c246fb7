/** An image as a person sees it: colour as it is, anything else in grey from its 1st to its 99th percentile. */

import { plane } from "../images/image.js";
import { divideUp, percentile } from "../images/numbers.js";
import { blockMean } from "../images/statistics.js";

/** Phones cannot draw canvases larger than this. */
const LONGEST = 4096;

/**
 * @param {import("../images/image.js").Image} image
 * @returns {{pixels: Uint8ClampedArray, height: number, width: number, block: number}} RGBA, `block` image pixels wide
 */
export function pictureOf(image) {
  const block = divideUp(Math.max(image.height, image.width), LONGEST);
  const [height, width] = [divideUp(image.height, block), divideUp(image.width, block)];
  const raw = image.channels === 3 && image.pixels instanceof Uint8Array;
  const count = image.channels === 3 ? 3 : 1;
  const channels = Array.from({ length: count }, (_, c) => {
    const shown = blockMean(plane(image, c), image.height, image.width, block);
    return raw ? shown : stretched(shown);
  });
  const pixels = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let c = 0; c < 3; c++) {
    const channel = channels[c % count];
    for (let i = 0; i < channel.length; i++) pixels[4 * i + c] = channel[i];
  }
  return { pixels, height, width, block };
}

function stretched(values) {
  const some = values.filter((_, i) => i % Math.max(1, Math.floor(values.length / 1e5)) === 0);
  let [low, high] = [percentile(some, 1), percentile(some, 99)];
  // A picture with few bright pixels has equal percentiles; its full range still shows them.
  if (high <= low) [low, high] = [percentile(values, 0), percentile(values, 100)];
  return values.map((value) => ((value - low) / Math.max(high - low, 1e-12)) * 255);
}
