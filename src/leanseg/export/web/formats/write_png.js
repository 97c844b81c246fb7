/** Masks as PNG files of grey values, without a canvas, which would make colours of them. */

import { deflate } from "./bytes.js";

/**
 * A PNG file with one value for each pixel.
 *
 * @param {Uint8Array|Uint16Array} values (H, W)
 * @returns {Promise<Blob>}
 */
export async function writePng(values, height, width) {
  const bytes = values.BYTES_PER_ELEMENT;
  const rows = new Uint8Array(height * (width * bytes + 1));
  for (let y = 0, at = 0; y < height; y++) {
    rows[at++] = 0; // no filter
    for (let i = y * width; i < (y + 1) * width; i++) {
      if (bytes === 2) rows[at++] = values[i] >> 8;
      rows[at++] = values[i] & 255;
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8 * bytes);
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await deflate(rows)),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

function chunk(name, content) {
  const result = new Uint8Array(content.length + 12);
  const view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set(Array.from(name, (letter) => letter.charCodeAt(0)), 4);
  result.set(content, 8);
  view.setUint32(content.length + 8, checksum(result.subarray(4, content.length + 8)));
  return result;
}

/** CRC-32 of the PNG specification, annex D. */
function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}
