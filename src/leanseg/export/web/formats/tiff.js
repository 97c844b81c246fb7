/** TIFF pictures: grey, RGB or palette with 1, 8 or 16 bits, plain or packed by LZW, deflate or PackBits. */

import { InputError, planar, upright } from "../images/image.js";
import { checkSize, inflate, readTags, unpackBits, words } from "./bytes.js";
import { unpackLzw } from "./lzw.js";

const TAG = {
  kind: 254, width: 256, height: 257, bits: 258, compression: 259, photometric: 262, offsets: 273, orientation: 274,
  samples: 277, rows: 278, counts: 279, planar: 284, predictor: 317, colours: 320, tileWidth: 322, tileHeight: 323,
  tileOffsets: 324, tileCounts: 325, extra: 338, format: 339,
};
const WHITE_IS_ZERO = 0, BLACK_IS_ZERO = 1, RGB = 2, PALETTE = 3;
const UNPACK = { 1: (bytes) => bytes, 5: unpackLzw, 8: inflate, 32946: inflate, 32773: unpackRuns };

/** Whether bytes start as a TIFF file. */
export function isTiff(bytes) {
  const start = String.fromCharCode(...bytes.subarray(0, 2));
  return (start === "II" && [42, 43].includes(bytes[2])) || (start === "MM" && [42, 43].includes(bytes[3]));
}

/**
 * Read the picture of a TIFF file as it is displayed: palettes resolved, transparency dropped.
 *
 * @param {Uint8Array} bytes the file
 * @param {boolean} [mask] whether a palette of colours gives its index numbers
 * @returns {Promise<import("../images/image.js").Image>}
 */
export async function readTiff(bytes, mask = false) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const page = layout(onlyPicture(view));
    return upright(coloured(await samplesOf(bytes, page), page, mask), page.orientation);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("The TIFF file is damaged or cut off. Copy or export it again.");
  }
}

/** Tags of the picture; smaller copies of it do not count. */
function onlyPicture(view) {
  const pictures = [];
  for (let next = null; next !== 0; ) {
    const found = readTags(view, next);
    if (!((found.tags.get(TAG.kind)?.[0] ?? 0) & 1)) pictures.push(found);
    next = found.next;
  }
  if (pictures.length !== 1) {
    throw new InputError(`The file holds ${pictures.length} pictures. Save each one as its own file.`);
  }
  return pictures[0];
}

function layout({ little, tags }) {
  const first = (tag, otherwise) => tags.get(tag)?.[0] ?? otherwise;
  const [height, width] = [first(TAG.height), first(TAG.width)];
  checkSize(height, width);
  const tiled = tags.has(TAG.tileWidth);
  const page = {
    little, height, width,
    bits: first(TAG.bits, 1),
    samples: first(TAG.samples, 1),
    photometric: first(TAG.photometric, BLACK_IS_ZERO),
    unpack: UNPACK[first(TAG.compression, 1)],
    differences: first(TAG.predictor, 1) === 2,
    apart: first(TAG.planar, 1) === 2,
    orientation: first(TAG.orientation, 1),
    tall: tiled ? first(TAG.tileHeight) : Math.min(first(TAG.rows, height), height),
    wide: tiled ? first(TAG.tileWidth) : width,
    tiled,
    offsets: tags.get(tiled ? TAG.tileOffsets : TAG.offsets),
    counts: tags.get(tiled ? TAG.tileCounts : TAG.counts),
    colours: tags.get(TAG.colours),
    alpha: (tags.get(TAG.extra) ?? []).filter((extra) => extra === 1 || extra === 2).length,
  };
  checkSupported(page, first(TAG.compression, 1), first(TAG.format, 1), first(TAG.predictor, 1));
  return page;
}

function checkSupported(page, compression, format, predictor) {
  const advice = "Save it as PNG, or as TIFF with LZW or without compression.";
  if (!page.unpack) throw new InputError(`This page cannot unpack TIFF compression ${compression}. ${advice}`);
  if (![1, 8, 16].includes(page.bits) || format !== 1 || predictor > 2) {
    throw new InputError(`This page reads TIFF samples of 1, 8 or 16 bits; found another kind. ${advice}`);
  }
  if (![WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE].includes(page.photometric)) {
    throw new InputError(`Expected grey or RGB, found TIFF colour space ${page.photometric}. Convert it to RGB.`);
  }
}

