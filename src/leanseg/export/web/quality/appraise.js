/** Everything that a model can say about one of its own answers. */

import { countNonzero } from "../images/numbers.js";
import { decide, maskOf } from "../inference/postprocess.js";
import { appearance } from "./appearance.js";
import { likeness } from "./likeness.js";
import { traitVector, traitsOf } from "./traits.js";

/**
 * Judge the masks that the model's own thresholds give.
 *
 * @param {object} model `config.json`
 * @param {object} prepared the image on the network's grid
 * @param {Float32Array} probabilities (K, H, W)
 * @returns {{unlike: boolean|null, reasons: string[], dice: ({value: number, low: number, high: number}|null)[]}}
 *   whether the image is unlike the training images, and the Dice to expect of each class; null where unknown
 */
export function appraise(model, prepared, probabilities, height, width) {
  const { classes, threshold } = model;
  const size = height * width;
  const labels = decide(probabilities, classes, threshold, height, width);
  const field = countNonzero(prepared.field);
  const dice = classes.names.map((name, k) => {
    if (!model.quality[name]) return null;
    const plane = probabilities.subarray(k * size, (k + 1) * size);
    return expected(model.quality[name], traitsOf(maskOf(labels, classes, k, size), plane, height, width), field);
  });
  const known = model.reference.names !== undefined;
  return { dice, ...(known ? likeness(model.reference, appearance(prepared)) : { unlike: null, reasons: [] }) };
}

/** The Dice to expect of one mask; null where nothing was found. */
export function expected(fit, traits, field) {
  if (!traits.area) return null;
  const soft = (2 * traits.inside) / (traits.total + traits.area);
  const correction = traitVector(traits, field).reduce((sum, trait, i) => {
    return sum + ((trait - fit.centre[i]) / fit.scale[i]) * fit.weights[i];
  }, fit.intercept);
  const value = Math.min(Math.max(soft + correction, 0), fit.best);
  if (fit.margin === null) return { value, low: null, high: null };
  // Good masks vary less than poor ones.
  const reach = fit.margin * (1.05 - value);
  return { value, low: Math.max(0, value - reach), high: Math.min(1, value + reach) };
}
