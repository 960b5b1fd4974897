// A small synthesiser: every voice is a few Web Audio nodes, scheduled in AudioContext time.

/** What can be chosen: name in the menu, General MIDI program for files, voice. "feel" takes what fits. */
export const INSTRUMENTS = {
  feel: { name: "As it feels" },
  piano: { name: "Piano", program: 0 },
  marimba: { name: "Marimba", program: 12 },
  flute: { name: "Flute", program: 73 },
  strings: { name: "Strings", program: 48 },
  lead: { name: "Lead", program: 81 },
};

/** "As it feels": round things are whistled, spiky ones sawn. */
export function resolve(instrument, spike) {
  if (instrument !== "feel") return instrument;
  return spike < 0.34 ? "flute" : spike < 0.67 ? "marimba" : "lead";
}

const VOICES = {
  // partials: [multiple, gain]; a: attack, d: decay, s: sustain level, r: release; lowpass in multiples of the pitch
  piano: { type: "triangle", partials: [[1, 0.55], [2, 0.18], [3.01, 0.07]], a: 0.004, d: 1.1, s: 0.12, r: 0.18, lowpass: 7 },
  marimba: { type: "sine", partials: [[1, 0.75], [3.93, 0.2], [9.2, 0.05]], a: 0.002, d: 0.5, s: 0, r: 0.3, lowpass: 14 },
  flute: { type: "sine", partials: [[1, 0.6], [2, 0.12], [3, 0.05]], a: 0.05, d: 0.2, s: 0.8, r: 0.14, lowpass: 6, vibrato: 5 },
  strings: { type: "sawtooth", partials: [[0.997, 0.2], [1.003, 0.2]], a: 0.09, d: 0.3, s: 0.75, r: 0.25, lowpass: 5, vibrato: 4 },
  lead: { type: "sawtooth", partials: [[1, 0.26], [1.006, 0.2], [0.5, 0.1]], a: 0.004, d: 0.18, s: 0.45, r: 0.08, lowpass: 9 },
};

/** General MIDI drum pitches → sounds. */
const DRUMS = {};
for (const pitch of [35, 36]) DRUMS[pitch] = ["thump", 150, 0.16];
for (const pitch of [37, 38, 39, 40]) DRUMS[pitch] = ["snare", 1900, 0.17];
for (const pitch of [41, 43]) DRUMS[pitch] = ["thump", 190, 0.24];
for (const pitch of [45, 47]) DRUMS[pitch] = ["thump", 260, 0.22];
for (const pitch of [48, 50]) DRUMS[pitch] = ["thump", 340, 0.2];
for (const pitch of [42, 44, 54, 69, 70]) DRUMS[pitch] = ["hiss", 8500, 0.05];
DRUMS[46] = ["hiss", 7500, 0.3];
for (const pitch of [49, 52, 55, 57]) DRUMS[pitch] = ["hiss", 5200, 0.95];
for (const pitch of [51, 53, 59]) DRUMS[pitch] = ["hiss", 6400, 0.4];

export class Synth {
  /** The context is made at the first sound: browsers want a gesture before it. */
  start() {
    if (!this.context) this.#build(new AudioContext({ latencyHint: "interactive" }));
    if (this.context.state === "suspended") this.context.resume();
    return this.context;
  }

  #build(context) {
    this.context = context;
    const squeeze = new DynamicsCompressorNode(context, { threshold: -16, ratio: 5, attack: 0.004 });
    this.meter = new AnalyserNode(context, { fftSize: 1024 });
    squeeze.connect(this.meter).connect(context.destination);
    this.dry = new GainNode(context, { gain: 0.75 });
    this.dry.connect(squeeze);
    const room = new ConvolverNode(context, { buffer: this.#noise(0.9, (t) => (1 - t) ** 3.2) });
    const wet = new GainNode(context, { gain: 0.16 });
    this.dry.connect(room).connect(wet).connect(squeeze);
    this.hissing = this.#noise(1.2, () => 1);
  }

  #noise(seconds, envelope) {
    const length = Math.round(seconds * this.context.sampleRate);
    const buffer = new AudioBuffer({ length, numberOfChannels: 1, sampleRate: this.context.sampleRate });
    const data = buffer.getChannelData(0);
    for (let i = 0; i < length; i++) data[i] = (2 * Math.random() - 1) * envelope(i / length);
    return buffer;
  }

