/**
 * An image: `pixels` holds one plane after the other, (C, H, W), in the units of the file.
 *
 * @typedef {object} Image
 * @property {Uint8Array|Uint16Array|Int16Array|Int32Array|Float32Array} pixels
 * @property {number} channels
 * @property {number} height
 * @property {number} width
 */

/** A problem with a file or a model that the person in front of the page can put right; the message says how. */
export class InputError extends Error {}

/** One plane of an image, without a copy. */
export function plane(image, channel) {
  const size = image.height * image.width;
  return image.pixels.subarray(channel * size, (channel + 1) * size);
}

/** Planes (C, H, W) from samples that lie pixel by pixel, (H, W, samples); only the first `channels` are kept. */
export function planar(samples, count, channels) {
  const size = samples.length / count;
  const pixels = new samples.constructor(channels * size);
  for (let c = 0; c < channels; c++) {
    for (let i = 0, j = c; i < size; i++, j += count) pixels[c * size + i] = samples[j];
  }
  return pixels;
}

// Number in the tag -> rows and columns swapped, then rows reversed, then columns reversed.
const TURNS = {
  2: [false, false, true],
  3: [false, true, true],
  4: [false, true, false],
  5: [true, false, false],
  6: [true, false, true],
  7: [true, true, true],
  8: [true, true, false],
};

/** Turn an image the way it is displayed, by the number of its orientation tag (EXIF 2.32, tag 0x0112). */
export function upright(image, orientation) {
  if (!(orientation in TURNS)) return image;
  const [swap, rows, columns] = TURNS[orientation];
  const [height, width] = swap ? [image.width, image.height] : [image.height, image.width];
  const pixels = new image.pixels.constructor(image.pixels.length);
  for (let c = 0; c < image.channels; c++) {
    const from = plane(image, c);
    const to = pixels.subarray(c * height * width, (c + 1) * height * width);
    for (let y = 0; y < height; y++) {
      const row = rows ? height - 1 - y : y;
      for (let x = 0; x < width; x++) {
        const column = columns ? width - 1 - x : x;
        to[y * width + x] = swap ? from[column * image.width + row] : from[row * image.width + column];
      }
    }
  }
  return { ...image, pixels, height, width };
}
