/** The images of a visit: what was chosen, what is known of each, and one after the other through the model. */

import { countNonzero } from "../images/numbers.js";
import { decide, isSigmoid, maskOf } from "../inference/postprocess.js";
import { compare, encode } from "./compare.js";

/** Bytes of results that are kept; of older images only the figures are, and they are segmented again to be seen. */
const KEPT = 500e6;

/**
 * @typedef {object} Item one image
 * @property {File} file
 * @property {string} name
 * @property {object|null} result what the worker answered; null before, and when it was dropped for room
 * @property {object|null} figures of each class, with the thresholds that they belong to
 * @property {string} failure why it could not be segmented
 * @property {{mask: object, only: number|null}|null} truth a mask to compare with
 * @property {Promise|null} running while it is segmented
 */

export class Session {
  /** @type {Item[]} */
  items = [];
  /** @type {Item|null} the image that is shown */
  current = null;
  model = null;
  /** One for each class, the model's own to begin with. */
  thresholds = [];
  #engine;
  #tell;
  /** Images with results, the one that was seen last at the end. */
  #recent = [];

  /**
   * @param {import("./engine.js").Engine} engine
   * @param {(item: Item|null, share: number) => void} tell called when something of an image changed; `share` of it is
   *   done
   */
  constructor(engine, tell) {
    this.#engine = engine;
    this.#tell = tell;
  }

  /** Take the model's settings. */
  begin(model) {
    this.model = model;
    this.thresholds = [...model.threshold];
  }

  /** Add files; the first of them is shown. */
  add(files) {
    const added = Array.from(files, (file) => ({
      file, name: file.name, result: null, figures: null, failure: "", truth: null, running: null,
    }));
    this.items.push(...added);
    if (added.length) this.select(added[0]);
  }

  /** Show an image. */
  select(item) {
    this.current = item;
    if (item.result) this.#use(item);
    this.#tell(item, item.result || item.failure ? 1 : 0);
    this.#next();
  }

  /** Judge all by other thresholds, the shown image at once. */
  decideBy(thresholds) {
    this.thresholds = thresholds;
    if (this.current?.result) this.#count(this.current);
  }

  /** Compare the shown image with a mask file. */
  async compareWith(file, only) {
    const item = this.current;
    const mask = await this.#engine.mask(file);
    encode(mask, this.model.classes, item.result, only);
    item.truth = { mask, only };
    this.#count(item);
  }

  /** Take the comparison of the shown image away. */
  compareNoMore() {
    this.current.truth = null;
    this.#count(this.current);
  }

  /** Rows of the table, all images by the thresholds of now; those whose result was dropped are segmented again. */
  async rows() {
    const rows = [];
    for (const item of this.items) {
      if (item.failure) continue;
      if (item.figures?.key !== this.thresholds.join()) {
        if (!item.result) await this.#run(item);
        if (item.result) this.#count(item);
      }
      if (item.figures) rows.push(...item.figures.classes.map((figures) => this.#row(item, figures)));
    }
    return rows;
  }

  /** Labels of an image by the thresholds of now. */
  labels({ probabilities, height, width }) {
    return decide(probabilities, this.model.classes, this.thresholds, height, width);
  }

  #row(item, { name, area, fraction, dice, index }) {
    const threshold = isSigmoid(this.model.classes) ? this.thresholds[index] : null;
    return { image: item.name, class: name, area_pixels: area, fraction, threshold, dice };
  }

  /** Segment what is waiting, the shown image first. */
  async #next() {
    const waiting = (item) => !item.result && !item.failure;
    const shown = this.current && waiting(this.current) ? this.current : null;
    const item = shown ?? this.items.find((one) => waiting(one) && !one.figures);
    if (!item || this.items.some((one) => one.running)) return;
    await this.#run(item);
    this.#next();
  }

  /** Segment an image, unless that is being done already. */
  #run(item) {
    item.running ??= this.#segment(item).finally(() => (item.running = null));
    return item.running;
  }

  async #segment(item) {
    try {
      item.result = await this.#engine.segment(item.file, (share) => this.#tell(item, Math.min(share, 0.99)));
      this.#use(item);
      this.#count(item);
    } catch (error) {
      item.failure = error.message;
    }
    this.#tell(item, 1);
  }

  #count(item) {
    const { classes } = this.model;
    const { result } = item;
    const labels = this.labels(result);
    const size = result.height * result.width;
    const field = countNonzero(result.field);
    const comparison = item.truth && this.#compared(item, labels);
    item.figures = {
      key: this.thresholds.join(),
      kinds: comparison?.kinds,
      totals: comparison?.totals,
      note: comparison?.note ?? "",
      classes: classes.names.map((name, index) => {
        const area = countNonzero(maskOf(labels, classes, index, size));
        const counts = comparison?.counts.find((one) => one.index === index);
        return { name, index, area, fraction: field ? area / field : 0, dice: counts?.dice ?? null, counts };
      }),
    };
  }

  #compared(item, labels) {
    const { mask, only } = item.truth;
    const truth = encode(mask, this.model.classes, item.result, only);
    return { ...compare(labels, truth, this.model.classes, only), note: truth.note };
  }

  /** Keep a result, and drop those that were not seen for longest when there are too many. */
  #use(item) {
    this.#recent = [...this.#recent.filter((one) => one !== item), item];
    const bytes = ({ result }) => result.probabilities.byteLength + result.picture.pixels.byteLength;
    let total = this.#recent.reduce((sum, one) => sum + bytes(one), 0);
    for (const old of this.#recent.filter((one) => one !== item && one !== this.current)) {
      if (total <= KEPT) break;
      total -= bytes(old);
      old.result = null;
      this.#recent = this.#recent.filter((one) => one !== old);
    }
  }
}
