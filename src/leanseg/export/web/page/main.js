/** The page: what happens when something is chosen, dropped, moved or ready. */

import { merged } from "../inference/postprocess.js";
import { showCard } from "./card.js";
import { maskFiles, save, tableFile } from "./download.js";
import { Engine } from "./engine.js";
import { CONFUSED, CORRECT, EXTRA, MISSED, canvasOf, faded, painted } from "./paint.js";
import { ClassBlocks, make, percent, showList, showScores, showTrust, whole } from "./panel.js";
import { Session } from "./session.js";
import { Viewer } from "./viewer.js";

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("view"));
const engine = new Engine(hear);
const session = new Session(engine, onItem);
let blocks = null;
let doing = null;
/** The shown image's pictures, made when they are first needed. */
let pictures = {};

$("stuck").remove();
say("Loading the model", 0);

/** News of the worker while it starts. */
function hear({ model, card, loaded, ready, broken }) {
  if (broken) return fail(broken);
  if (model) {
    session.begin(model);
    $("title").textContent = model.name;
    document.title = `${model.name}: leanseg in the browser`;
    const licence = model.data_licence || "licence unknown";
    showCard($("card"), `${card}\n\nTraining data: ${licence}. Exported by leanseg ${model.leanseg}.`);
    $("about-open").hidden = false;
    blocks = new ClassBlocks($("classes"), model, (thresholds) => {
      session.decideBy(thresholds);
      if (!session.current?.result) return;
      showResult();
      if (!doing) sayCurrent();
    });
    $("compare-class").replaceChildren(...model.classes.names.map((name, k) => make("option", { value: k }, name)));
  }
  if (loaded !== undefined && !doing) say("Loading the model", loaded);
  if (ready && !doing) say("Ready", null);
}

/** News of an image. */
function onItem(item, share) {
  doing = share < 1 ? item : null;
  $("images").hidden = false;
  showList($("list"), session, doing, (chosen) => session.select(chosen));
  if (item === session.current) showCurrent();
  if (doing) say(`Segmenting ${item.name}`, share);
  else sayCurrent();
}

/** Show the chosen image, or why it cannot be shown. */
function showCurrent() {
  const { name, result, failure } = session.current;
  pictures = {};
  fail(failure && `${name}: ${failure}`);
  fail("", "compare-failure");
  $("start").hidden = true;
  for (const id of ["view", "zoom", "result", "comparison", "download"]) $(id).hidden = !result;
  if (!result) return;
  showTrust($("trust"), result.quality);
  showResult();
}

function sayCurrent() {
  const { name, result, failure } = session.current;
  if (result) say(`${name}: ${summary()} Took ${result.seconds.toFixed(1)}\u00a0s.`, null);
  else if (failure) say(`${name} was not segmented.`, null);
}

/** Draw what depends on thresholds and on the mask that is compared with. */
function showResult() {
  const { current } = session;
  blocks.show(current, session.thresholds);
  showComparison(current);
  showList($("list"), session, doing, (chosen) => session.select(chosen));
  const differs = Boolean(current.truth) && $("differences").checked;
  const { picture } = current.result;
  pictures.plain ??= canvasOf(picture.pixels, picture.height, picture.width);
  if (differs) pictures.faded ??= faded(picture);
  viewer.show(differs ? pictures.faded : pictures.plain);
  viewer.lay(differs ? differences(current) : overlay(current), $("opacity").valueAsNumber);
  const what = differs ? "differences between mask and comparison" : "mask";
  $("view").setAttribute("aria-label", `${current.name} with ${what}: ${summary()}`);
}

function overlay({ result }) {
  const { classes } = session.model;
  const numbers = merged(session.labels(result), result.probabilities, classes, session.thresholds);
  return painted(numbers, classes.colours, result.picture, result.width);
}

function differences({ result, figures }) {
  return painted(figures.kinds, [CORRECT, EXTRA, MISSED, CONFUSED], result.picture, result.width);
}

function showComparison({ truth, figures }) {
  const { classes } = session.model;
  for (const id of ["scores", "differences-box", "compare-end"]) $(id).hidden = !truth;
  $("compare-hint").hidden = Boolean(truth);
  $("compare-class-box").hidden = !classes.overlapping;
  $("compare").textContent = truth ? "Another mask" : "Choose a mask";
  if (truth) showScores($("scores"), figures);
}

function summary() {
  const found = session.current.figures.classes.map(({ name, fraction, dice }) => {
    return `${name} ${percent(fraction)}${dice === null ? "" : ` (Dice ${dice.toFixed(3)})`}`;
  });
  return `${found.join(", ")} of the ${whole(session.model)}.`;
}

/** Tell what is going on; `share` of it is done, null when nothing is. */
function say(text, share) {
  // Words that are set again are read aloud again.
  if ($("status").textContent !== text) $("status").textContent = text;
  $("progress").hidden = share === null;
  if (share) $("progress").value = share;
  else $("progress").removeAttribute("value");
}

function fail(text, place = "failure") {
  $(place).textContent = text;
  $(place).hidden = !text;
}

async function compareWith(file) {
  if (!file) return;
  const { current } = session;
  const only = session.model.classes.overlapping ? Number($("compare-class").value) : null;
  const failure = await session.compareWith(file, only).then(() => "", (error) => `${file.name}: ${error.message}`);
  // Another image may have been chosen meanwhile.
  if (current !== session.current) return;
  fail(failure, "compare-failure");
  if (failure) return;
  showResult();
  say(`Compared with ${file.name}: ${summary()}`, null);
}

async function saveMask() {
  const { name, result } = session.current;
  const files = await maskFiles(name, session.labels(result), session.model.classes, result.height, result.width);
  files.forEach(save);
  say(`Saved ${files.map((file) => file.name).join(", ")}`, null);
}

async function saveTable() {
  save(tableFile(await session.rows()));
  say("Saved segmentation.csv", null);
}

/** A button opens a hidden field for files. */
function chooses(button, field, take) {
  $(button).addEventListener("click", () => $(field).click());
  $(field).onchange = () => {
    take([...$(field).files]);
    $(field).value = "";
  };
}

chooses("choose", "image-files", (files) => session.add(files));
chooses("add", "image-files", (files) => session.add(files));
chooses("compare", "mask-file", ([file]) => compareWith(file));
$("compare-end").addEventListener("click", () => {
  session.compareNoMore();
  showResult();
  if (!doing) sayCurrent();
  $("compare").focus();
});
$("differences").addEventListener("change", showResult);
$("opacity").addEventListener("input", () => {
  viewer.fade($("opacity").valueAsNumber);
  showOpacity();
});
$("save-mask").addEventListener("click", saveMask);
$("save-table").addEventListener("click", saveTable);
$("zoom-in").addEventListener("click", () => viewer.step(true));
$("zoom-out").addEventListener("click", () => viewer.step(false));
$("zoom-fit").addEventListener("click", () => viewer.fit());
$("about-open").addEventListener("click", () => $("about").showModal());

function showOpacity() {
  const text = `${Math.round(100 * $("opacity").valueAsNumber)} %`;
  $("opacity-value").textContent = text;
  $("opacity").setAttribute("aria-valuetext", text);
}
showOpacity();

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, dialog, dialog *")) return;
  if (event.key === "+" || event.key === "=") viewer.step(true);
  else if (event.key === "-") viewer.step(false);
  else if (event.key === "0") viewer.fit();
});

for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  session.add(event.dataTransfer.files);
});
addEventListener("paste", (event) => session.add(event.clipboardData.files));
