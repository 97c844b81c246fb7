/** A picture with an overlay that can be moved and zoomed by mouse, fingers and keys. */

/** Canvas pixels per picture pixel, at most. */
const CLOSEST = 40;
/** Beyond it, pixels are shown as squares. */
const SHARP = 2;
const STEP = 1.25;

export class Viewer {
  #canvas;
  #picture = null;
  #overlay = null;
  #opacity = 1;
  /** Zoom and the place of the picture's corner, in canvas pixels. */
  #scale = 1;
  #x = 0;
  #y = 0;
  #fitted = true;
  #pointers = new Map();
  #asked = false;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("dblclick", () => this.fit());
    canvas.addEventListener("keydown", (event) => this.#arrow(event));
  }

  /** Show another picture and fit it; pictures of one size keep the place that is looked at. */
  show(picture) {
    const same = this.#picture && picture.width === this.#picture.width && picture.height === this.#picture.height;
    this.#picture = picture;
    this.#overlay = null;
    if (same) this.#draw();
    else this.fit();
  }

  /** Lay a picture of the same size over it. */
  lay(overlay, opacity) {
    this.#overlay = overlay;
    this.fade(opacity);
  }

  /** Change the overlay's opacity. */
  fade(opacity) {
    this.#opacity = opacity;
    this.#draw();
  }

  /** Show the whole picture. */
  fit() {
    this.#fitted = true;
    if (!this.#picture) return;
    const { width, height } = this.#canvas;
    this.#scale = Math.min(width / this.#picture.width, height / this.#picture.height);
    this.#x = (width - this.#picture.width * this.#scale) / 2;
    this.#y = (height - this.#picture.height * this.#scale) / 2;
    this.#draw();
  }

  /** Zoom around a place of the canvas; by default its middle. */
  zoom(factor, x = this.#canvas.width / 2, y = this.#canvas.height / 2) {
    if (!this.#picture) return;
    const fitting = Math.min(this.#canvas.width / this.#picture.width, this.#canvas.height / this.#picture.height);
    const scale = Math.min(Math.max(this.#scale * factor, fitting / 2), Math.max(CLOSEST, fitting));
    this.#fitted = false;
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#keepInside();
  }

  /** One step closer or further away. */
  step(closer) {
    this.zoom(closer ? STEP : 1 / STEP);
  }

  #pan(dx, dy) {
    this.#fitted = false;
    this.#x += dx;
    this.#y += dy;
    this.#keepInside();
  }

  /** The middle of the canvas never leaves the picture. */
  #keepInside() {
    const clamp = (place, size, room) => Math.min(Math.max(place, room / 2 - size), room / 2);
    this.#x = clamp(this.#x, this.#picture.width * this.#scale, this.#canvas.width);
    this.#y = clamp(this.#y, this.#picture.height * this.#scale, this.#canvas.height);
    this.#draw();
  }

  #resize() {
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    if (!width || !height) return;
    const [before, after] = [this.#canvas.width, Math.round(width * devicePixelRatio)];
    this.#canvas.width = after;
    this.#canvas.height = Math.round(height * devicePixelRatio);
    if (this.#fitted || !this.#picture) this.fit();
    else this.#pan((after - before) / 2, 0);
  }

  #draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #paint() {
    const context = this.#canvas.getContext("2d");
    context.resetTransform();
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#picture) return;
    context.setTransform(this.#scale, 0, 0, this.#scale, this.#x, this.#y);
    context.imageSmoothingEnabled = this.#scale < SHARP;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#picture, 0, 0);
    if (!this.#overlay) return;
    context.globalAlpha = this.#opacity;
    context.drawImage(this.#overlay, 0, 0);
    context.globalAlpha = 1;
  }

  #wheel(event) {
    event.preventDefault();
    const [x, y] = this.#place(event);
    this.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 10 : 400)), x, y);
  }

  #press(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#place(event));
  }

  #move(event) {
    if (!this.#pointers.has(event.pointerId) || !this.#picture) return;
    const before = this.#grip();
    this.#pointers.set(event.pointerId, this.#place(event));
    const after = this.#grip();
    this.#pan(after.x - before.x, after.y - before.y);
    if (before.apart && after.apart) this.zoom(after.apart / before.apart, after.x, after.y);
  }

  /** Middle of the fingers, and how far two of them are apart. */
  #grip() {
    const [one, other = one] = this.#pointers.values();
    const apart = Math.hypot(one[0] - other[0], one[1] - other[1]);
    return { x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2, apart };
  }

  #place(event) {
    return [event.offsetX * devicePixelRatio, event.offsetY * devicePixelRatio];
  }

  #arrow(event) {
    const way = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way || !this.#picture) return;
    event.preventDefault();
    const reach = 0.1 * Math.min(this.#canvas.width, this.#canvas.height);
    this.#pan(way[0] * reach, way[1] * reach);
  }
}
