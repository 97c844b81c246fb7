/** PNG pictures, sample by sample: what a canvas gives has lost 16 bits, palettes and sometimes the exact colours. */

import { InputError, planar, upright } from "../images/image.js";
import { checkSize, inflate, readTags, unpackBits, words } from "./bytes.js";

const GREY = 0, COLOUR = 2, PALETTE = 3, GREY_ALPHA = 4, COLOUR_ALPHA = 6;
const SAMPLES = { [GREY]: 1, [COLOUR]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [COLOUR_ALPHA]: 4 };
const ORIENTATION = 274;
/** Levels between the channels of a palette's entry that still count as grey. */
const NEARLY_GREY = 8;
/** First column and row, and steps, of the seven passes of an interlaced picture. */
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/** Whether bytes start as a PNG file. */
export const isPng = (bytes) => bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47;

/**
 * Read a picture as it is displayed: palettes resolved, transparency dropped.
 *
 * @param {Uint8Array} bytes the file
 * @param {boolean} [mask] whether a palette of colours gives its index numbers
 * @returns {Promise<import("../images/image.js").Image>}
 */
export async function readPng(bytes, mask = false) {
  const { header, data, palette, orientation } = chunks(bytes);
  const { height, width, bits, kind } = header;
  checkSize(height, width);
  const raw = await inflate(data);
  const samples = header.interlaced ? interlaced(raw, header) : pass(raw, 0, height, width, header).samples;
  if (kind === PALETTE) return upright(fromPalette(samples, palette, mask, height, width), orientation);
  const channels = kind === COLOUR || kind === COLOUR_ALPHA ? 3 : 1;
  const pixels = planar(samples, SAMPLES[kind], channels);
  const scale = bits < 8 ? 255 / (2 ** bits - 1) : 1;
  return upright({ pixels: scale === 1 ? pixels : pixels.map((v) => v * scale), channels, height, width }, orientation);
}

function chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = { header: null, palette: new Uint8Array(768), orientation: 1 };
  const data = [];
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") found.header = headerOf(new DataView(content.buffer, content.byteOffset, 13));
    else if (name === "PLTE") found.palette.set(content);
    else if (name === "IDAT") data.push(content);
    else if (name === "eXIf") found.orientation = orientationOf(content);
    else if (name === "acTL") throw new InputError("The file is an animation. Save one picture of it.");
    at += 12 + length;
  }
  if (!found.header || !data.length) throw new InputError("The PNG file is damaged. Copy or export it again.");
  return { ...found, data: joined(data) };
}

function headerOf(view) {
  const kind = view.getUint8(9);
  if (!(kind in SAMPLES)) throw new InputError("The PNG file is damaged. Copy or export it again.");
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    bits: view.getUint8(8),
    kind,
    interlaced: view.getUint8(12) === 1,
  };
}

function orientationOf(content) {
  try {
    const { tags } = readTags(new DataView(content.buffer, content.byteOffset, content.byteLength));
    return tags.get(ORIENTATION)?.[0] ?? 1;
  } catch {
    return 1; // broken metadata around a sound picture
  }
}

function joined(parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** One rectangle of samples (height, width x samples) and where its data end. */
function pass(raw, start, height, width, { bits, kind }) {
  const length = width * SAMPLES[kind];
  const stride = Math.ceil((length * bits) / 8);
  const end = start + height * (stride + 1);
  if (raw.length < end) throw new InputError("The PNG file is cut off. Copy or export it again.");
  const rows = unfilter(raw.subarray(start, end), height, stride, Math.max(1, (SAMPLES[kind] * bits) >> 3));
  return { samples: bits === 16 ? words(rows, false) : unpackBits(rows, height, length, bits), end };
}

function interlaced(raw, header) {
  const { height, width, bits, kind } = header;
  const count = SAMPLES[kind];
  const result = new (bits === 16 ? Uint16Array : Uint8Array)(height * width * count);
  let at = 0;
  for (const [left, top, across, down] of ADAM7) {
    const [rows, columns] = [Math.ceil((height - top) / down), Math.ceil((width - left) / across)];
    if (rows <= 0 || columns <= 0) continue;
    const { samples, end } = pass(raw, at, rows, columns, header);
    at = end;
    for (let i = 0; i < samples.length; i++) {
      const pixel = Math.floor(i / count);
      const [y, x] = [top + Math.floor(pixel / columns) * down, left + (pixel % columns) * across];
      result[(y * width + x) * count + (i % count)] = samples[i];
    }
  }
  return result;
}

/** Undo the filter of each row (PNG specification, section 9). */
function unfilter(raw, height, stride, step) {
  const result = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    for (let i = 0; i < stride; i++) {
      const left = i >= step ? result[to + i - step] : 0;
      const above = y ? result[to + i - stride] : 0;
      const corner = y && i >= step ? result[to + i - stride - step] : 0;
      result[to + i] = raw[from + i] + predicted(filter, left, above, corner);
    }
  }
  return result;
}

function predicted(filter, left, above, corner) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const guess = left + above - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

function fromPalette(samples, palette, mask, height, width) {
  const entry = (n) => palette.subarray(3 * n, 3 * n + 3);
  const spread = (n) => Math.max(...entry(n)) - Math.min(...entry(n));
  const grey = Array.from({ length: 256 }, (_, n) => spread(n)).every((range) => range <= NEARLY_GREY);
  if (!grey && mask) return { pixels: samples, channels: 1, height, width };
  const channels = grey ? 1 : 3;
  const pixels = new Uint8Array(channels * samples.length);
  for (let i = 0; i < samples.length; i++) {
    const [red, green, blue] = entry(samples[i]);
    if (grey) pixels[i] = Math.round((red + green + blue) / 3);
    else for (let c = 0; c < 3; c++) pixels[c * samples.length + i] = [red, green, blue][c];
  }
  return { pixels, channels, height, width };
}
