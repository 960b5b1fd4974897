// Models: every one that there is, also those that come with later versions, makes something on demand.

import { get, post } from "./api.js";
import { WORDS, between, element, soon } from "./elements.js";
import { color, fit, frame, fromColumns, ink, sharpen } from "./ink.js";
import { plain } from "./save.js";

const REACH = 3; // standard deviations that a slider goes to each side
const SLIDERS = 4; // attributes that get one

export class ModelsMode {
  constructor(studio) {
    this.studio = studio;
    this.amounts = {}; // attribute → standard deviations more of it
  }

  async enter(linked) {
    const { studio } = this;
    studio.paper.writable = false;
    studio.paper.shown = { lines: [], share: 1 };
    document.getElementById("hint").hidden = true;
    if (typeof linked?.model === "string") [this.chosen, this.amounts] = [linked.model, linked.amounts ?? {}];
    this.models ??= (await studio.ask((signal) => get("/api/models", { signal })))?.models.filter((model) => model.is_sampled || !model.kinds.length);
    if (!this.models || studio.state.mode !== "models") return;
    this.#build();
    if (linked && this.chosen) this.sample({ silent: true });
  }

  leave() {
    this.studio.paper.shown = null;
  }

  state() {
    return this.chosen ? { model: this.chosen, amounts: this.amounts } : {};
  }

  again() {
    if (this.chosen) this.sample();
  }

  #build() {
    const box = element("div", "invite models");
    const list = element("div", "cards");
    for (const model of this.models) {
      const card = element("button", "card-button");
      card.setAttribute("aria-pressed", model.name === this.chosen);
      card.disabled = !model.is_sampled;
      card.append(element("b", "", model.name.replaceAll("_", " ")), element("small", "", model.is_sampled ? model.description.split(/[.;:,]/)[0] : "on the command line"));
      card.addEventListener("click", () => this.choose(model.name));
      list.append(card);
    }
    this.seen = Object.assign(element("canvas", "seen"), { ariaHidden: "true" });
    list.append(this.seen);
    box.append(list);
    const chosen = this.models.find((model) => model.name === this.chosen);
    const attributes = chosen?.is_told ? [] : chosen?.attributes ?? [];
    for (const name of attributes.filter((one) => one in WORDS).slice(0, SLIDERS)) {
      const moved = soon(() => this.sample(), 200);
      const { row, range } = between(WORDS[name], REACH, () => ((this.amounts[name] = Number(range.value)), moved()));
      range.value = this.amounts[name] ?? 0;
      box.append(row);
    }
    this.studio.extra.replaceChildren(box);
  }

  choose(name) {
    if (name !== this.chosen) this.amounts = {};
    this.chosen = name;
    this.#build();
    this.studio.extra.querySelector("[aria-pressed=true]").focus();
    this.sample();
  }

  async sample({ silent = false } = {}) {
    const { studio } = this;
    const { seed, temperature } = studio.state;
    const attributes = Object.fromEntries(Object.entries(this.amounts).filter(([, amount]) => amount));
    const model = this.models.find(({ name }) => name === this.chosen);
    const answer = await studio.ask(async (signal) => {
      if (!model.is_told) return post("/api/sample", { model: model.name, seed, temperature, attributes }, { signal });
      const beat = await post("/api/sample", { model: "drums", seed, temperature, attributes: {} }, { signal });
      return post("/api/reconstruct", { model: model.name, source: plain(beat.results[0]), seed }, { signal });
    });
    if (!answer || studio.state.mode !== "models") return;
    const [made] = answer.results;
    const to = made.drawing ? "melody" : "sketch";
    const other = await studio.ask((signal) => post("/api/translate", { source: made, to, seed, temperature }, { signal }));
    if (!other || studio.state.mode !== "models") return;
    const [seen, heard] = made.drawing ? [made, other.result] : [other.result, made];
    studio.show({ tune: heard, drawing: fit(fromColumns(seen.drawing)), see: seen.feeling, hear: heard.feeling });
    this.#picture();
    studio.keep();
    if (!silent) studio.play();
  }

  #picture() {
    const { context, width, height } = sharpen(this.seen);
    const { drawing } = this.studio;
    ink(context, drawing, frame(width, height), { color: color(this.seen, "--ink"), width: 1.8 });
  }
}
