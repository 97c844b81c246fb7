/** Uncompressed DICOM pictures of one frame. Nothing of a patient's data is kept or enters a message. */

import { InputError, planar } from "../images/image.js";
import { checkSize } from "./bytes.js";

const [IMPLICIT, EXPLICIT] = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"];
const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const UNDEFINED = 0xffffffff;
const TAG = {
  transfer: 0x00020010, samples: 0x00280002, photometric: 0x00280004, planar: 0x00280006, frames: 0x00280008,
  rows: 0x00280010, columns: 0x00280011, allocated: 0x00280100, stored: 0x00280101, signed: 0x00280103,
  intercept: 0x00281052, slope: 0x00281053, table: 0x00283000, pixels: 0x7fe00010,
};
const ITEM = 0xfffee000, ITEM_END = 0xfffee00d, SEQUENCE_END = 0xfffee0dd;
const WANTED = new Set(Object.values(TAG));

/** Whether bytes start as a DICOM file. */
export const isDicom = (bytes) => String.fromCharCode(...bytes.subarray(128, 132)) === "DICM";

/**
 * Read a picture in the units that its header gives; the dark end of the scale is black, colours are red, green, blue.
 *
 * @param {Uint8Array} bytes the file
 * @returns {import("../images/image.js").Image}
 */
export function readDicom(bytes) {
  let header;
  try {
    header = new Header(bytes);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("The DICOM file is damaged or cut off. Copy or export it again.");
  }
  const [height, width, samples] = [header.number(TAG.rows), header.number(TAG.columns), header.number(TAG.samples, 1)];
  checkSize(height, width);
  checkKind(header);
  const stored = storedPixels(header, height * width * samples);
  if (samples === 1) return { pixels: rescaled(header, stored), channels: 1, height, width };
  const pixels = header.number(TAG.planar, 0) === 1 ? stored : planar(stored, samples, samples);
  return { pixels, channels: samples, height, width };
}

function checkKind(header) {
  const kind = header.text(TAG.photometric);
  const known = ["MONOCHROME1", "MONOCHROME2", "RGB"].includes(kind);
  if (!known || header.number(TAG.frames, 1) > 1 || header.has(TAG.table)) {
    const msg = "This page reads single grey or RGB pictures from DICOM files; this one is another kind";
    throw new InputError(`${msg}. Segment it with: leanseg segment`);
  }
}

function storedPixels(header, count) {
  const content = header.content(TAG.pixels);
  const [bits, signed] = [header.number(TAG.allocated), header.number(TAG.signed, 0) === 1];
  if (![8, 16].includes(bits) || (signed && bits === 8)) {
    throw new InputError(`Expected 8 or 16 bits per pixel, found ${bits}. Segment it with: leanseg segment`);
  }
  if (!content || content.length < (count * bits) / 8) {
    throw new InputError("The DICOM file is cut off: pixels are missing. Copy or export it again.");
  }
  if (bits === 8) return content.slice(0, count);
  // Copied, because samples of two bytes need an even place in memory.
  return new (signed ? Int16Array : Uint16Array)(content.slice(0, 2 * count).buffer);
}

function rescaled(header, stored) {
  let values = stored;
  if (header.text(TAG.photometric) === "MONOCHROME1") {
    const ends = stored instanceof Int16Array ? -1 : 2 ** header.number(TAG.stored) - 1;
    values = values.map((value) => ends - value);
  }
  const [slope, intercept] = [header.fraction(TAG.slope, 1), header.fraction(TAG.intercept, 0)];
  if (slope === 1 && intercept === 0) return values;
  return new Float32Array(values).map((value) => value * slope + intercept);
}

/** The elements of a file that matter for its pixels. */
class Header {
  #elements = new Map();

  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const body = this.#read(132, true, (tag) => tag >>> 16 === 2);
    const syntax = this.text(TAG.transfer);
    if (![IMPLICIT, EXPLICIT].includes(syntax)) {
      throw new InputError("This page cannot read compressed DICOM files. Segment it with: leanseg segment");
    }
    this.#read(body, syntax === EXPLICIT, () => true);
  }

  has(tag) {
    return this.#elements.has(tag);
  }

  content(tag) {
    const found = this.#elements.get(tag);
    return found && this.bytes.subarray(...found);
  }

  text(tag) {
    return String.fromCharCode(...(this.content(tag) ?? [])).replace(/[\0 ]+$/, "").trim();
  }

  /** A short whole number, or the text of one. */
  number(tag, otherwise = NaN) {
    const found = this.#elements.get(tag);
    if (!found) return otherwise;
    return tag === TAG.frames ? Number(this.text(tag)) : this.view.getUint16(found[0], true);
  }

  fraction(tag, otherwise) {
    return this.text(tag) === "" ? otherwise : Number(this.text(tag));
  }

  /** Read elements from a place while a condition on their tags holds, and say where it stopped. */
  #read(start, explicit, goesOn) {
    let at = start;
    while (at + 8 <= this.bytes.length) {
      const element = this.#element(at, explicit);
      if (!goesOn(element.tag)) break;
      if (WANTED.has(element.tag)) this.#elements.set(element.tag, [element.from, element.to]);
      at = element.to;
      if (element.tag === TAG.pixels) break;
    }
    return at;
  }

  #element(at, explicit) {
    const tag = this.#tag(at);
    const kind = String.fromCharCode(this.bytes[at + 4], this.bytes[at + 5]);
    const long = explicit && LONG.has(kind);
    const short = explicit && !long;
    const length = short ? this.view.getUint16(at + 6, true) : this.view.getUint32(at + (long ? 8 : 4), true);
    const from = at + (long ? 12 : 8);
    return { tag, from, to: length === UNDEFINED ? this.#afterItems(from, explicit) : from + length };
  }

  /** Where a sequence of undefined length ends. */
  #afterItems(start, explicit) {
    let at = start;
    for (;;) {
      const [tag, length] = [this.#tag(at), this.view.getUint32(at + 4, true)];
      at += 8;
      if (tag === SEQUENCE_END) return at;
      if (tag !== ITEM) throw new InputError("The DICOM file is damaged. Copy or export it again.");
      if (length !== UNDEFINED) at += length;
      else {
        while (this.#tag(at) !== ITEM_END) at = this.#element(at, explicit).to;
        at += 8;
      }
    }
  }

  #tag(at) {
    return ((this.view.getUint16(at, true) << 16) | this.view.getUint16(at + 2, true)) >>> 0;
  }
}
