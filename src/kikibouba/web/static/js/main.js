// The studio: puts the parts together, and keeps the state that a link carries.

import { get, post, Refused } from "./api.js";
import { DrawMode } from "./draw.js";
import { decode, encode } from "./link.js";
import { MapMode } from "./map.js";
import { MineMode } from "./mine.js";
import { ModelsMode } from "./models.js";
import { MorphMode } from "./morph.js";
import { Paper } from "./paper.js";
import { PlayMode } from "./play.js";
import { Player } from "./player.js";
import { Roll } from "./roll.js";
import { save } from "./save.js";
import { Shape } from "./shape.js";
import { INSTRUMENTS, Synth, resolve } from "./synth.js";
import { followTheme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const SETTINGS = { mode: "draw", seed: 0, temperature: 0.2, instrument: "feel", tempo: 120, drums: false };
const MIDDLE = 0.35; // how spiky the shape is before anything is known

export class Studio {
  constructor() {
    this.state = { ...SETTINGS };
    this.stage = $("stage");
    this.extra = $("extra");
    this.paper = new Paper($("paper"));
    this.roll = new Roll($("roll"));
    this.shape = new Shape($("play"));
    this.synth = new Synth();
    this.player = new Player(this.synth);
    this.tune = null; // what sounds: {notes, total_time}, in seconds at 120
    this.drawing = null; // what is seen: lines, for saving
    this.spike = MIDDLE;
    this.modes = {
      draw: new DrawMode(this), play: new PlayMode(this), morph: new MorphMode(this),
      map: new MapMode(this), mine: new MineMode(this), models: new ModelsMode(this),
    };
    this.#controls();
    this.#playing();
    followTheme($("theme"), () => this.redraw());
  }

  get mode() {
    return this.modes[this.state.mode];
  }

  async start() {
    const linked = location.hash.startsWith("#s=") ? await decode(location.hash.slice(3)) : null;
    if (location.hash.startsWith("#s=") && !linked) this.say("This link is damaged; here is an empty page.");
    this.#take(linked ?? {});
    get("/examples.json").then((examples) => this.#examples(examples), () => {});
    get("/api/timbre").then(({ models }) => ($("timbre").hidden = !models.length), () => {});
    this.enter(this.state.mode, linked);
    document.documentElement.dataset.ready = "true";
  }

  #take(linked) {
    for (const [name, usual] of Object.entries(SETTINGS)) {
      if (typeof linked[name] === typeof usual) this.state[name] = linked[name];
    }
    if (!(this.state.mode in this.modes)) this.state.mode = "draw";
    if (!(this.state.instrument in INSTRUMENTS)) this.state.instrument = "feel";
    $("seed").value = this.state.seed;
    $("temperature").value = $("temperature-value").value = this.state.temperature;
    $("tempo").value = $("tempo-value").value = this.state.tempo;
    $("instrument").value = this.state.instrument;
    $("drums").checked = this.state.drums;
  }

  /** Go to a mode; `linked` is what a link brought for it. */
  enter(name, linked = null) {
    this.player.stop();
    this.mode.leave?.();
    this.extra.replaceChildren();
    this.state.mode = this.stage.dataset.mode = name;
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const here = tab.dataset.mode === name;
      tab.setAttribute("aria-selected", here);
      tab.tabIndex = here ? 0 : -1;
    }
    this.show({ tune: null, drawing: null });
    this.mode.enter(linked);
    this.paper.draw();
    this.keep();
  }

  /** One question to the server at a time: a newer one takes the place of the one before.
   *  Resolves to what `work(signal)` does, or null when it failed (and says why) or was overtaken. */
  async ask(work) {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.shape.button.classList.add("thinking");
    this.stage.setAttribute("aria-busy", "true");
    try {
      return await work(asking.signal);
    } catch (error) {
      if (asking.signal.aborted) return null;
      this.say(error instanceof Refused ? error.message : "Something went wrong on this page. Try it again.");
      if (!(error instanceof Refused)) console.error(error);
      return null;
    } finally {
      if (this.asking === asking) {
        this.shape.button.classList.remove("thinking");
        this.stage.removeAttribute("aria-busy");
      }
    }
  }

  /** What is seen and heard now; leaves out what stays. */
  show({ tune, drawing, see, hear }) {
    if (tune !== undefined) {
      this.tune = tune;
      this.roll.show(tune ?? { notes: [], total_time: 4 });
    }
    if (drawing !== undefined) this.drawing = drawing;
    if (see !== undefined || hear !== undefined) this.#meters(see, hear);
    else if (tune === null) this.#meters(null, null);
    const empty = !this.tune?.notes.length;
    $("roll-hint").hidden = !empty || this.roll.writable;
    this.shape.button.disabled = empty;
    for (const button of document.querySelectorAll("[data-save]")) {
      button.disabled = ["svg"].includes(button.dataset.save) ? !this.drawing?.length : empty && !this.drawing?.length;
      if (["mid", "wav"].includes(button.dataset.save)) button.disabled = empty;
    }
  }

  #meters(see, hear) {
    $("meters").classList.toggle("empty", !see && !hear);
    for (const name of ["spikiness", "density"]) {
      const meter = $(`meter-${name}`);
      for (const [kind, felt] of [["see", see], ["hear", hear]]) {
        const mark = meter.querySelector(`.${kind}`);
        mark.hidden = felt?.[name] === undefined;
        if (!mark.hidden) mark.style.left = `${(6 + 88 * felt[name]).toFixed(1)}%`;
      }
      const told = [["drawing", see], ["tune", hear]].filter(([, felt]) => felt?.[name] !== undefined);
      meter.setAttribute("role", "img");
      meter.setAttribute("aria-label", `${name}: ${told.map(([what, felt]) => `${what} ${Math.round(100 * felt[name])} of 100`).join(", ") || "unknown"}`);
    }
    this.spike = see?.spikiness ?? hear?.spikiness ?? MIDDLE;
    this.roll.spike = hear?.spikiness ?? this.spike;
    this.stage.style.setProperty("--spike", this.spike.toFixed(3));
    this.shape.toward(this.spike);
    this.redraw();
  }

  play() {
    if (!this.tune?.notes.length) return;
    this.player.play(this.tune, { tempo: this.state.tempo, voice: this.voice });
  }

  get voice() {
    return resolve(this.state.instrument, this.roll.spike);
  }

  redraw() {
    this.paper.draw();
    this.roll.draw();
  }

  say(text) {
    const toast = $("toast");
    toast.textContent = text;
    toast.classList.add("shown");
    clearTimeout(this.saying);
    this.saying = setTimeout(() => toast.classList.remove("shown"), 3000 + 40 * text.length);
  }

  /** Say it to those who listen to the page, without a word on it. */
  tell(text) {
    $("told").textContent = text;
  }

  /** Files were dropped somewhere on the page. */
  dropped(files) {
    const drawing = files.find((file) => /\.(svg|json)$/i.test(file.name));
    if (this.state.mode === "mine") return this.modes.mine.learn(files);
    if (this.state.mode !== (drawing ? "draw" : "play")) this.enter(drawing ? "draw" : "play");
    this.mode.open(drawing ?? files[0]);
  }

  /** Bring the address up to date. */
  keep() {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(async () => history.replaceState(null, "", await this.link()), 150);
  }

  async link() {
    return `${location.pathname}#s=${await encode({ ...this.state, ...this.mode.state?.() })}`;
  }

  #playing() {
    const { player, roll, paper, shape } = this;
    shape.button.addEventListener("click", () => (player.playing ? player.stop() : this.play()));
    player.addEventListener("start", () => this.#glyph("M-22 -22H22V22H-22Z", "Stop"));
    player.addEventListener("frame", ({ detail }) => {
      const at = detail % player.length;
      roll.head = at;
      paper.trace = this.drawing?.length ? at / player.length : null;
      shape.pulse(player.beat);
      this.redraw();
    });
    player.addEventListener("stop", () => {
      roll.head = paper.trace = null;
      shape.pulse(0);
      this.#glyph("M-16 -24 28 0 -16 24Z", "Play");
      this.redraw();
    });
  }

  #glyph(path, label) {
    $("glyph").setAttribute("d", path);
    $("play").setAttribute("aria-label", label);
  }

  #controls() {
    for (const [value, { name }] of Object.entries(INSTRUMENTS)) $("instrument").add(new Option(name, value));
    const set = (name, value) => {
      this.state[name] = value;
      this.keep();
    };
    $("tempo").addEventListener("input", ({ target }) => {
      $("tempo-value").value = target.value;
      set("tempo", Number(target.value));
      this.player.setTempo(this.state.tempo);
    });
    $("instrument").addEventListener("change", ({ target }) => {
      set("instrument", target.value);
      this.player.voice = this.voice;
      if (!this.player.playing) this.play();
    });
    $("loop").addEventListener("change", ({ target }) => (this.player.loop = target.checked));
    $("drums").addEventListener("change", ({ target }) => (set("drums", target.checked), this.mode.again()));
    $("temperature").addEventListener("input", ({ target }) => ($("temperature-value").value = target.value));
    $("temperature").addEventListener("change", ({ target }) => (set("temperature", Number(target.value)), this.mode.again()));
    $("seed").addEventListener("change", ({ target }) => {
      const seed = Math.floor(Number(target.value));
      target.value = seed >= 0 && seed < 2 ** 31 ? seed : 0;
      set("seed", Number(target.value));
      this.mode.again();
    });
    $("again").addEventListener("click", () => {
      set("seed", (this.state.seed + 1) % 2 ** 31);
      $("seed").value = this.state.seed;
      this.mode.again();
    });
    $("share").addEventListener("click", () => this.#share());
    for (const button of document.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => save(this, button.dataset.save));
    }
    for (const name of ["pointerdown", "keydown"]) {  // some browsers allow sound only from within a gesture
      document.addEventListener(name, () => this.synth.start(), { once: true });
    }
    for (const name of ["dragover", "drop"]) {
      document.addEventListener(name, (event) => {
        event.preventDefault();
        if (name === "drop" && event.dataTransfer.files.length) this.dropped([...event.dataTransfer.files]);
      });
    }
    this.#tabs();
  }

  #tabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    for (const [i, tab] of tabs.entries()) {
      tab.addEventListener("click", () => this.enter(tab.dataset.mode));
      tab.addEventListener("keydown", ({ key }) => {
        const way = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (!way) return;
        const next = tabs[(i + way + tabs.length) % tabs.length];
        next.focus();
        next.click();
      });
    }
  }

  async #share() {
    const address = new URL(await this.link(), location.href).href;
    history.replaceState(null, "", address);
    try {
      await navigator.clipboard.writeText(address);
      this.say("The link is copied. It holds everything: the drawing, the seed, the sound.");
    } catch {
      this.say("The link is in the address bar; copy it from there.");
    }
  }

  #examples(examples) {
    this.examples = examples;
    this.mode.examples?.(examples);
  }
}

const studio = new Studio();
window.studio = studio;
studio.start();
