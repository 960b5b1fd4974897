// Draw → hear: strokes on the board become a tune, and drums with it, as soon as the pen is lifted.

import { post } from "./api.js";
import { fit, fromColumns, path, toColumns } from "./ink.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const PAUSE = 250; // milliseconds after the pen is lifted in which another stroke may begin

export class DrawMode {
  constructor(studio) {
    this.studio = studio;
    const { paper } = studio;
    paper.addEventListener("begin", () => (clearTimeout(this.soon), this.#busy()));
    paper.addEventListener("lift", () => this.hearSoon());
    paper.addEventListener("change", () => this.#tools());
    $("undo").addEventListener("click", () => this.#edit(() => paper.undo()));
    $("redo").addEventListener("click", () => this.#edit(() => paper.redo()));
    $("clear").addEventListener("click", () => this.#edit(() => paper.clear()));
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  get here() {
    return this.studio.state.mode === "draw";
  }

  enter(linked) {
    const { paper, roll } = this.studio;
    paper.writable = true;
    paper.shown = null;
    roll.writable = false;
    $("drawing-tools").hidden = false;
    this.examples(this.studio.examples);
    if (linked?.lines) paper.set(linked.lines);
    this.#tools();
    if (paper.lines.length) this.hear({ silent: Boolean(linked) });
  }

  state() {
    return { lines: this.studio.paper.lines };
  }

  again() {
    if (this.studio.paper.lines.length) this.hear();
  }

  hearSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.hear(), PAUSE);
  }

  /** Ask for the tune of what is drawn; `silent` shows it only: a page may not sound before a gesture. */
  async hear({ silent = false } = {}) {
    const { studio } = this;
    const { seed, temperature, drums } = studio.state;
    const lines = studio.paper.lines;
    const source = { drawing: toColumns(lines) };
    const wanted = drums ? ["melody", "drums"] : ["melody"];
    const answers = await studio.ask((signal) =>
      Promise.all(wanted.map((to) => post("/api/translate", { source, to, seed, temperature }, { signal }))),
    );
    if (!answers || !this.here) return;
    studio.show({
      tune: together(answers.map((answer) => answer.result)),
      drawing: lines,
      see: answers[0].source.feeling,
      hear: answers[0].result.feeling,
    });
    if (answers[0].warnings.length) studio.say("Hardly a note came of it. Again, or more surprise, may help.");
    studio.keep();
    if (!silent) studio.play();
  }

  /** A drawing from a file. */
  async open(file) {
    const answer = await this.studio.ask((signal) =>
      post(`/api/read?name=${encodeURIComponent(file.name)}`, file, { signal }),
    );
    if (!answer) return;
    const lines = fit(fromColumns(answer.results[0].drawing)).map((line) => line.map((point) => point.map(Math.round)));
    this.#edit(() => this.studio.paper.set(lines));
  }

  #busy() {
    $("hint").hidden = true;
    this.studio.player.stop();
  }

  #edit(change) {
    change();
    const { studio } = this;
    studio.asking?.abort();
    studio.player.stop();
    if (studio.paper.lines.length) return this.hearSoon();
    clearTimeout(this.soon);
    studio.show({ tune: null, drawing: null });
    studio.keep();
  }

  #tools() {
    if (!this.here) return;
    const { lines, undone } = this.studio.paper;
    $("undo").disabled = $("clear").disabled = !lines.length;
    $("redo").disabled = !undone.length;
    $("hint").hidden = lines.length > 0;
    $("hint").innerHTML = "<strong>Draw something.</strong> <span>Lift the pen to hear it.</span>";
  }

  #key(event) {
    if (!this.here || !(event.ctrlKey || event.metaKey) || event.target.matches("input")) return;
    const undo = event.key === "z" && !event.shiftKey;
    const redo = (event.key.toLowerCase() === "z" && event.shiftKey) || event.key === "y";
    if (undo || redo) event.preventDefault();
    if (undo && !$("undo").disabled) $("undo").click();
    if (redo && !$("redo").disabled) $("redo").click();
  }

  examples(examples) {
    if (!examples) return;
    const buttons = examples.drawings.map(({ name, drawing }) => {
      const lines = fromColumns(drawing);
      const button = document.createElement("button");
      button.title = name;
      button.setAttribute("aria-label", name);
      button.append(picture(lines));
      button.addEventListener("click", () => this.#edit(() => this.studio.paper.set(lines.map((line) => [...line]))));
      return button;
    });
    $("examples").replaceChildren(...buttons);
  }
}

/** A small picture of a drawing. */
export function picture(lines, box = "0 0 1000 1000") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", box);
  svg.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS(SVG, "path");
  drawn.setAttribute("d", path(lines));
  svg.append(drawn);
  return svg;
}

const BAR = 2; // seconds at 120

/** Tunes played at once, as one of whole bars; drums get the channel that is theirs. */
export function together(tunes) {
  return {
    notes: tunes.flatMap((tune) => tune.notes.map((note) => (note.is_drum ? { ...note, instrument: 9 } : note))),
    total_time: BAR * Math.ceil(Math.max(...tunes.map((tune) => tune.total_time)) / BAR - 1e-6),
  };
}
