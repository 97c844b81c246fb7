/** The worker as the page sees it: one promise for each task. */

/**
 * @typedef {object} Progress what the worker tells while it starts: `model` and `card`, then the share `loaded`, then
 *   `ready`; or why it is `broken`
 */
export class Engine {
  #worker;
  #waiting = new Map();
  #count = 0;

  /** @param {(news: Progress) => void} tell */
  constructor(tell) {
    // A worker made from text keeps to the page's rules of what may be loaded and sent; one from a file has none.
    const script = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.onmessage = ({ data }) => (data.id === undefined ? tell(data) : this.#hear(data));
    this.#worker.onerror = (event) => {
      event.preventDefault();
      tell({ broken: "The page could not be started. Use a current version of Chrome, Edge, Firefox or Safari." });
    };
  }

  /**
   * Segment an image file.
   *
   * @param {File} file
   * @param {(share: number) => void} progress
   */
  segment(file, progress) {
    return this.#ask("segment", file, progress);
  }

  /** Read the values of a mask file. */
  mask(file) {
    return this.#ask("mask", file, () => {});
  }

  #ask(task, file, progress) {
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, task, file });
    });
  }

  #hear({ id, share, answer, failure }) {
    const { resolve, reject, progress } = this.#waiting.get(id);
    if (share !== undefined) return progress(share);
    this.#waiting.delete(id);
    return failure === undefined ? resolve(answer) : reject(new Error(failure));
  }
}
