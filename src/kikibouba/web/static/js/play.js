// Hear → see: a tune, written on the roll, played on a keyboard or dropped as a file, becomes a drawing that
// draws itself.

import { post } from "./api.js";
import { pill } from "./elements.js";
import { Keys } from "./keys.js";
import { fit, fromColumns } from "./ink.js";
import { STEP, nameOf } from "./roll.js";
import { plain } from "./save.js";

const $ = (id) => document.getElementById(id);
const DRAWING_TIME = 1800; // milliseconds that a drawing takes to draw itself
const PAUSE = 700; // milliseconds after a note was written in which another may follow
const LENGTH = 4; // seconds of the roll: two bars at 120
const MOST_UNDONE = 100;

export class PlayMode {
  constructor(studio) {
    this.studio = studio;
    [this.notes, this.past, this.future, this.windows] = [[], [], [], []];
    const { roll } = studio;
    roll.addEventListener("write", () => this.#written());
    roll.addEventListener("touch", ({ detail }) => studio.player.touch(detail, { voice: studio.voice }));
    roll.addEventListener("cursor", ({ detail }) => studio.tell(`${nameOf(detail.pitch)}, beat ${1 + Math.floor(detail.step / 4)}`));
    for (const name of ["undo", "redo", "clear"]) $(name).addEventListener("click", () => this.here && this[name]());
    this.keys = new Keys(studio, { started: () => this.#recording(), played: (notes) => this.#take(notes) });
  }

  get here() {
    return this.studio.state.mode === "play";
  }

  enter(linked) {
    const { studio } = this;
    studio.paper.writable = false;
    studio.paper.shown = { lines: [], share: 1 };
    studio.roll.writable = true;
    document.querySelector(".sound").insertBefore($("drawing-tools"), document.querySelector(".sound .row:last-child"));
    if (Array.isArray(linked?.notes)) this.notes = linked.notes.map(fromSmall);
    this.examples(studio.examples);
    this.#show();
    this.keys.listen();
    if (this.notes.length) this.see({ silent: Boolean(linked) });
  }

  leave() {
    const { studio } = this;
    this.keys.stop();
    clearTimeout(this.soon);
    studio.roll.writable = false;
    studio.paper.shown = null;
    document.querySelector(".sight").append($("drawing-tools"));
    $("roll-hint").innerHTML = "<span>The tune appears here.</span>";
  }

  state() {
    return { notes: this.notes.map(toSmall) };
  }

  again() {
    if (this.notes.length) this.see();
  }

  undo() {
    this.#travel(this.past, this.future);
  }

  redo() {
    this.#travel(this.future, this.past);
  }

  clear() {
    this.#set([]);
  }

  #travel(from, to) {
    to.push(this.notes);
    this.notes = from.pop();
    this.#after();
  }

  #set(notes) {
    this.past = [...this.past, this.notes].slice(-MOST_UNDONE);
    [this.notes, this.future] = [notes, []];
    this.#after();
  }

  #after() {
    const { studio } = this;
    studio.player.stop();
    clearTimeout(this.soon);
    this.#show();
    if (this.notes.length) this.soon = setTimeout(() => this.see(), PAUSE);
    else studio.paper.shown = { lines: [], share: 1 };
    studio.keep();
  }

