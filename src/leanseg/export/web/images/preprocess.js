/** From the pixels of a file to what a network sees, by the settings of the model's `config.json`. */

import { Clahe } from "./clahe.js";
import { findFieldOfView, withoutRim } from "./field_of_view.js";
import { InputError, plane } from "./image.js";
import { divideUp, roundHalfEven } from "./numbers.js";
import { Resampling, resampleMask } from "./resample.js";
import { affine, blockMean, blockOf } from "./statistics.js";

const COLOURS = ["red", "green", "blue"];
const LUMA = [0.299, 0.587, 0.114].map(Math.fround);
/** A field of view this close to the wanted diameter stays as it is: resampling would only blur it. */
const TOLERANCE = 0.05;

/**
 * Prepare an image for a model.
 *
 * @param {import("./image.js").Image} image
 * @param {object} settings `preprocessing` of the model
 * @returns {Prepared}
 */
export function prepare(image, settings) {
  checkChannels(image, settings);
  const { height, width } = image;
  const block = blockOf(height, width);
  const size = [divideUp(height, block), divideUp(width, block)];
  let small = settings.channels.map((_, c) => blockMean(select(image, settings, c), height, width, block));
  const field = settings.field_of_view === "fundus" ? findFieldOfView(small, ...size) : null;
  const valid = field ? withoutRim(field, ...size) : new Uint8Array(small[0].length).fill(1);
  const equaliser = settings.clahe ? new Clahe(small, size, settings.clahe, valid) : null;
  if (equaliser) small = equaliser.apply(small, ...size);
  const affines = small.map((channel) => affine(settings.normalise, channel, valid));
  const scale = scaleOf(image, settings, field, block);
  return new Prepared({ image, settings, scale, field, block, size, affines, equaliser });
}

/** An image on the network's grid. */
class Prepared {
  constructor({ image, settings, scale, field, block, size, affines, equaliser }) {
    const source = [image.height, image.width];
    const shape = source.map((side) => Math.max(1, roundHalfEven(side * scale)));
    /** Height and width of the image and of the network's grid. */
    Object.assign(this, { source, shape, affines });
    /** From the image's grid to the network's. */
    this.resampling = new Resampling(source, shape);
    const onGrid = (grid) => {
      if (!field) return new Uint8Array(grid[0] * grid[1]).fill(1);
      return resampleMask(field.mask, new Resampling(size, grid, source.map((side, i) => side / grid[i] / block)));
    };
    /** The field of view on the network's grid. */
    this.valid = onGrid(shape);
    /** Normalised channels on the network's grid; 0 outside the field of view. */
    this.pixels = this.#read(image, settings, equaliser);
    /** The field of view on the image's grid. */
    this.field = onGrid(source);
  }

  #read(image, settings, equaliser) {
    const selected = (_, c) => select(image, settings, c);
    const equal = equaliser ? equaliser.apply(settings.channels.map(selected), ...this.source) : null;
    return settings.channels.map((name, c) => {
      const { shift, divisor } = this.affines[c];
      const values = this.resampling.apply(equal ? equal[c] : selected(name, c));
      for (let i = 0; i < values.length; i++) values[i] = this.valid[i] ? Math.fround(values[i] - shift) / divisor : 0;
      return values;
    });
  }

  /** Bring a map (H, W) from the network's grid to the image's. */
  toSource(values) {
    return this.resampling.inverse.apply(values);
  }
}

function scaleOf(image, settings, field, block) {
  if (field && settings.diameter) {
    const scale = settings.diameter / (field.diameter * block);
    return Math.abs(scale - 1) <= TOLERANCE ? 1 : scale;
  }
  return settings.longest ? Math.min(1, settings.longest / Math.max(image.height, image.width)) : 1;
}

const named = (settings) => settings.channels.every((name) => [...COLOURS, "grey"].includes(name));

function checkChannels(image, settings) {
  const fits = named(settings) ? [1, 3].includes(image.channels) : image.channels === settings.channels.length;
  if (!fits) {
    const wanted = settings.channels.join(", ");
    const msg = `The model needs the channels ${wanted}; this image has ${image.channels} channels`;
    throw new InputError(`${msg}. Choose another image.`);
  }
  if (settings.clahe && !(image.pixels instanceof Uint8Array)) {
    throw new InputError("The model needs a picture with 8 bits per channel; this one has more. Save it with 8 bits.");
  }
}

/** A channel of the network, clipped to the window of the settings. */
function select(image, settings, index) {
  const values = named(settings) ? byName(image, settings.channels[index]) : plane(image, index);
  if (!settings.window) return values;
  const [low, high] = settings.window.map(Math.fround);
  const result = new Float32Array(values);
  for (let i = 0; i < result.length; i++) result[i] = Math.min(Math.max(result[i], low), high);
  return result;
}

function byName(image, name) {
  if (image.channels === 1) return plane(image, 0);
  if (name !== "grey") return plane(image, COLOURS.indexOf(name));
  const [red, green, blue] = [0, 1, 2].map((c) => plane(image, c));
  const [r, g, b] = LUMA;
  return new Float32Array(red.length).map((_, i) => {
    return Math.fround(red[i] * r) + Math.fround(green[i] * g) + Math.fround(blue[i] * b);
  });
}
