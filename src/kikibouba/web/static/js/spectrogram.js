// Sound as a picture that grows while it is heard: loudness by time and pitch, in one colour.

const WINDOW = 1024;
export const HOP = 160; // samples from one column to the next: 10 ms
const ROWS = 96;
const LOWEST = 60; // Hz
const FLOOR = -70; // decibels below which nothing is drawn

const HANN = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));

/** Row r holds the loudest of the bins EDGES[r] … EDGES[r + 1]; equal steps of pitch, the lowest first. */
const EDGES = Array.from({ length: ROWS + 1 }, (_, r) => (LOWEST * (8000 / LOWEST) ** (r / ROWS) * WINDOW) / 16000);

export class Spectrogram {
  constructor(canvas, variable) {
    this.canvas = canvas;
    this.variable = variable; // of the colour, e.g. "--bouba"
    this.clear(1);
  }

  /** Begin a picture of so many samples. */
  clear(length) {
    this.samples = new Float32Array(length);
    this.filled = this.column = 0;
    this.canvas.width = Math.max(1, Math.ceil(length / HOP));
    this.canvas.height = ROWS;
  }

  /** More samples, and the columns that they complete. */
  add(samples) {
    this.samples.set(samples.subarray(0, this.samples.length - this.filled), this.filled);
    this.filled = Math.min(this.filled + samples.length, this.samples.length);
    const over = this.filled === this.samples.length;
    const columns = over ? this.canvas.width : Math.max(0, Math.floor((this.filled - WINDOW / 2) / HOP));
    if (columns > this.column) this.#paint(columns);
  }

  /** In the colours of now. */
  redraw() {
    this.column = 0;
    this.canvas.width = this.canvas.width;
    this.add(new Float32Array(0));
  }

  #paint(columns) {
    const context = this.canvas.getContext("2d");
    const color = channels(context, getComputedStyle(document.documentElement).getPropertyValue(this.variable));
    const image = context.createImageData(columns - this.column, ROWS);
    for (let x = this.column; x < columns; x++) {
      const levels = power(this.samples, x * HOP - WINDOW / 2);
      for (let row = 0; row < ROWS; row++) {
        let most = 0;
        const last = Math.max(Math.ceil(EDGES[row + 1]), Math.floor(EDGES[row]) + 1);
        for (let bin = Math.floor(EDGES[row]); bin < last; bin++) most = Math.max(most, levels[bin]);
        const loud = Math.max(0, 1 - (10 * Math.log10(most + 1e-12)) / FLOOR);
        const at = 4 * ((ROWS - 1 - row) * image.width + x - this.column);
        image.data.set([...color, 255 * Math.min(1, loud) ** 1.6], at);
      }
    }
    context.putImageData(image, this.column, 0);
    this.column = columns;
  }
}

function channels(context, color) {
  context.fillStyle = color;
  const hex = context.fillStyle;
  return [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
}

/** Power of a window of samples by frequency; a full-scale sine has about 1. Silence lies before and after. */
function power(samples, begin) {
  const [re, im] = [new Float32Array(WINDOW), new Float32Array(WINDOW)];
  for (let i = 0; i < WINDOW; i++) re[i] = (samples[begin + i] ?? 0) * HANN[i];
  transform(re, im);
  return re.subarray(0, WINDOW / 2).map((x, i) => (x * x + im[i] * im[i]) / (WINDOW / 4) ** 2);
}

/** The fast Fourier transform, in place: Cooley and Tukey's, of a power of two. */
function transform(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j]] = [re[j], re[i]];
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const [c, s] = [Math.cos((2 * Math.PI * k) / size), -Math.sin((2 * Math.PI * k) / size)];
      for (let a = k; a < n; a += size) {
        const b = a + size / 2;
        const [x, y] = [re[b] * c - im[b] * s, re[b] * s + im[b] * c];
        [re[b], im[b]] = [re[a] - x, im[a] - y];
        re[a] += x;
        im[a] += y;
      }
    }
  }
}
