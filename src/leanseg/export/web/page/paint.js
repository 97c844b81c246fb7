/** Labels and differences as pictures. */

/** Of all triples of Okabe and Ito's colours these stay furthest apart with any colour vision. */
export const CORRECT = "#56B4E9", EXTRA = "#F0E442", MISSED = "#D55E00", CONFUSED = "#FFFFFF";

/** A picture from RGBA pixels. */
export function canvasOf(pixels, height, width) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}

/** The picture in dark grey, on which colours of errors stand out. */
export function faded(picture) {
  const given = picture.pixels;
  const pixels = new Uint8ClampedArray(given.length).fill(255);
  for (let i = 0; i < pixels.length; i += 4) {
    const grey = 0.6 * (0.299 * given[i] + 0.587 * given[i + 1] + 0.114 * given[i + 2]);
    pixels.fill(grey, i, i + 3);
  }
  return canvasOf(pixels, picture.height, picture.width);
}

/**
 * Paint class numbers.
 *
 * @param {Uint8Array} numbers (H, W) of the image; 0 stays clear
 * @param {string[]} colours of the numbers from 1 on
 * @param {{height: number, width: number, block: number}} picture that it is laid over; a block of pixels shows the
 *   highest number in it, so that thin structures do not vanish
 * @param {number} across pixels of a row of the image
 */
export function painted(numbers, colours, picture, across) {
  const { height, width, block } = picture;
  const table = colours.map(rgb);
  const shown = block === 1 ? numbers : highest(numbers, picture, across);
  const pixels = new Uint8ClampedArray(4 * height * width);
  for (let i = 0; i < shown.length; i++) {
    if (!shown[i]) continue;
    const [red, green, blue] = table[shown[i] - 1];
    pixels[4 * i] = red;
    pixels[4 * i + 1] = green;
    pixels[4 * i + 2] = blue;
    pixels[4 * i + 3] = 255;
  }
  return canvasOf(pixels, height, width);
}

function highest(numbers, { height, width, block }, across) {
  const result = new Uint8Array(height * width);
  for (let i = 0; i < numbers.length; i++) {
    const place = Math.floor(Math.floor(i / across) / block) * width + Math.floor((i % across) / block);
    if (numbers[i] > result[place]) result[place] = numbers[i];
  }
  return result;
}

const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
