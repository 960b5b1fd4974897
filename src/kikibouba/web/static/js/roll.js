// The piano roll: notes from left to right, drums below; in Play it is written on.

import { color, sharpen } from "./ink.js";

export const STEP = 0.125; // seconds of a sixteenth at 120
const BLACK = [1, 3, 6, 8, 10];
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];
const ROWS = [[35, 36], [38, 40, 37, 39], [41, 43], [45, 47], [48, 50], [42, 44], [46], [51, 53, 59], [49, 52, 55, 57]];
const WRITTEN = { low: 55, high: 84 }; // what can be written on, G3 to C6
const DRUM_ROW = 11; // pixels

export const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

export class Roll extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.tune = { notes: [], total_time: 4 };
    this.head = null; // where it is played, in seconds
    this.spike = 0.35; // round notes or sharp ones
    this.writable = false;
    this.cursor = { pitch: 67, step: 0, seen: false };
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.#up());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => ((this.cursor.seen = false), this.draw()));
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(tune) {
    this.tune = tune;
    const melody = tune.notes.filter((note) => !note.is_drum).sort((a, b) => a.start - b.start);
    const hits = tune.notes.length - melody.length;
    const said = melody.slice(0, 12).map((note) => nameOf(note.pitch)).join(" ");
    this.canvas.setAttribute("aria-label", `Piano roll: ${melody.length} notes${said && `, ${said}`}${hits ? `, ${hits} drum hits` : ""}`);
    this.draw();
  }

  get steps() {
    return Math.max(16, Math.ceil((this.tune.total_time || 4) / STEP - 0.6));
  }

  #layout(width, height) {
    const melody = this.tune.notes.filter((note) => !note.is_drum);
    const drums = this.tune.notes.some((note) => note.is_drum);
    let { low, high } = WRITTEN;
    if (!this.writable || melody.some((note) => note.pitch < low || note.pitch > high)) {
      const pitches = melody.length ? melody.map((note) => note.pitch) : [60, 72];
      const middle = (Math.min(...pitches) + Math.max(...pitches)) / 2;
      low = Math.min(this.writable ? low : 127, ...pitches.map((p) => p - 2), Math.floor(middle - 9));
      high = Math.max(this.writable ? high : 0, ...pitches.map((p) => p + 2), Math.ceil(middle + 9));
    }
    const band = drums ? ROWS.length * DRUM_ROW + 10 : 0;
    const only = drums && !melody.length;
    const bottom = only ? height : height - band;
    return { low, high, row: (bottom - 12) / (high - low + 1), column: width / this.steps, bottom, only, drums };
  }

  draw() {
    const { context, width, height } = sharpen(this.canvas);
    if (!width) return;
    const place = this.#layout(width, height);
    const colors = Object.fromEntries(["ink", "muted", "line", "sunken", "accent", "card"].map((n) => [n, color(this.canvas, `--${n}`)]));
    this.#grid(context, width, height, place, colors);
    for (const note of this.tune.notes) {
      const sounding = this.head !== null && note.start <= this.head && this.head < Math.max(note.end, note.start + 0.1);
      context.fillStyle = sounding ? colors.ink : colors.accent;
      if (note.is_drum) this.#hit(context, note, place, height);
      else this.#bar(context, note, place);
    }
    if (this.cursor.seen && this.writable) {
      context.strokeStyle = colors.ink;
      context.lineWidth = 2;
      context.strokeRect(this.cursor.step * place.column, this.#y(this.cursor.pitch, place), place.column, place.row);
    }
    if (this.head !== null) {
      context.fillStyle = colors.ink;
      context.fillRect((this.head / STEP) * place.column - 1, 0, 2, height);
    }
  }

  #grid(context, width, height, place, colors) {
    if (!place.only && (this.writable || this.tune.notes.length)) {
      context.fillStyle = colors.sunken;
      for (let pitch = place.low; pitch <= place.high; pitch++) {
        if (BLACK.includes(pitch % 12)) context.fillRect(0, this.#y(pitch, place), width, place.row);
      }
    }
    for (let step = 0; step <= this.steps; step += 4) {
      context.fillStyle = colors.line;
      context.fillRect(step * place.column - 0.5, 0, step % 16 ? 1 : 2, height);
    }
    if (place.drums && !place.only) context.fillRect(0, place.bottom + 2, width, 1);
    if (place.only || (!this.writable && !this.tune.notes.length)) return;
    context.fillStyle = colors.muted;
    context.font = "11px Figtree, system-ui, sans-serif";
    for (let pitch = Math.ceil(place.low / 12) * 12; pitch <= place.high; pitch += 12) {
      context.fillText(nameOf(pitch), 7, this.#y(pitch, place) + place.row / 2 + 4);
    }
  }

  #y(pitch, place) {
    return 6 + (place.high - pitch) * place.row;
  }

  /** A note: a pill if the tune is round; it gets a head like a thorn the spikier it is. */
  #bar(context, note, place) {
    const [x, y] = [(note.start / STEP) * place.column + 1, this.#y(note.pitch, place)];
    const w = Math.max(4, ((note.end - note.start) / STEP) * place.column - 2);
    const tall = Math.max(5, Math.min(place.row * 1.15, 17));
    const [top, middle] = [y + (place.row - tall) / 2, y + place.row / 2];
    context.globalAlpha = 0.45 + 0.55 * Math.min(1, (note.velocity ?? 80) / 90);
    context.beginPath();
    if (this.spike < 0.5) context.roundRect(x, top, w, tall, (tall / 2) * (1.25 - this.spike));
    else {
      const flare = tall * (0.5 + 0.35 * this.spike);
      context.moveTo(x, middle - flare);
      if (w > tall * 1.6) context.lineTo(x + tall, middle - tall * 0.28);
      context.lineTo(x + w, middle);
      if (w > tall * 1.6) context.lineTo(x + tall, middle + tall * 0.28);
      context.lineTo(x, middle + flare);
      context.closePath();
    }
    context.fill();
    context.globalAlpha = 1;
  }

  #hit(context, note, place, height) {
    const row = ROWS.findIndex((pitches) => pitches.includes(note.pitch));
    if (row < 0) return;
    const tall = place.only ? (height - 20) / ROWS.length : DRUM_ROW;
    const x = (note.start / STEP + 0.5) * place.column;
    const y = height - 6 - (row + 0.5) * tall;
    const radius = Math.min(place.column * 0.42, tall * 0.42) * (0.6 + 0.4 * ((note.velocity ?? 80) / 127));
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  // Writing: one note at a time, as melodies are.

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = this.#layout(box.width, box.height);
    const pitch = place.high - Math.floor((event.clientY - box.top - 6) / place.row);
    const step = Math.floor((event.clientX - box.left) / place.column);
    return { pitch: Math.max(place.low, Math.min(place.high, pitch)), step: Math.max(0, Math.min(this.steps - 1, step)) };
  }

  #down(event) {
    if (!this.writable || event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.toggle(this.#at(event));
  }

  #move(event) {
    if (!this.held) return;
    const { step } = this.#at(event);
    this.held.end = (Math.max(step, Math.round(this.held.start / STEP)) + 1) * STEP;
    this.#make_room(this.held);
    this.show(this.tune);
  }

  #up() {
    if (!this.held) return;
    this.held = null;
    this.dispatchEvent(new Event("write"));
  }

  /** Set a note of a sixteenth, which can be drawn longer, or take one away. */
  toggle({ pitch, step }) {
    const start = step * STEP;
    const there = this.tune.notes.find((n) => n.pitch === pitch && n.start <= start + 1e-6 && start < n.end - 1e-6);
    if (there) {
      this.show({ ...this.tune, notes: this.tune.notes.filter((note) => note !== there) });
      this.dispatchEvent(new Event("write"));
      return;
    }
    this.held = { pitch, start, end: start + STEP, velocity: 90 };
    this.tune = { ...this.tune, notes: [...this.tune.notes, this.held] };
    this.#make_room(this.held);
    this.show(this.tune);
    this.dispatchEvent(new CustomEvent("touch", { detail: pitch }));
  }

  #make_room(held) {
    const others = this.tune.notes.filter((note) => note !== held && !note.is_drum);
    const kept = others.flatMap((note) => {
      if (note.start >= held.end - 1e-6 || note.end <= held.start + 1e-6) return [note];
      return note.start < held.start - 1e-6 ? [{ ...note, end: held.start }] : [];
    });
    this.tune = { ...this.tune, notes: [...kept, held] };
  }

  #key(event) {
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!this.writable || event.ctrlKey || event.metaKey) return;
    if (way) {
      this.cursor.pitch = Math.max(WRITTEN.low, Math.min(WRITTEN.high, this.cursor.pitch + way[0] * (event.shiftKey ? 12 : 1)));
      this.cursor.step = Math.max(0, Math.min(this.steps - 1, this.cursor.step + way[1] * (event.shiftKey ? 4 : 1)));
      this.dispatchEvent(new CustomEvent("cursor", { detail: this.cursor }));
    } else if (event.key === "Enter" || event.key === " ") {
      this.toggle(this.cursor);
      this.#up();
    } else return;
    this.cursor.seen = true;
    event.preventDefault();
    this.draw();
  }
}
