// Playing live: letters of the computer's keyboard, or a MIDI keyboard, recorded on the grid of the roll.

import { STEP } from "./roll.js";

/** As on a piano: A is middle C, W the black key after it. By where keys lie, whatever is printed on them. */
const CODES = ["KeyA", "KeyW", "KeyS", "KeyE", "KeyD", "KeyF", "KeyT", "KeyG", "KeyY", "KeyH", "KeyU", "KeyJ", "KeyK", "KeyO", "KeyL", "KeyP", "Semicolon"];
const MIDDLE_C = 60;
const STEPS = 32;
const REST = 1300; // milliseconds of silence that end a recording
const [NOTE_ON, NOTE_OFF] = [0x90, 0x80];

export class Keys {
  constructor(studio, { started, played }) {
    [this.studio, this.started, this.played] = [studio, started, played];
    this.held = new Map(); // pitch → its note
    this.take = null;
  }

  listen() {
    this.ends = new AbortController();
    const { signal } = this.ends;
    document.addEventListener("keydown", (event) => this.#key(event, true), { signal });
    document.addEventListener("keyup", (event) => this.#key(event, false), { signal });
  }

  stop() {
    this.ends?.abort();
    clearTimeout(this.rest);
    this.take = null;
    this.held.clear();
  }

  #key(event, down) {
    const pitch = MIDDLE_C + CODES.indexOf(event.code);
    const typing = event.target.closest?.("input, select, textarea");
    if (pitch < MIDDLE_C || event.repeat || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (down) this.press(pitch, 90);
    else this.release(pitch);
  }

  /** Listen to MIDI keyboards too, which the browser asks permission for; resolves to their names. */
  async connect() {
    const access = await navigator.requestMIDIAccess().catch(() => null);
    const inputs = [...(access?.inputs.values() ?? [])];
    for (const input of inputs) input.addEventListener("midimessage", ({ data }) => this.#message(data), { signal: this.ends.signal });
    return inputs.map((input) => input.name);
  }

  #message([status, pitch, velocity]) {
    const kind = status & 0xf0;
    if (kind === NOTE_ON && velocity) this.press(pitch, velocity);
    else if (kind === NOTE_ON || kind === NOTE_OFF) this.release(pitch);
  }

  /** The step of the roll that it is now. */
  get #now() {
    return ((performance.now() - this.begin) / 1000) * (this.studio.state.tempo / 120) / STEP;
  }

  press(pitch, velocity) {
    this.studio.player.touch(pitch, { voice: this.studio.voice });
    if (!this.take) {
      [this.take, this.begin] = [[], performance.now()];
      this.started();
    }
    const start = Math.round(this.#now);
    if (start >= STEPS) return this.#finish();
    for (const other of [...this.held.keys()]) this.release(other);
    this.take = this.take.filter((note) => note.start < start * STEP - 1e-6);
    const note = { pitch, velocity, start: start * STEP, end: (start + 1) * STEP };
    this.take.push(note);
    this.held.set(pitch, note);
    this.#tell();
  }

  release(pitch) {
    const note = this.held.get(pitch);
    if (!note) return;
    this.held.delete(pitch);
    const start = Math.round(note.start / STEP);
    note.end = Math.min(STEPS, Math.max(start + 1, Math.round(this.#now))) * STEP;
    this.#tell();
  }

  #tell() {
    clearTimeout(this.rest);
    this.played({ notes: this.take, done: false });
    if (!this.held.size) this.rest = setTimeout(() => this.#finish(), REST);
  }

  #finish() {
    clearTimeout(this.rest);
    const notes = this.take;
    this.take = null;
    this.held.clear();
    if (notes?.length) this.played({ notes, done: true });
  }
}