  #show(tune = this.#tune()) {
    this.studio.show({ tune, drawing: null });
    $("undo").disabled = !this.past.length;
    $("redo").disabled = !this.future.length;
    $("clear").disabled = !this.notes.length;
    $("hint").hidden = this.notes.length > 0;
    $("hint").innerHTML = "<strong>Play something.</strong> <span>Here is what it looks like.</span>";
    $("roll-hint").hidden = this.notes.length > 0;
    $("roll-hint").innerHTML = "<span>Click notes in, press the keys A S D F …, or drop a file of music.</span>";
  }

  #tune() {
    return { notes: this.notes, total_time: Math.max(LENGTH, ...this.notes.map((note) => note.end)) };
  }

  #written() {
    if (this.here) this.#set(this.studio.roll.tune.notes.filter((note) => !note.accompanies));
  }

  /** Ask for the drawing of the tune, and for its drums. */
  async see({ silent = false } = {}) {
    const { studio } = this;
    const { seed, temperature, drums } = studio.state;
    const source = plain(this.#tune());
    const isBeat = this.notes.every((note) => note.is_drum);
    const wanted = drums && !isBeat ? ["sketch", "drums"] : ["sketch"];
    const answers = await studio.ask((signal) =>
      Promise.all(wanted.map((to) => post("/api/translate", { source, to, seed, temperature }, { signal }))),
    );
    if (!answers || !this.here) return;
    const [seen, beat] = answers;
    const hits = (beat?.result.notes ?? []).map((note) => ({ ...note, instrument: 9, accompanies: true }));
    const lines = fit(fromColumns(seen.result.drawing));
    const tune = this.#tune();
    this.#show({ ...tune, notes: [...tune.notes, ...hits] });
    studio.show({ drawing: lines, see: seen.result.feeling, hear: seen.source.feeling });
    studio.keep();
    if (!silent) studio.play();
    this.#draw(lines);
  }

  #draw(lines) {
    const { paper } = this.studio;
    const begin = performance.now();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const shown = (paper.shown = { lines, share: still ? 1 : 0 });
    const step = (now) => {
      if (paper.shown !== shown) return;
      shown.share = still ? 1 : Math.min(1, Math.max(0, now - begin) / DRAWING_TIME);
      paper.draw();
      if (shown.share < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  // Keys and files.

  #recording() {
    this.studio.player.stop();
    clearTimeout(this.soon);
    this.studio.asking?.abort();
    $("roll-hint").hidden = $("hint").hidden = true;
  }

  /** What was played so far; `done` when the bars are full or the player rests. */
  #take({ notes, done }) {
    if (done) this.#set(notes);
    else this.studio.roll.show({ notes, total_time: LENGTH });
  }

  async open(file) {
    const answer = await this.studio.ask((signal) =>
      post(`/api/read?name=${encodeURIComponent(file.name)}`, file, { signal }),
    );
    if (!answer) return;
    this.windows = answer.results.filter((result) => result.notes?.length);
    if (this.windows.length) this.#window(0);
    this.studio.say(`${file.name}: ${this.windows.length === 1 ? "two bars" : `${this.windows.length} windows of two bars`}.`);
  }

  #window(k) {
    this.page = k;
    this.#set(this.windows[k].notes);
    this.examples(this.studio.examples);
  }

  examples(examples) {
    if (!examples) return;
    const open = pill("Open …", "Open a file of music");
    const input = Object.assign(document.createElement("input"), { type: "file", accept: ".mid,.midi,.musicxml,.xml,.mxl,.abc" });
    input.hidden = true;
    input.addEventListener("change", () => input.files.length && this.open(input.files[0]));
    open.addEventListener("click", () => input.click());
    const keyboard = pill("MIDI keyboard");
    keyboard.hidden = !navigator.requestMIDIAccess;
    keyboard.addEventListener("click", async () => {
      const names = await this.keys.connect();
      this.studio.say(names.length ? `Play: ${names.join(", ")}.` : "No MIDI keyboard is connected, or the browser was not allowed to use it.");
    });
    const tunes = examples.tunes.map(({ name, notes }) => {
      const button = pill(name);
      button.addEventListener("click", () => {
        this.windows = [];
        this.#set(notes.map(fromSmall));
      });
      return button;
    });
    $("examples").replaceChildren(open, input, ...this.#pages(), ...tunes, keyboard);
  }

  #pages() {
    if (this.windows.length < 2) return [];
    const label = Object.assign(document.createElement("span"), { className: "pages", textContent: `${this.page + 1} of ${this.windows.length}` });
    const turn = (sign, by, name) => {
      const button = pill(sign, name);
      button.disabled = !(this.page + by in this.windows);
      button.addEventListener("click", () => this.#window(this.page + by));
      return button;
    };
    return [turn("‹", -1, "The two bars before"), label, turn("›", 1, "The next two bars")];
  }
}

const toSmall = (note) => [note.pitch, Math.round(note.start / STEP), Math.max(1, Math.round((note.end - note.start) / STEP)), ...(note.is_drum ? [1] : [])];
const fromSmall = ([pitch, start, length, drum]) => ({ pitch, start: start * STEP, end: (start + length) * STEP, velocity: 90, is_drum: Boolean(drum) });
