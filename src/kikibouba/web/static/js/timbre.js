// Timbre: a recording is played on another instrument, and heard while it is said.

import { get, reason, Refused } from "./api.js";
import { Spectrogram } from "./spectrogram.js";

const $ = (id) => document.getElementById(id);
const RATE = 16_000;
const LONGEST = 20; // seconds, as in limits.py
const LARGEST = 50_000_000; // bytes that are decoded here; what is sent is at most 640 kB
const LEAD = 0.15; // seconds between the first sound's arrival and its being heard
const HEADER = 44;

class Timbre {
  constructor() {
    this.recording = null; // Float32Array at 16 kHz
    this.result = null; // the same
    this.pictures = { source: new Spectrogram($("source"), "--bouba"), result: new Spectrogram($("result"), "--kiki") };
    $("longest").textContent = LONGEST;
    $("file").addEventListener("change", ({ target }) => target.files[0] && this.open(target.files[0]));
    $("again").addEventListener("click", () => {
      $("seed").value = (Number($("seed").value) + 1) % 2 ** 31;
      this.translate();
    });
    $("seed").addEventListener("change", () => this.translate());
    $("save").addEventListener("click", () => this.save());
    $("play-source").addEventListener("click", () => this.play(this.recording, "source"));
    $("play-result").addEventListener("click", () => this.play(this.result, "result"));
    for (const name of ["dragover", "drop"]) {
      document.addEventListener(name, (event) => {
        event.preventDefault();
        if (name === "drop" && event.dataTransfer.files.length) this.open(event.dataTransfer.files[0]);
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const picture of Object.values(this.pictures)) picture.redraw();
    });
  }

  async start() {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
    try {
      this.#instruments((await get("/api/timbre")).models);
    } catch (error) {
      this.say(error.message);
    }
    document.documentElement.dataset.ready = "true";
  }

  #instruments(models) {
    if (!models.length) return this.say("No model here plays recordings. Start with: kikibouba serve --model FOLDER");
    for (const { name, domains } of models) {
      for (const domain of domains) {
        const label = Object.assign(document.createElement("label"), { className: "toggle" });
        const radio = Object.assign(document.createElement("input"), { type: "radio", name: "domain", value: domain });
        radio.dataset.model = name;
        radio.addEventListener("change", () => this.translate());
        label.append(radio, Object.assign(document.createElement("span"), { textContent: domain.replaceAll("_", " ") }));
        if (models.length > 1) label.title = name;
        $("domains").append(label);
      }
    }
    $("domains").querySelector("input").checked = true;
  }

  /** A file was dropped or chosen. The browser decodes it, whatever it is. */
  async open(file) {
    if (file.size > LARGEST) return this.say("This file is larger than the 50 MB allowed here.");
    let wave;
    try {
      wave = mono(await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer()));
    } catch {
      return this.say("This is no recording that the browser can read. Try a .wav file.");
    }
    if (wave.length > LONGEST * RATE) this.say(`The first ${LONGEST} seconds of it are played.`);
    this.recording = wave.subarray(0, LONGEST * RATE);
    $("source-name").textContent = `${file.name.slice(0, 60)}, ${seconds(this.recording)}`;
    $("source").setAttribute("aria-label", `Spectrogram of the recording, ${seconds(this.recording)}`);
    this.pictures.source.clear(this.recording.length);
    this.pictures.source.add(this.recording);
    $("play-source").disabled = $("again").disabled = false;
    this.translate();
  }

  /** Ask for the translation; a newer question takes the place of one under way. */
  async translate() {
    const domain = document.querySelector("[name=domain]:checked");
    if (!this.recording || !domain) return;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.stop();
    this.result = null;
    $("play-result").disabled = $("save").disabled = true;
    $("said").textContent = "Listening …";
    try {
      await this.#hear(domain, asking.signal);
    } catch (error) {
      if (asking.signal.aborted) return;
      $("said").textContent = "";
      this.say(error instanceof Refused ? error.message : "The studio does not answer. Is `kikibouba serve` still running?");
    }
  }

  async #hear(domain, signal) {
    const seed = Math.max(0, Math.floor(Number($("seed").value)) || 0);
    const query = new URLSearchParams({ name: "recording.wav", model: domain.dataset.model, to: domain.value, seed });
    const answer = await fetch(`/api/timbre?${query}`, { method: "POST", body: wav(this.recording), signal });
    if (!answer.ok) throw new Refused(await reason(answer));
    const [bytes, stretches] = [answer.body.getReader(), new Stretches()];
    const out = this.#speaker();
    this.pictures.result.clear(0);
    for (let part = await bytes.read(); !part.done; part = await bytes.read()) {
      const samples = stretches.add(part.value);
      if (stretches.length && this.pictures.result.samples.length !== stretches.length) this.pictures.result.clear(stretches.length);
      if (!samples.length) continue;
      out.say(samples);
      this.pictures.result.add(samples);
      $("said").textContent = `${seconds(stretches.samples)} of ${(stretches.length / RATE).toFixed(1)} s`;
    }
    if (stretches.samples.length < stretches.length) throw new Refused("The studio broke off. Try it again.");
    this.result = stretches.samples;
    $("said").textContent = `On ${domain.value.replaceAll("_", " ")}, ${seconds(this.result)}`;
    $("result").setAttribute("aria-label", `Spectrogram of the translation, ${seconds(this.result)}`);
    $("play-result").disabled = $("save").disabled = false;
  }

  /** What plays samples one stretch after the other, without a gap if they come in time. */
  #speaker() {
    this.stop();
    this.context ??= new AudioContext({ sampleRate: RATE });
    if (this.context.state === "suspended") this.context.resume();
    const { context } = this;
    const bus = (this.bus = new GainNode(context));
    this.meter ??= new AnalyserNode(context);
    bus.connect(this.meter).connect(context.destination);
    let [end, begin] = [0, null];
    const now = $("result").nextElementSibling;
    return {
      say: (samples, place = now) => {
        if (this.bus !== bus) return; // something else is heard by now
        const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
        buffer.copyToChannel(samples, 0);
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(bus);
        end = Math.max(end, context.currentTime + LEAD);
        begin ??= end;
        source.start(end);
        end += buffer.duration;
        this.#follow(bus, place, () => [context.currentTime - begin, end - begin]);
      },
    };
  }

  /** Move the line over a picture. */
  #follow(bus, line, times) {
    cancelAnimationFrame(this.frame);
    const step = () => {
      const [at, until] = times();
      const length = (line === $("source").nextElementSibling ? this.pictures.source : this.pictures.result).samples.length / RATE;
      line.hidden = this.bus !== bus || at > until;
      line.style.left = `${Math.min(100, Math.max(0, (100 * at) / length)).toFixed(2)}%`;
      if (!line.hidden) this.frame = requestAnimationFrame(step);
    };
    step();
  }

  play(samples, name) {
    if (samples) this.#speaker().say(samples, $(name).nextElementSibling);
  }

  stop() {
    this.bus?.disconnect();
    this.bus = null;
    for (const line of document.querySelectorAll(".now")) line.hidden = true;
  }

  save() {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(wav(this.result)), download: `${document.querySelector("[name=domain]:checked").value}-${$("seed").value}.wav` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  say(text) {
    const toast = $("toast");
    toast.textContent = text;
    toast.classList.add("shown");
    clearTimeout(this.saying);
    this.saying = setTimeout(() => toast.classList.remove("shown"), 3000 + 40 * text.length);
  }
}

