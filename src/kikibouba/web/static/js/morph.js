// Morph: a line between two, or a square between four; drawing and tune move together.

import { post } from "./api.js";
import { picture, together } from "./draw.js";
import { fit, fromColumns, toColumns } from "./ink.js";
import { plain } from "./save.js";

const LINE = 9; // steps between two
const SQUARE = 6; // steps along each side between four
const USUAL = ["circle", "zigzag", "sheep", "lightning"];
const WHERE = ["top left", "top right", "bottom left", "bottom right"];
const STEADY = 0.25; // of the surprise elsewhere: chance differs from step to step, and would shake the morph
const STEP = 0.1; // of the square that an arrow key moves

export class MorphMode {
  constructor(studio) {
    this.studio = studio;
    [this.square, this.place, this.chosen, this.steps] = [true, [0.5, 0.5], [...USUAL], null];
  }

  enter(linked) {
    const { studio } = this;
    studio.paper.writable = false;
    studio.paper.shown = { lines: [], share: 1 };
    document.getElementById("hint").hidden = true;
    [this.looped, studio.player.loop] = [studio.player.loop, true];
    if (Array.isArray(linked?.corners)) [this.chosen, this.square, this.place] = [linked.corners, Boolean(linked.square), linked.place];
    this.silent = Boolean(linked);
    this.steps = null;
    if (studio.examples) this.examples(studio.examples);
  }

  leave() {
    this.studio.player.loop = this.looped;
    this.studio.paper.shown = null;
  }

  state() {
    return { corners: this.chosen, square: this.square, place: this.place.map((x) => Math.round(x * 1000) / 1000) };
  }

  again() {
    this.fetch();
  }

  examples() {
    this.#build();
    this.fetch({ silent: this.silent });
  }

  /** What can stand in a corner: name → {lines or notes, for its picture and for the server}. */
  get #choices() {
    const { examples, modes } = this.studio;
    const found = new Map();
    if (this.studio.paper.lines.length) found.set("my drawing", { lines: this.studio.paper.lines });
    if (modes.play.notes.length) found.set("my tune", { notes: modes.play.notes });
    for (const { name, drawing } of examples.drawings) found.set(name, { lines: fromColumns(drawing) });
    for (const { name, notes } of examples.tunes) {
      found.set(`♪ ${name}`, { notes: notes.map(([pitch, start, length]) => ({ pitch, start: start / 8, end: (start + length) / 8 })) });
    }
    return found;
  }

  #build() {
    const choices = this.#choices;
    const pad = Object.assign(document.createElement("div"), { className: "pad", tabIndex: 0 });
    pad.setAttribute("role", "application");
    pad.setAttribute("aria-label", "Place between the corners; arrow keys move it");
    this.puck = Object.assign(document.createElement("i"), { className: "puck" });
    pad.append(this.puck);
    this.pad = pad;
    pad.addEventListener("pointerdown", (event) => (pad.setPointerCapture(event.pointerId), this.#drag(event)));
    pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && this.#drag(event));
    pad.addEventListener("keydown", (event) => this.#key(event));
    const corners = (this.square ? [0, 1, 2, 3] : [0, 1]).map((k) => this.#corner(k, choices));
    const shape = Object.assign(document.createElement("button"), { className: "pill shape-switch", textContent: this.square ? "Four corners" : "Two ends" });
    shape.setAttribute("aria-label", `${shape.textContent}; switch to ${this.square ? "two ends" : "four corners"}`);
    shape.addEventListener("click", () => {
      this.square = !this.square;
      this.place = [this.place[0], 0.5];
      this.#build();
      this.fetch();
    });
    this.studio.extra.replaceChildren(pad, ...corners, shape);
    this.studio.extra.dataset.square = this.square;
    this.#show();
  }

  #corner(k, choices) {
    if (!choices.has(this.chosen[k])) this.chosen[k] = USUAL[k];
    const label = Object.assign(document.createElement("label"), { className: `corner corner-${k}` });
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Corner ${this.square ? WHERE[k] : ["left", "right"][k]}`);
    for (const name of choices.keys()) select.add(new Option(name, name, false, name === this.chosen[k]));
    const look = () => {
      const { lines } = choices.get(this.chosen[k]);
      label.querySelector(".look").replaceChildren(lines ? picture(lines) : "♪");
    };
    select.addEventListener("change", () => {
      this.chosen[k] = select.value;
      look();
      this.fetch();
    });
    label.append(Object.assign(document.createElement("span"), { className: "look" }), select);
    look();
    return label;
  }

  #drag(event) {
    const box = this.pad.getBoundingClientRect();
    this.#go((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    this.#go(this.place[0] + way[0] * STEP, this.place[1] + way[1] * STEP);
  }

  #go(x, y) {
    this.place = [x, this.square ? y : 0.5].map((value) => Math.min(1, Math.max(0, value)));
    this.#show();
    this.studio.keep();
    if (this.steps && !this.studio.player.playing) this.studio.play();
  }

  /** Ask for all steps at once; moving between them is then immediate. */
  async fetch({ silent = false } = {}) {
    const { studio } = this;
    const { seed, drums } = studio.state;
    const temperature = STEADY * studio.state.temperature;
    const choices = this.#choices;
    const sources = this.chosen.slice(0, this.square ? 4 : 2).map((name) => {
      const { lines, notes } = choices.get(name);
      return lines ? { drawing: toColumns(lines) } : plain({ notes, total_time: 4 });
    });
    const n = this.square ? SQUARE : LINE;
    const beat = drums && sources.every((source) => source.drawing);
    const wanted = [sources[0].drawing ? "melody" : "sketch", ...(beat ? ["drums"] : [])];
    const answers = await studio.ask((signal) =>
      Promise.all(wanted.map((to) => post("/api/interpolate", { sources, n, to, seed, temperature }, { signal }))),
    );
    if (!answers || studio.state.mode !== "morph") return;
    const [first, second] = answers;
    this.steps = first.steps.map((step, i) => ({
      lines: fit(fromColumns(step.sketch.drawing), 1000, 0.27),
      tune: together([step.melody, ...(second ? [second.steps[i].drums] : [])]),
      see: step.sketch.feeling,
      hear: step.melody.feeling,
    }));
    this.at = null;
    this.#show();
    studio.keep();
    if (!silent) studio.play();
  }

  #show() {
    const [x, y] = this.place;
    Object.assign(this.puck.style, { left: `${100 * x}%`, top: `${100 * y}%` });
    if (!this.steps) return;
    const side = this.square ? SQUARE : LINE;
    const column = Math.round(x * (side - 1));
    const at = this.square ? Math.round(y * (side - 1)) * side + column : column;
    if (at === this.at) return;
    this.at = at;
    const { studio } = this;
    const { lines, tune, see, hear } = this.steps[at];
    studio.paper.shown = { lines, share: 1 };
    studio.show({ tune, drawing: lines, see, hear });
    studio.player.swap(tune);
  }
}
