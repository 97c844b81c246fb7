/** LZW as TIFF 6.0 (section 13) has it: codes of 9 to 12 bits, the highest bit first. */

import { InputError } from "../images/image.js";

const CLEAR = 256, END = 257, MOST = 4096;

/** Unpack bytes. */
export function unpackLzw(bytes) {
  // Each code stands for what another one does and one byte more.
  const prefix = new Int32Array(MOST);
  const last = Uint8Array.from({ length: MOST }, (_, code) => code);
  const length = new Int32Array(MOST).fill(1);
  let result = new Uint8Array(4 * bytes.length + 1024);
  let [size, before, next, wide] = [0, -1, END + 1, 9];
  for (let bit = 0; bit + wide <= 8 * bytes.length; ) {
    const code = codeAt(bytes, bit, wide);
    bit += wide;
    if (code === END) break;
    if (code === CLEAR) {
      [before, next, wide] = [-1, END + 1, 9];
      continue;
    }
    if (before >= 0 && next < MOST) {
      prefix[next] = before;
      length[next] = length[before] + 1;
      // A code that is not there yet starts and ends with the byte that the one before starts with.
      last[next] = firstByte(code < next ? code : before, prefix, length);
      next += 1;
      // Codes grow one entry earlier than needed.
      if (next + 1 >= 1 << wide && wide < 12) wide += 1;
    }
    if (code >= next) throw new InputError("The TIFF file is damaged: its LZW data make no sense. Export it again.");
    while (size + length[code] > result.length) result = grown(result);
    size += length[code];
    for (let at = size - 1, now = code, n = length[code]; n > 0; n--, at--) {
      result[at] = last[now];
      now = prefix[now];
    }
    before = code;
  }
  return result.subarray(0, size);
}

function codeAt(bytes, bit, wide) {
  const at = bit >> 3;
  const window = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
  return (window >> (24 - wide - (bit & 7))) & ((1 << wide) - 1);
}

function firstByte(code, prefix, length) {
  let now = code;
  for (let n = length[code]; n > 1; n--) now = prefix[now];
  return now;
}

function grown(bytes) {
  const larger = new Uint8Array(2 * bytes.length);
  larger.set(bytes);
  return larger;
}