/** The bytes of a WAV file as they come → samples. */
class Stretches {
  constructor() {
    this.bytes = new Uint8Array(0); // those that are no whole sample yet, or of the header
    this.samples = new Float32Array(0);
    this.length = 0; // in samples, once the header is there
  }

  add(part) {
    let bytes = Uint8Array.from([...this.bytes, ...part]);
    if (!this.length) {
      this.bytes = bytes;
      if (bytes.length < HEADER) return new Float32Array(0);
      this.length = new DataView(bytes.buffer).getUint32(HEADER - 4, true) / 2;
      bytes = bytes.slice(HEADER);
    }
    const view = new DataView(bytes.buffer);
    const samples = Float32Array.from({ length: bytes.length >> 1 }, (_, i) => view.getInt16(2 * i, true) / 32768);
    this.bytes = bytes.slice(2 * samples.length);
    const all = new Float32Array(this.samples.length + samples.length);
    all.set(this.samples);
    all.set(samples, this.samples.length);
    this.samples = all;
    return samples;
  }
}

function mono(buffer) {
  const wave = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) buffer.getChannelData(c).forEach((x, i) => (wave[i] += x / buffer.numberOfChannels));
  return wave;
}

/** A WAV file of samples: 16 bits, one channel. */
function wav(samples) {
  const view = new DataView(new ArrayBuffer(HEADER + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  [[16, 16], [24, RATE], [28, 2 * RATE], [40, 2 * samples.length]].forEach(([at, n]) => view.setUint32(at, n, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, n]) => view.setUint16(at, n, true));
  text(36, "data");
  samples.forEach((x, i) => view.setInt16(HEADER + 2 * i, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true));
  return new Blob([view], { type: "audio/wav" });
}

const seconds = (samples) => `${(samples.length / RATE).toFixed(1)} s`;

const timbre = new Timbre();
window.timbre = timbre;
timbre.start();
