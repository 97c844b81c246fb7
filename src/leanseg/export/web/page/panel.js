/** The column beside the image: images, classes with their thresholds, and scores against a mask. */

import { isSigmoid } from "../inference/postprocess.js";
import { CONFUSED, CORRECT, EXTRA, MISSED } from "./paint.js";

export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const spelled = (count) => count.toLocaleString("en-GB");
/** What shares are shares of. */
export const whole = (model) => (model.preprocessing.field_of_view === "none" ? "image" : "field of view");
const two = (value) => value.toFixed(2);

/** An element with attributes and children. */
export function make(kind, attributes = {}, ...children) {
  const element = document.createElement(kind);
  Object.assign(element, attributes);
  element.append(...children);
  return element;
}

const swatch = (colour) => {
  const element = make("span", { className: "swatch" });
  element.style.setProperty("--colour", colour);
  return element;
};

/** What a row of the list says. */
function stateOf(item, doing) {
  if (item.failure) return "not segmented";
  if (item.figures?.classes.length > 1) return "segmented";
  if (item.figures) return `${item.figures.classes[0].name} ${percent(item.figures.classes[0].fraction)}`;
  return item === doing ? "segmenting" : "waiting";
}

/** Draw the list of images. Rows stay what they are, so that the one that is pressed or has the focus keeps it. */
export function showList(list, session, doing, choose) {
  session.items.forEach((item, n) => {
    const button = (list.children[n] ?? list.appendChild(rowOf(item, choose))).firstChild;
    button.setAttribute("aria-current", item === session.current);
    const state = button.lastChild;
    state.classList.toggle("bad", Boolean(item.failure));
    state.textContent = stateOf(item, doing);
  });
}

function rowOf(item, choose) {
  const parts = ["name", "state"].map((className) => make("span", { className }));
  parts[0].textContent = item.name;
  const button = make("button", { type: "button" }, ...parts);
  button.addEventListener("click", () => choose(item));
  return make("li", {}, button);
}

/** One block for each class, with a slider where the class has a threshold. */
export class ClassBlocks {
  #blocks;
  #model;

  /**
   * @param {HTMLElement} element
   * @param {object} model
   * @param {(thresholds: number[]) => void} change
   */
  constructor(element, model, change) {
    const { classes } = model;
    const thresholds = [...model.threshold];
    this.#model = model;
    this.#blocks = classes.names.map((name, index) => {
      const share = make("span", { className: "share" });
      const facts = make("p", { className: "hint" });
      const head = make("p", { className: "head" }, swatch(classes.colours[index]), make("strong", {}, name), share);
      const block = make("div", { className: "class" }, head, facts);
      const own = isSigmoid(classes) ? model.threshold[index] : null;
      if (own !== null) {
        block.append(slider(name, own, (value) => {
          thresholds[index] = value;
          change([...thresholds]);
        }));
      }
      return { block, share, facts, own };
    });
    element.replaceChildren(...this.#blocks.map(({ block }) => block));
  }

  /** Show the figures of an image by some thresholds. */
  show(item, thresholds) {
    item.figures.classes.forEach(({ area, fraction }, index) => {
      const { share, facts, own } = this.#blocks[index];
      share.textContent = percent(fraction);
      const { unlike, dice } = item.result.quality;
      // What was learnt from images of one kind says nothing about another.
      const found = `of the ${whole(this.#model)}, ${spelled(area)} pixels`;
      const lines = [found, ...(unlike ? [] : expectation(dice[index]))];
      if (lines.length > 1 && own !== null && own !== thresholds[index]) lines[1] += `, at threshold ${two(own)}`;
      facts.replaceChildren(...lines.flatMap((line) => [line, make("br")]).slice(0, -1));
    });
  }
}

/** The Dice to expect of the mask that the model's own threshold gives. */
function expectation(dice) {
  if (!dice) return [];
  const interval = dice.low === null ? "" : ` (${two(dice.low)} to ${two(dice.high)})`;
  return [`Expected Dice ${two(dice.value)}${interval}`];
}

function slider(name, own, change) {
  const id = `threshold-${name.replaceAll(/\W+/g, "-")}`;
  const input = make("input", { type: "range", id, min: "0.01", max: "0.99", step: "0.01", value: String(own) });
  input.setAttribute("aria-label", `Threshold of ${name}`);
  const value = make("output", {});
  value.htmlFor = id;
  const reset = make("button", { type: "button", className: "quiet small" }, "Reset");
  reset.setAttribute("aria-label", `Reset the threshold of ${name}`);
  const set = (threshold) => {
    value.textContent = two(threshold);
    reset.hidden = threshold === own;
    input.setAttribute("aria-valuetext", threshold === own ? `${two(own)}, the model's own` : two(threshold));
  };
  input.addEventListener("input", () => {
    set(input.valueAsNumber);
    change(input.valueAsNumber);
  });
  reset.addEventListener("click", () => {
    // The slider's steps are coarser than the model's threshold.
    input.value = String(own);
    set(own);
    change(own);
    input.focus();
  });
  set(own);
  return make("div", { className: "control" }, make("label", { htmlFor: id }, "Threshold"), reset, value, input);
}

/** Say whether the image is like those of training. */
export function showTrust(element, quality) {
  element.className = quality.unlike ? "warning" : "hint";
  element.hidden = quality.unlike === null;
  element.textContent = quality.unlike
    ? `Unlike the training images: ${quality.reasons.join(", ")}. Do not trust this mask without looking at it.`
    : "The image is like those that the model learnt from.";
}

/** Draw scores and the meaning of the colours. */
export function showScores(element, { classes, totals, note }) {
  const compared = classes.filter(({ counts }) => counts);
  const scores = compared.map(({ name, dice }) => {
    const figure = make("strong", { className: "figure" }, dice === null ? "none" : dice.toFixed(3));
    return make("p", { className: "score" }, `Dice${classes.length > 1 ? ` of ${name}` : ""} `, figure);
  });
  const meaning = [[CORRECT, "correct"], [EXTRA, "too much"], [MISSED, "missed"], [CONFUSED, "another class"]];
  const legend = meaning.slice(0, compared.length > 1 ? 4 : 3).map(([colour, text], n) => {
    const count = make("span", { className: "share" }, `${spelled(totals[n + 1])} pixels`);
    return make("li", {}, swatch(colour), text, count);
  });
  element.replaceChildren(...scores, make("ul", { className: "legend" }, ...legend));
  if (note) element.append(make("p", { className: "hint" }, note));
}
