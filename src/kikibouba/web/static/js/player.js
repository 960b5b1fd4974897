// Plays a tune: notes are handed to the synthesiser a little ahead of their time, and everybody who wants to
// move along is told every frame where it is.

const AHEAD = 0.15; // seconds that notes are scheduled before they sound
const TICK = 40; // milliseconds between two looks ahead
const LEAD_IN = 0.06; // seconds from "play" to the first note
const FADE = 0.03;
const FRAME = 30; // milliseconds at least between two frames of what moves along

export class Player extends EventTarget {
  constructor(synth) {
    super();
    this.synth = synth;
    this.loop = false;
  }

  get playing() {
    return Boolean(this.tune);
  }

  /** tune: {notes, total_time} in seconds at 120 quarters a minute; voice: names the instrument. */
  play(tune, { tempo = 120, voice = "piano" } = {}) {
    this.stop();
    const context = this.synth.start();
    this.tune = tune;
    this.voice = voice;
    this.notes = [...tune.notes].sort((a, b) => a.start - b.start);
    this.length = Math.max(tune.total_time || 0, ...tune.notes.map((note) => note.end), 0.5);
    this.speed = tempo / 120;
    this.bus = this.synth.bus();
    this.begin = context.currentTime + LEAD_IN;
    this.next = 0;
    this.timer = setInterval(() => this.#schedule(), TICK);
    this.#schedule();
    this.dispatchEvent(new Event("start"));
    const { bus } = this;
    let shown = 0;
    const frame = (now) => {
      if (this.bus !== bus || !this.tune) return;
      if (now - shown >= FRAME) {
        shown = now;
        this.dispatchEvent(new CustomEvent("frame", { detail: this.position }));
      }
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** Seconds of the tune (at 120) that have sounded; null when it is silent. */
  get position() {
    if (!this.tune) return null;
    const heard = this.synth.context.currentTime - (this.synth.context.outputLatency || 0) - this.begin;
    return Math.max(0, heard * this.speed);
  }

  setTempo(tempo) {
    if (!this.tune) return;
    const now = this.position;
    this.speed = tempo / 120;
    this.begin = this.synth.context.currentTime - now / this.speed;
  }

  #schedule() {
    const now = this.synth.context.currentTime;
    for (;;) {
      if (this.next === this.notes.length) {
        const over = this.begin + this.length / this.speed;
        if (now < over - AHEAD) return;
        if (!this.loop || !this.notes.length) {
          if (now >= over) this.stop();
          return;
        }
        [this.begin, this.next] = [over, 0];
      }
      const note = this.notes[this.next];
      const time = this.begin + note.start / this.speed;
      if (time > now + AHEAD) return;
      const duration = (note.end - note.start) / this.speed;
      this.synth.note(this.bus, { ...note, time: Math.max(time, now), duration, instrument: this.voice });
      this.next++;
    }
  }

  /** Go on with another tune of the same length, at the same place. */
  swap(tune) {
    if (!this.tune) return;
    const soon = this.position + AHEAD * this.speed;
    this.tune = tune;
    this.notes = [...tune.notes].sort((a, b) => a.start - b.start);
    const next = this.notes.findIndex((note) => note.start >= soon);
    this.next = next < 0 ? this.notes.length : next;
  }

  /** How freshly a note was struck, 1 now … 0 a quarter of a second ago; for what beats along. */
  get beat() {
    const at = this.position;
    if (at === null) return 0;
    const last = this.notes.findLast?.((note) => note.start <= at);
    return last ? Math.max(0, 1 - (at - last.start) / this.speed / 0.25) : 0;
  }

  /** A single note, now: a key was pressed. */
  touch(pitch, { voice = "piano", drum = false } = {}) {
    const context = this.synth.start();
    const note = { pitch, velocity: 90, time: context.currentTime + 0.005, duration: 0.25, instrument: voice };
    this.synth.note(this.synth.bus(), { ...note, is_drum: drum });
  }

  stop() {
    if (!this.tune) return;
    clearInterval(this.timer);
    const { bus, synth } = this;
    bus.gain.setTargetAtTime(0, synth.context.currentTime, FADE);
    setTimeout(() => bus.disconnect(), 1000);
    this.tune = null;
    this.dispatchEvent(new Event("stop"));
  }
}
