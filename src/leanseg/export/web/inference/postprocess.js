/** From logits to probabilities and from probabilities to labels. */

import { largest } from "../images/morphology.js";

/** Whether each output of the network is a probability by itself; else they compete, background first. */
export const isSigmoid = (classes) => classes.overlapping || classes.names.length === 1;

/** Outputs of the network. */
export const outputsOf = (classes) => classes.names.length + (isSigmoid(classes) ? 0 : 1);

/**
 * Probabilities of the foreground classes.
 *
 * @param {Float32Array} logits (outputs, H, W)
 * @param {object} classes of the model
 * @param {number[]} temperature divides the logits; one number, or one for each output
 * @returns {Float32Array} (K, H, W)
 */
export function toProbabilities(logits, classes, temperature) {
  const outputs = outputsOf(classes);
  const size = logits.length / outputs;
  const heat = Array.from({ length: outputs }, (_, k) => Math.fround(temperature[temperature.length > 1 ? k : 0]));
  if (isSigmoid(classes)) {
    return logits.map((value, i) => 1 / (1 + Math.exp(-value / heat[Math.floor(i / size)])));
  }
  const result = new Float32Array(size * (outputs - 1));
  const shares = new Float64Array(outputs);
  for (let i = 0; i < size; i++) {
    let highest = -Infinity;
    for (let k = 0; k < outputs; k++) highest = Math.max(highest, (shares[k] = logits[k * size + i] / heat[k]));
    let sum = 0;
    for (let k = 0; k < outputs; k++) sum += shares[k] = Math.exp(shares[k] - highest);
    for (let k = 1; k < outputs; k++) result[(k - 1) * size + i] = shares[k] / sum;
  }
  return result;
}

/**
 * Decide for every pixel.
 *
 * @param {Float32Array} probabilities (K, H, W)
 * @param {object} classes one class or overlapping ones are compared with their thresholds; of competing ones the most
 *   probable, the background included, wins
 * @param {number[]} threshold one for each class
 * @returns {Uint8Array} (H, W) class numbers, or (K, H, W) of 0 and 1 where classes overlap
 */
export function toLabels(probabilities, classes, threshold) {
  const size = probabilities.length / classes.names.length;
  if (isSigmoid(classes)) {
    const labels = new Uint8Array(probabilities.length);
    classes.names.forEach((_, k) => {
      const limit = Math.fround(threshold[k]);
      for (let i = k * size; i < (k + 1) * size; i++) labels[i] = probabilities[i] > limit ? 1 : 0;
    });
    return labels;
  }
  const labels = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let k = i; k < probabilities.length; k += size) sum = Math.fround(sum + probabilities[k]);
    let best = Math.fround(1 - sum);
    for (let k = i, number = 1; k < probabilities.length; k += size, number++) {
      if (probabilities[k] > best) {
        best = probabilities[k];
        labels[i] = number;
      }
    }
  }
  return labels;
}

/** Only the largest connected piece of each class; pieces that touch at a corner are one. */
export function keepLargest(labels, classes, height, width) {
  const result = new Uint8Array(labels.length);
  const size = height * width;
  classes.names.forEach((_, k) => {
    const kept = largest(maskOf(labels, classes, k, size), height, width, true);
    const start = classes.overlapping ? k * size : 0;
    for (let i = 0; i < size; i++) if (kept[i]) result[start + i] = classes.overlapping ? 1 : k + 1;
  });
  return result;
}

/** Where one class lies: 0 and 1. */
export function maskOf(labels, classes, index, size) {
  if (classes.overlapping) return labels.subarray(index * size, (index + 1) * size);
  return labels.map((number) => (number === index + 1 ? 1 : 0));
}

/** Ratios are taken to thresholds of at least this. */
const LEAST = 1e-6;

/**
 * One class number for each pixel, for display: of overlapping classes that claim a pixel, the one whose probability
 * exceeds its own threshold by the largest factor.
 */
export function merged(labels, probabilities, classes, threshold) {
  if (!classes.overlapping) return labels;
  const size = labels.length / classes.names.length;
  const result = new Uint8Array(size);
  const best = new Float32Array(size);
  classes.names.forEach((_, k) => {
    const limit = Math.max(Math.fround(threshold[k]), LEAST);
    for (let i = 0; i < size; i++) {
      const ratio = Math.fround(probabilities[k * size + i] / limit);
      if (labels[k * size + i] && ratio > best[i]) {
        best[i] = ratio;
        result[i] = k + 1;
      }
    }
  });
  return result;
}

/** The final labels of an image. */
export function decide(probabilities, classes, threshold, height, width) {
  const labels = toLabels(probabilities, classes, threshold);
  return classes.single_object ? keepLargest(labels, classes, height, width) : labels;
}
