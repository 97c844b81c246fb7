/** What can be said about a mask and its probabilities without knowing the truth. */

import { label } from "../images/morphology.js";
import { countNonzero } from "../images/numbers.js";

/**
 * Sums over one class of one image, inside the field of view.
 *
 * @param {Uint8Array} mask (H, W)
 * @param {Float32Array} probability (H, W)
 */
export function traitsOf(mask, probability, height, width) {
  const traits = { area: countNonzero(mask), inside: 0, total: 0, entropy: 0, border: 0 };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const p = probability[i];
      traits.total += p;
      if (mask[i]) traits.inside += p;
      if (p > 1e-4 && p < 1 - 1e-4) traits.entropy -= p * Math.log(p) + (1 - p) * Math.log(1 - p);
      // Pairs of neighbours of which one belongs to the mask.
      if (x && mask[i] !== mask[i - 1]) traits.border += 1;
      if (y && mask[i] !== mask[i - width]) traits.border += 1;
    }
  }
  return { ...traits, components: label(mask, height, width, true).sizes.length - 1 };
}

/** Doubt, extent, raggedness, pieces and certainty, of about the same size for masks of any size. */
export function traitVector(traits, field) {
  const area = Math.max(traits.area, 1);
  return [
    Math.log1p(traits.entropy / area),
    Math.log(area / Math.max(field, 1)),
    Math.log1p(traits.border / Math.sqrt(area)),
    Math.log1p(traits.components),
    traits.inside / area,
  ];
}
