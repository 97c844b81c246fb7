/** Masks that a person drew beside masks of the model. */

import { InputError } from "../images/image.js";
import { maskOf } from "../inference/postprocess.js";

/**
 * Class numbers from the values of a mask file.
 *
 * @param {{values: ArrayLike<number>, height: number, width: number}} mask
 * @param {object} classes of the model
 * @param {{height: number, width: number}} image
 * @param {number|null} only the one class that the file shows, where classes overlap
 * @returns {{numbers: Uint8Array, ignored: Uint8Array, note: string}} 1 for that class where there is only one
 */
export function encode(mask, classes, image, only) {
  if (mask.height !== image.height || mask.width !== image.width) {
    const [found, wanted] = [mask, image].map(({ height, width }) => `${width} x ${height}`);
    throw new InputError(`The mask has ${found} pixels, the image ${wanted}. Choose the mask of this image.`);
  }
  const spelled = only === null ? classes.values : [classes.values[only]];
  const found = [...new Set(mask.values)].sort((a, b) => a - b);
  const known = new Set([classes.background, classes.ignore, ...spelled]);
  const [values, note] = found.every((value) => known.has(value)) ? [spelled, ""] : guess(found, spelled);
  const numbers = new Uint8Array(mask.values.length).map((_, i) => values.indexOf(mask.values[i]) + 1);
  const ignored = new Uint8Array(mask.values.length).map((_, i) => (mask.values[i] === classes.ignore ? 1 : 0));
  return { numbers, ignored, note };
}

/** A mask of two values shows one class, whatever the values are. */
function guess(found, spelled) {
  if (spelled.length === 1 && found.length === 2) {
    return [[found[1]], `${found[1]} was taken as the class, ${found[0]} as the background.`];
  }
  const some = found.slice(0, 6).join(", ") + (found.length > 6 ? ", ..." : "");
  const msg = `Expected the values ${spelled.join(", ")} and the background, found ${found.length} values: ${some}`;
  const cause = found.length > 20 ? " JPEG files blur the values: choose the PNG or TIFF of the mask." : "";
  throw new InputError(`${msg}.${cause}`);
}

/**
 * How the pixels of a prediction and of the truth meet, class by class, and where.
 *
 * @param {Uint8Array} labels of the model
 * @param {{numbers: Uint8Array, ignored: Uint8Array}} truth
 * @param {number|null} only the one class that the truth shows
 * @returns {{counts: {index: number, correct: number, extra: number, missed: number, dice: number|null}[],
 *   kinds: Uint8Array, totals: number[]}} kinds: 1 correct, 2 too much, 3 missed, 4 another class; and how many of each
 */
export function compare(labels, truth, classes, only) {
  const size = truth.numbers.length;
  const said = only === null ? labels : maskOf(labels, classes, only, size);
  const indices = only === null ? classes.names.map((_, k) => k) : [only];
  const table = new Float64Array((indices.length + 1) ** 2);
  const kinds = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    if (truth.ignored[i]) continue;
    const [yes, one] = [truth.numbers[i], said[i]];
    table[yes * (indices.length + 1) + one] += 1;
    if (yes || one) kinds[i] = yes === one ? 1 : !yes ? 2 : !one ? 3 : 4;
  }
  const at = (yes, one) => table[yes * (indices.length + 1) + one];
  const counts = indices.map((index, n) => {
    const correct = at(n + 1, n + 1);
    const others = Array.from({ length: indices.length + 1 }, (_, m) => m).filter((m) => m !== n + 1);
    const extra = others.reduce((sum, m) => sum + at(m, n + 1), 0);
    const missed = others.reduce((sum, m) => sum + at(n + 1, m), 0);
    const all = 2 * correct + extra + missed;
    return { index, correct, extra, missed, dice: all ? (2 * correct) / all : null };
  });
  const totals = [0, 0, 0, 0, 0];
  for (const kind of kinds) totals[kind] += 1;
  return { counts, kinds, totals };
}
