// Mine: a few songs of your own teach a small model; four sliders and as many samples as you like come of it.

import { post } from "./api.js";
import { WORDS, between, element, pill, soon } from "./elements.js";

const RANGE = 2.5; // standard deviations that a slider goes to each side
const LARGEST = 8_000_000; // bytes of all files together

export class MineMode {
  constructor(studio) {
    this.studio = studio;
    this.model = null; // {name, job, z_size, sliders, …} of this session
    try {
      this.model = JSON.parse(sessionStorage.getItem("mine"));
    } catch {
      sessionStorage.removeItem("mine");
    }
  }

  enter() {
    const { studio } = this;
    studio.paper.writable = false;
    studio.paper.shown = { lines: [], share: 1 };
    document.getElementById("hint").hidden = true;
    if (this.model) this.#sliders();
    else this.#invite();
  }

  leave() {
    this.studio.paper.shown = null;
    this.source?.close();
  }

  again() {
    if (this.model) this.sample();
  }

  #invite() {
    const box = element("div", "invite");
    const input = Object.assign(document.createElement("input"), { type: "file", multiple: true, accept: ".mid,.midi,.musicxml,.xml,.mxl,.abc", id: "songs" });
    input.addEventListener("change", () => input.files.length && this.learn([...input.files]));
    const label = element("label", "soft", "Choose songs");
    label.htmlFor = "songs";
    input.className = "hidden";
    box.append(
      element("strong", "", "Your own style"),
      element("p", "", "Drop a few MIDI files. A small model learns them here, on this computer, in some seconds; it is forgotten when you leave."),
      input, label,
    );
    this.studio.extra.replaceChildren(box);
  }

  /** Learn from files, telling how far it is. */
  async learn(files) {
    const { studio } = this;
    if (files.reduce((sum, file) => sum + file.size, 0) > LARGEST) return studio.say("These files are too large together: 8 MB at most.");
    this.#waiting(files);
    const songs = await Promise.all(files.map(async (file) => ({ name: file.name, content: await base64(file) })));
    const begun = await studio.ask((signal) => post("/api/personalize", { songs, seed: studio.state.seed }, { signal }));
    if (!begun) return this.#invite();
    this.source = new EventSource(begun.events);
    this.source.addEventListener("progress", ({ data }) => this.#progress(JSON.parse(data)));
    this.source.addEventListener("done", ({ data }) => {
      this.source.close();
      this.model = { name: begun.model, job: begun.job, ...JSON.parse(data) };
      sessionStorage.setItem("mine", JSON.stringify(this.model));
      studio.tell("Your model is ready");
      if (this.model.warnings.length) studio.say(this.model.warnings.at(-1));
      if (studio.state.mode !== "mine") return;
      this.#sliders();
      this.sample();
    });
    this.source.addEventListener("failed", ({ data }) => {
      this.source.close();
      const { error } = JSON.parse(data);
      studio.say(`${error.charAt(0).toUpperCase()}${error.slice(1)}.`);
      if (studio.state.mode === "mine") this.#invite();
    });
    this.source.addEventListener("error", () => {
      if (this.source.readyState !== EventSource.CLOSED) return;
      studio.say("The studio does not answer. Is `kikibouba serve` still running?");
      if (studio.state.mode === "mine") this.#invite();
    });
  }

  #waiting(files) {
    const box = element("div", "invite");
    this.bar = Object.assign(document.createElement("progress"), { max: 1, value: 0 });
    this.bar.setAttribute("aria-label", "Learning");
    this.told = element("p", "", "Reading …");
    const names = files.map((file) => file.name).join(", ");
    box.append(element("strong", "", "Learning"), element("p", "names", names), this.bar, this.told);
    this.studio.extra.replaceChildren(box);
  }

  #progress({ done, steps }) {
    this.bar.value = done / steps;
    this.told.textContent = `${Math.round((100 * done) / steps)} %`;
  }

  #sliders() {
    const box = element("div", "invite sliders");
    box.append(element("strong", "", "In your style"));
    const moved = soon(() => this.#decode());
    const sliders = this.model.sliders.map((related, k) => between(words(related, k), RANGE, moved));
    this.ranges = sliders.map(({ range }) => range);
    box.append(...sliders.map(({ row }) => row));
    const buttons = element("div", "row");
    const another = element("button", "soft", "Surprise me");
    another.addEventListener("click", () => document.getElementById("again").click());
    const forget = pill("Forget it");
    forget.addEventListener("click", () => this.forget());
    buttons.append(another, forget);
    box.append(buttons, element("p", "", `Learnt from ${this.model.examples} examples.`));
    this.studio.extra.replaceChildren(box);
  }

  async #decode() {
    const z = [this.ranges.map((range) => Number(range.value))];
    await this.#hear("/api/decode", { z, temperature: 0 });
  }

  /** A new one in this style. */
  async sample() {
    for (const range of this.ranges ?? []) range.value = 0;
    await this.#hear("/api/sample", { n: 1, temperature: this.studio.state.temperature });
  }

  async #hear(path, body) {
    const { studio } = this;
    const answer = await studio.ask((signal) => post(path, { model: this.model.name, seed: studio.state.seed, ...body }, { signal }));
    if (!answer) return;
    const [result] = answer.results;
    studio.show({ tune: result, drawing: null, see: null, hear: result.feeling });
    studio.play();
  }

  async forget() {
    const { job } = this.model;
    this.model = null;
    sessionStorage.removeItem("mine");
    this.studio.show({ tune: null, drawing: null });
    this.#invite();
    await fetch(`/api/jobs/${job}`, { method: "DELETE" }).catch(() => null);
  }
}

function words(related, k) {
  const [name, strength] = Object.entries(related).filter(([name]) => name in WORDS).reduce((best, one) => (Math.abs(one[1]) > Math.abs(best[1]) ? one : best), ["", 0]);
  const pair = WORDS[name] ?? [`less z${k + 1}`, `more z${k + 1}`];
  return strength < 0 ? [...pair].reverse() : pair;
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}
