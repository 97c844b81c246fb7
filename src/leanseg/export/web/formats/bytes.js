/** Reading of binary files. */

import { InputError } from "../images/image.js";

/** The most pixels of an image: beyond it, a browser runs out of memory. */
const MOST_PIXELS = 40e6;

/** Refuse an image that is empty or too large for a browser. */
export function checkSize(height, width) {
  if (!(height > 0 && width > 0)) throw new InputError("The file holds no pixels. Export it again.");
  if (height * width > MOST_PIXELS) {
    const found = `${width} x ${height} pixels, more than the ${MOST_PIXELS / 1e6} million that a browser holds`;
    throw new InputError(`The image has ${found}. Segment it with: leanseg segment`);
  }
}

/** Inflate zlib data (RFC 1950). */
export async function inflate(bytes) {
  return through(new DecompressionStream("deflate"), bytes, "The file is damaged: its pixels cannot be unpacked.");
}

/** Deflate as zlib data. */
export async function deflate(bytes) {
  return through(new CompressionStream("deflate"), bytes, "Cannot pack the pixels.");
}

async function through(stream, bytes, message) {
  try {
    const packed = new Blob([bytes]).stream().pipeThrough(stream);
    return new Uint8Array(await new Response(packed).arrayBuffer());
  } catch {
    throw new InputError(`${message} Copy or export it again.`);
  }
}

/** Samples of 16 bits from bytes. */
export function words(bytes, littleEndian) {
  const result = new Uint16Array(bytes.length >> 1);
  const [low, high] = littleEndian ? [0, 1] : [1, 0];
  for (let i = 0; i < result.length; i++) result[i] = bytes[2 * i + low] | (bytes[2 * i + high] << 8);
  return result;
}

/** Samples of 1, 2, 4 or 8 bits from rows of bytes, each row starting anew: (height, length). */
export function unpackBits(bytes, height, length, bits) {
  if (bits === 8) return bytes.subarray(0, height * length);
  const stride = Math.ceil((length * bits) / 8);
  const result = new Uint8Array(height * length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < length; x++) {
      const place = x * bits;
      const byte = bytes[y * stride + (place >> 3)];
      result[y * length + x] = (byte >> (8 - bits - (place & 7))) & ((1 << bits) - 1);
    }
  }
  return result;
}

/**
 * Tags of the first picture of a TIFF structure, which also holds the EXIF data of PNG files.
 *
 * @param {DataView} view
 * @returns {{little: boolean, tags: Map<number, number[]>, next: number}} values by tag, and where the next picture is
 */
export function readTags(view, offset = null) {
  const order = view.getUint16(0);
  const little = order === 0x4949;
  if ((!little && order !== 0x4d4d) || view.getUint16(2, little) !== 42) {
    throw new InputError("This kind of TIFF file cannot be read here (BigTIFF). Save it as a plain TIFF or PNG.");
  }
  const start = offset ?? view.getUint32(4, little);
  const count = view.getUint16(start, little);
  const tags = new Map();
  for (let n = 0; n < count; n++) {
    const entry = start + 2 + 12 * n;
    const values = readValues(view, entry, little);
    if (values) tags.set(view.getUint16(entry, little), values);
  }
  return { little, tags, next: view.getUint32(start + 2 + 12 * count, little) };
}

/** Whole numbers of one entry; null for texts and fractions. */
function readValues(view, entry, little) {
  const size = { 1: 1, 3: 2, 4: 4 }[view.getUint16(entry + 2, little)];
  if (!size) return null;
  const count = view.getUint32(entry + 4, little);
  const start = count * size <= 4 ? entry + 8 : view.getUint32(entry + 8, little);
  const read = { 1: "getUint8", 2: "getUint16", 4: "getUint32" }[size];
  return Array.from({ length: count }, (_, i) => view[read](start + i * size, little));
}
