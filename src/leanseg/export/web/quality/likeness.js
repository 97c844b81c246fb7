/** Is an image like those a model learnt from? Its distance from them, and in which respects it differs. */

/** Share of images like those of training that are called unlike. */
const FALSE_ALARMS = 0.05;
/** Standard deviations from which a respect is worth naming. */
const STRIKING = 2;

const COMBINATION = "an unusual combination of brightness, contrast and detail";
const WORDS = {
  level: ["darker", "brighter"],
  contrast: ["of lower contrast", "of higher contrast"],
  asymmetry: ["with more dark pixels", "with more bright pixels"],
  tails: ["with fewer extreme values", "with more extreme values"],
  "detail 1": ["blurred", "sharper or noisier"],
  "detail 2": ["with less fine structure", "with more fine structure"],
  "detail 3": ["with less coarse structure", "with more coarse structure"],
  noise: ["smooth between edges, as after compression", "noisy"],
  field: ["with a smaller field of view", "with a larger field of view"],
  size: ["smaller", "larger"],
};

/**
 * Whether an image is unlike the training images, and in which respects, the most striking first.
 *
 * @param {object} reference of the model
 * @param {number[]} looks as `appearance` gives them
 */
export function likeness({ names, centre, scale, precision, distances }, looks) {
  const standard = looks.map((value, i) => (value - centre[i]) / scale[i]);
  if (distanceOf(standard, precision) <= limit(distances)) return { unlike: false, reasons: [] };
  const order = standard.map((_, i) => i).sort((a, b) => Math.abs(standard[b]) - Math.abs(standard[a]));
  const striking = order.filter((i) => Math.abs(standard[i]) >= STRIKING).slice(0, 3);
  const reasons = [...new Set(striking.map((i) => say(names[i], standard[i] > 0)))];
  return { unlike: true, reasons: reasons.length ? reasons : [COMBINATION] };
}

/** Mahalanobis's distance, divided by the root of the dimensions: about 1 for training images. */
function distanceOf(standard, precision) {
  const squares = standard.map((value, i) => value * precision[i].reduce((sum, p, j) => sum + p * standard[j], 0));
  return Math.sqrt(squares.reduce((a, b) => a + b) / standard.length);
}

function limit(distances) {
  const rank = Math.ceil((distances.length + 1) * (1 - FALSE_ALARMS) - 1e-9);
  return distances[Math.min(rank, distances.length) - 1];
}

function say(name, more) {
  const [what, channel] = name.split(" of ");
  return WORDS[what][Number(more)] + (channel ? ` (${channel})` : "");
}
