/** Read a file of any kind that the page knows; its first bytes decide, not its name. */

import { InputError } from "../images/image.js";
import { checkSize } from "./bytes.js";
import { isDicom, readDicom } from "./dicom.js";
import { isPng, readPng } from "./png.js";
import { isTiff, readTiff } from "./tiff.js";

/**
 * Read an image as it is displayed.
 *
 * @param {File} file
 * @returns {Promise<import("../images/image.js").Image>}
 */
export async function readImage(file) {
  return read(file, false);
}

/**
 * Read the values of a mask. A palette of colours gives its index numbers; channels that are all the same count once.
 *
 * @param {File} file
 * @returns {Promise<import("../images/image.js").Image>} one channel
 */
export async function readMask(file) {
  const { pixels, channels, height, width } = await read(file, true);
  const size = height * width;
  for (let i = size; i < pixels.length; i++) {
    if (pixels[i] !== pixels[i % size]) {
      throw new InputError("Expected a mask with one value for each pixel, found colours. Save it as grey values.");
    }
  }
  return { pixels: channels === 1 ? pixels : pixels.slice(0, size), channels: 1, height, width };
}

async function read(file, mask) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!bytes.length) throw new InputError("The file is empty. Copy or export it again.");
  if (isPng(bytes)) return readPng(bytes, mask);
  if (isTiff(bytes)) return readTiff(bytes, mask);
  if (isDicom(bytes)) return readDicom(bytes);
  return byBrowser(file, bytes);
}

/** What else the browser opens: JPEG above all. */
async function byBrowser(file, bytes) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const picture = await createImageBitmap(file, options).catch(() => {
    throw new InputError("This is no picture that can be read here. Choose a PNG, JPEG, TIFF or DICOM file.");
  });
  const { height, width } = picture;
  checkSize(height, width);
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  checkCanvas();
  canvas.drawImage(picture, 0, 0);
  picture.close();
  const { data } = canvas.getImageData(0, 0, width, height);
  const channels = isGreyJpeg(bytes) ? 1 : 3;
  const pixels = new Uint8Array(channels * height * width);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < height * width; i++) pixels[c * height * width + i] = data[4 * i + c];
  }
  return { pixels, channels, height, width };
}

/** Some browsers change pixels that a page reads back, so that it cannot tell one visitor from another. */
function checkCanvas() {
  const canvas = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  const given = canvas.createImageData(16, 16);
  for (let i = 0; i < given.data.length; i++) given.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
  canvas.putImageData(given, 0, 0);
  const found = canvas.getImageData(0, 0, 16, 16).data;
  if (found.some((value, i) => value !== given.data[i])) {
    const msg = "This browser changes the pixels of JPEG files (protection against fingerprinting), which spoils masks";
    throw new InputError(`${msg}. Turn that protection off for this page, or save the image as PNG.`);
  }
}

/** Whether a JPEG file holds one component: the frame header (SOF) says so. */
function isGreyJpeg(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return false;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return bytes[at + 9] === 1;
    at += 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
  }
  return false;
}