  /** How loud it is right now, 0 to 1. */
  level() {
    if (!this.context) return 0;
    const samples = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(samples);
    return Math.max(...samples.map(Math.abs));
  }

  /** All notes of one tune go to one bus, so that a tune can be cut off. */
  bus() {
    const bus = new GainNode(this.context);
    bus.connect(this.dry);
    return bus;
  }

  note(bus, { pitch, velocity = 80, time, duration, instrument, is_drum: drum }) {
    if (drum) return this.#drum(bus, pitch, velocity, time);
    const voice = VOICES[instrument] ?? VOICES.piano;
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const loud = (velocity / 127) ** 1.4 * 0.9;
    const end = time + Math.max(duration, 0.06);
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(0, time);
    gain.gain.linearRampToValueAtTime(loud, time + voice.a);
    gain.gain.setTargetAtTime(loud * voice.s, time + voice.a, voice.d / 3);
    gain.gain.setTargetAtTime(0, end, voice.r / 3);
    const filter = new BiquadFilterNode(this.context, {
      type: "lowpass", frequency: Math.min(frequency * voice.lowpass, 16_000), Q: 0.6,
    });
    filter.connect(gain).connect(bus);
    for (const [multiple, share] of voice.partials) {
      const source = new OscillatorNode(this.context, { type: voice.type, frequency: frequency * multiple });
      if (voice.vibrato) this.#vibrato(source, frequency, voice.vibrato, time, end);
      const part = new GainNode(this.context, { gain: share });
      source.connect(part).connect(filter);
      source.start(time);
      source.stop(end + voice.r * 2.5);
    }
  }

  #vibrato(source, frequency, cents, time, end) {
    const wobble = new OscillatorNode(this.context, { frequency: 5.2 });
    const depth = new GainNode(this.context, { gain: 0 });
    depth.gain.setTargetAtTime(frequency * (2 ** (cents / 1200) - 1) * 2, time + 0.15, 0.2);
    wobble.connect(depth).connect(source.frequency);
    wobble.start(time);
    wobble.stop(end + 1);
  }

  #drum(bus, pitch, velocity, time) {
    const [kind, frequency, seconds] = DRUMS[pitch] ?? ["hiss", 3000, 0.1];
    const loud = (velocity / 127) ** 1.3;
    if (kind === "thump") return this.#tone(bus, frequency, time, seconds, loud * 0.9);
    if (kind === "snare") this.#tone(bus, 210, time, 0.09, loud * 0.4);
    const noise = new AudioBufferSourceNode(this.context, { buffer: this.hissing });
    const type = kind === "snare" ? "bandpass" : "highpass";
    const filter = new BiquadFilterNode(this.context, { type, frequency, Q: kind === "snare" ? 0.5 : 0.8 });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(loud * (kind === "snare" ? 0.55 : 0.22), time);
    gain.gain.setTargetAtTime(0, time, seconds / 3);
    noise.connect(filter).connect(gain).connect(bus);
    noise.start(time, Math.random() * 0.1, seconds * 2.5);
  }

  #tone(bus, frequency, time, seconds, loud) {
    const source = new OscillatorNode(this.context, { frequency });
    source.frequency.setValueAtTime(frequency, time);
    source.frequency.exponentialRampToValueAtTime(frequency * 0.32, time + seconds);
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(loud, time);
    gain.gain.setTargetAtTime(0, time + 0.01, seconds / 2.6);
    source.connect(gain).connect(bus);
    source.start(time);
    source.stop(time + seconds * 2.5);
  }
}