/** All samples, pixel by pixel (H, W, samples). */
async function samplesOf(bytes, page) {
  const { height, width, tall, wide, samples, apart } = page;
  const [down, across, layers] = [Math.ceil(height / tall), Math.ceil(width / wide), apart ? samples : 1];
  const result = new (page.bits === 16 ? Uint16Array : Uint8Array)(height * width * samples);
  const inside = samples / layers;
  for (let n = 0; n < layers * down * across; n++) {
    const layer = Math.floor(n / (down * across));
    const [top, left] = [(Math.floor(n / across) % down) * tall, (n % across) * wide];
    const rows = page.tiled ? tall : Math.min(tall, height - top);
    const piece = await segment(bytes, page, n, rows, inside);
    for (let y = 0; y < Math.min(rows, height - top); y++) {
      for (let x = 0; x < Math.min(wide, width - left) * inside; x++) {
        const to = ((top + y) * width + left) * samples + (apart ? x * samples + layer : x);
        result[to] = piece[y * wide * inside + x];
      }
    }
  }
  return result;
}

/** One strip or tile (rows, wide, inside). */
async function segment(bytes, page, index, rows, inside) {
  const [offset, count] = [page.offsets[index], page.counts[index]];
  if (!(offset + count <= bytes.length)) throw new InputError("The TIFF file is cut off. Copy or export it again.");
  const raw = await page.unpack(bytes.subarray(offset, offset + count));
  const length = page.wide * inside;
  const needed = rows * Math.ceil((length * page.bits) / 8);
  if (raw.length < needed) throw new InputError("The TIFF file is cut off. Copy or export it again.");
  const plain = raw.subarray(0, needed);
  const values = page.bits === 16 ? words(plain, page.little) : unpackBits(plain, rows, length, page.bits).slice();
  if (page.differences) {
    for (let y = 0; y < rows; y++) {
      for (let x = inside; x < length; x++) values[y * length + x] += values[y * length + x - inside];
    }
  }
  return values;
}

function coloured(samples, page, mask) {
  const { height, width, photometric, bits, colours } = page;
  const channels = page.samples - page.alpha;
  let pixels = planar(samples, page.samples, channels);
  if (bits === 1) pixels = pixels.map((value) => value * 255);
  if (photometric === WHITE_IS_ZERO) pixels = pixels.map((value) => (bits === 16 ? 65535 : 255) - value);
  if (photometric !== PALETTE) return { pixels, channels, height, width };
  const entries = colours.length / 3;
  // Palette colours are stored with 16 bits; some writers put 8-bit values there all the same.
  const shift = Math.max(...colours) > 255 ? 8 : 0;
  const colour = (n, c) => colours[c * entries + n] >> shift;
  const numbers = bits === 1 ? samples : pixels;
  const same = (n) => colour(n, 0) === colour(n, 1) && colour(n, 0) === colour(n, 2);
  const grey = Array.from({ length: entries }, (_, n) => same(n)).every(Boolean);
  if (mask && !grey) return { pixels: numbers, channels: 1, height, width };
  const shown = grey ? [0] : [0, 1, 2];
  const planes = new Uint8Array(shown.length * numbers.length);
  shown.forEach((c) => numbers.forEach((n, i) => (planes[c * numbers.length + i] = colour(n, c))));
  return { pixels: planes, channels: shown.length, height, width };
}

/** PackBits: a count and either so many bytes as they are, or one byte so many times. */
function unpackRuns(bytes) {
  const result = [];
  for (let at = 0; at < bytes.length; ) {
    const count = bytes[at++];
    if (count < 128) {
      for (let i = 0; i <= count; i++) result.push(bytes[at++]);
    } else if (count > 128) {
      for (let i = 0; i < 257 - count; i++) result.push(bytes[at]);
      at += 1;
    }
  }
  return Uint8Array.from(result);
}
