// The drawing board: strokes by mouse, finger, pen or arrow keys; undo, redo; or somebody else's drawing.

import { SIDE, color, frame, ink, sharpen, simplify } from "./ink.js";

const TOLERANCE = 1.5;
const LAG = 0.3; // of the way to the pointer that the pen keeps back at each event: a steadier hand
const STEP = 25; // units that an arrow key moves the pen

export class Paper extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.lines = []; // what is drawn, strokes of whole units
    this.undone = [];
    this.stroke = null; // the stroke under way
    this.shown = null; // {lines, share}: a drawing of the model's that is shown instead
    this.trace = null; // 0..1, how far the tune has run along the drawing
    this.writable = true;
    this.pen = { x: SIDE / 2, y: SIDE / 2, down: false, seen: false };
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.#up());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => ((this.pen.seen = false), this.draw()));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  set(lines) {
    [this.lines, this.undone, this.stroke] = [lines, [], null];
    this.#changed();
  }

  undo() {
    if (this.lines.length) this.undone.push(this.lines.pop());
    this.#changed();
  }

  redo() {
    if (this.undone.length) this.lines.push(this.undone.pop());
    this.#changed();
  }

  clear() {
    this.undone = this.lines.reverse();
    this.lines = [];
    this.#changed();
  }

  #changed() {
    this.draw();
    this.dispatchEvent(new Event("change"));
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    const { scale, left, top } = frame(box.width, box.height);
    return [(event.clientX - box.left - left) / scale, (event.clientY - box.top - top) / scale];
  }

  #down(event) {
    if (!this.writable || event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.stroke = [this.#place(event)];
    this.dispatchEvent(new Event("begin"));
    this.draw();
  }

  #move(event) {
    if (!this.stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) {
      const [x, y] = this.#place(one);
      this.aim = [x, y];
      const [px, py] = this.stroke[this.stroke.length - 1];
      if (Math.hypot(x - px, y - py) > 2) this.stroke.push([px + (x - px) * (1 - LAG), py + (y - py) * (1 - LAG)]);
    }
    this.draw();
  }

  #up() {
    if (!this.stroke) return;
    if (this.aim) this.stroke.push(this.aim);
    this.#keep(this.stroke);
    this.aim = null;
  }

  #keep(stroke) {
    const line = simplify(stroke, TOLERANCE).map(([x, y]) => [Math.round(x), Math.round(y)]);
    this.stroke = null;
    this.lines.push(line);
    this.undone = [];
    this.#changed();
    this.dispatchEvent(new Event("lift"));
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.writable || event.ctrlKey || event.metaKey) return;
    const pen = this.pen;
    if (way) {
      const step = event.shiftKey ? 4 * STEP : STEP;
      pen.x = Math.min(SIDE, Math.max(0, pen.x + way[0] * step));
      pen.y = Math.min(SIDE, Math.max(0, pen.y + way[1] * step));
      if (this.stroke) this.stroke.push([pen.x, pen.y]);
    } else if (event.key === " ") {
      if (this.stroke) this.#keep(this.stroke);
      else this.stroke = [[pen.x, pen.y]];
    } else if (event.key === "Enter" && this.stroke) this.#keep(this.stroke);
    else return;
    pen.seen = true;
    event.preventDefault();
    this.draw();
  }

  draw() {
    const { context, width, height } = sharpen(this.canvas);
    if (!width) return;
    const place = frame(width, height);
    const pencil = Math.max(2.5, 7.5 * place.scale);
    const [inked, accent] = [color(this.canvas, "--ink"), color(this.canvas, "--accent")];
    const drawing = this.shown?.lines ?? this.lines;
    ink(context, drawing, place, { color: inked, width: pencil, share: this.shown?.share ?? 1 });
    if (this.stroke) ink(context, [this.stroke], place, { color: inked, width: pencil, smooth: false });
    if (this.trace !== null) {
      const pen = ink(context, drawing, place, { color: accent, width: pencil, share: this.trace });
      if (pen) dot(context, pen, pencil * 1.7, accent);
    }
    if (this.pen.seen) {
      const at = [place.left + this.pen.x * place.scale, place.top + this.pen.y * place.scale];
      dot(context, at, pencil, this.stroke ? accent : color(this.canvas, "--muted"));
    }
  }
}

function dot(context, [x, y], radius, fill) {
  context.fillStyle = fill;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
