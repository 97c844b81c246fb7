/** Reads and segments images beside the page, so that it stays responsive. */

import { readImage, readMask } from "../formats/read.js";
import { InputError } from "../images/image.js";
import { Predictor } from "../inference/predictor.js";
import { appraise } from "../quality/appraise.js";
import { InferenceSession, Tensor, env } from "../runtime/onnxruntime-web.js";
import { pictureOf } from "./picture.js";

const MODEL = new URL("../model/", import.meta.url);
const RUNTIME = new URL("../runtime/onnxruntime-web.wasm", import.meta.url);
const OUT_OF_MEMORY = "The image needs more memory than this browser gives. Segment it with: leanseg segment";

const predictor = start();

// One after the other: the runtime answers one question at a time.
let queue = Promise.resolve();
self.onmessage = ({ data }) => (queue = queue.then(() => work(data)));

async function work({ id, task, file }) {
  try {
    const { answer, moved } = await tasks[task](file, id);
    self.postMessage({ id, answer }, moved);
  } catch (error) {
    self.postMessage({ id, failure: spell(error) });
  }
}

const tasks = {
  async segment(file, id) {
    const begun = performance.now();
    const ready = await predictor;
    const image = await readImage(file);
    const progress = (share) => self.postMessage({ id, share });
    const { prepared, probabilities } = await ready.segment(image, progress);
    const { height, width } = image;
    const picture = pictureOf(image);
    const quality = appraise(ready.model, prepared, probabilities, height, width);
    const seconds = performance.measure("segment", { start: begun }).duration / 1000;
    const answer = { picture, probabilities, field: prepared.field, height, width, quality, seconds };
    return { answer, moved: [probabilities.buffer, prepared.field.buffer, picture.pixels.buffer] };
  },

  async mask(file) {
    const { pixels, height, width } = await readMask(file);
    return { answer: { values: pixels, height, width }, moved: [] };
  },
};

/** Load runtime and model, telling the page how far it is. */
async function start() {
  try {
    const model = await (await get(new URL("config.json", MODEL))).json();
    const card = await (await get(new URL("card.txt", MODEL))).text();
    self.postMessage({ model, card });
    env.wasm.wasmBinary = await download(RUNTIME, (share) => self.postMessage({ loaded: share }));
    // Threads need a server that isolates the page (COOP and COEP headers).
    env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
    const networks = [];
    for (const part of model.parts) networks.push(await network(new URL(part.onnx, MODEL)));
    self.postMessage({ loaded: 1, ready: true });
    return new Predictor(model, networks);
  } catch (error) {
    self.postMessage({ broken: spell(error) });
    throw error;
  }
}

async function network(url) {
  const graph = new Uint8Array(await (await get(url)).arrayBuffer());
  // Planning memory for a pattern of sizes keeps a second copy of it: twice the memory, no time gained.
  const session = await InferenceSession.create(graph, { executionProviders: ["wasm"], enableMemPattern: false });
  const [[input], [output]] = [session.inputNames, session.outputNames];
  return async (pixels, shape) => {
    const answer = (await session.run({ [input]: new Tensor("float32", pixels, shape) }))[output];
    return { data: answer.data, dims: answer.dims };
  };
}

async function get(url) {
  const found = await fetch(url);
  if (!found.ok) throw new InputError(`The server does not give ${url.pathname} (${found.status}). Export it again.`);
  return found;
}

async function download(url, progress) {
  const response = await get(url);
  const total = Number(response.headers.get("Content-Length"));
  const parts = [];
  let size = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    // A server that packs the file says how long it is when packed.
    if (total) progress(Math.min(size / total, 1));
  }
  return new Blob(parts).arrayBuffer();
}

function spell(error) {
  if (error instanceof InputError) return error.message;
  const text = String(error?.message ?? error);
  if (/memory|allocat|out of bounds|bad_alloc|RangeError/i.test(`${error?.name} ${text}`)) return OUT_OF_MEMORY;
  return `The model could not be run (${text.split("\n")[0].slice(0, 200)}).`;
}
