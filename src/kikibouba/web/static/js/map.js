// The map: drawings and tunes on one plane, from bouba to kiki, from calm to busy. Go anywhere; see and hear.

import { get, post } from "./api.js";
import { color, fit, fromColumns, ink, sharpen } from "./ink.js";
import { plain } from "./save.js";

const EACH = 44; // samples of each kind
const MARGIN = 34; // pixels
const REACH = 60; // pixels within which a click finds something
const PICTURES = 17; // side by side on the board

export class MapMode {
  constructor(studio) {
    this.studio = studio;
    this.points = null;
    this.chosen = null;
  }

  async enter(linked) {
    const { studio } = this;
    studio.paper.writable = false;
    studio.paper.shown = { lines: [], share: 1 };
    document.getElementById("hint").hidden = true;
    this.#build();
    if (Number.isInteger(linked?.point)) this.wanted = linked.point;
    if (!this.points || this.seed !== studio.state.seed) await this.#fetch();
    if (studio.state.mode !== "map") return;
    this.draw();
    if (this.wanted !== undefined && this.points?.[this.wanted]) this.choose(this.wanted, { silent: Boolean(linked) });
  }

  leave() {
    this.studio.paper.shown = null;
    this.observer?.disconnect();
  }

  state() {
    return this.chosen === null ? {} : { point: this.chosen };
  }

  async again() {
    await this.#fetch();
    this.chosen = null;
    this.draw();
  }

  async #fetch() {
    this.seed = this.studio.state.seed;
    const answer = await this.studio.ask((signal) => get(`/api/map?each=${EACH}&seed=${this.seed}`, { signal }));
    if (!answer) return;
    const { points } = answer;
    const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)];
    this.points = points.map((point) => ({ ...point, left: rank(xs, point.x), top: 1 - rank(ys, point.y) }));
    spread(this.points);
    for (const point of this.points) if (point.drawing) point.lines = fit(fromColumns(point.drawing), 1000, 0.02);
    this.studio.tell(`${points.length} drawings and tunes on the map`);
  }

  #build() {
    this.canvas = Object.assign(document.createElement("canvas"), { className: "chart", tabIndex: 0 });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", "Map of drawings and tunes; arrow keys go from one to the next");
    this.canvas.addEventListener("pointerdown", (event) => this.#click(event));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    const words = [["bouba", "west"], ["kiki", "east"], ["busy", "north"], ["calm", "south"]].map(([text, where]) =>
      Object.assign(document.createElement("span"), { className: `way ${where}`, textContent: text }),
    );
    this.inset = Object.assign(document.createElement("canvas"), { className: "inset" });
    this.inset.setAttribute("aria-hidden", "true");
    this.studio.extra.replaceChildren(this.canvas, ...words);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  #spot(point, width, height) {
    return [MARGIN + point.left * (width - 2 * MARGIN), MARGIN + point.top * (height - 2 * MARGIN)];
  }

  draw() {
    if (!this.points || !this.canvas.isConnected) return;
    const { context, width, height } = sharpen(this.canvas);
    const small = Math.min(width, height) / PICTURES + 4;
    const [bouba, kiki, inked] = ["--bouba", "--kiki", "--ink"].map((name) => color(this.canvas, name));
    for (const [i, point] of this.points.entries()) {
      const here = i === this.chosen;
      const [x, y] = this.#spot(point, width, height);
      const share = Math.round(100 * (point.feeling.spikiness ?? 0.5));
      const tint = here ? inked : `color-mix(in oklch, ${kiki} ${share}%, ${bouba})`;
      const size = here ? 1.35 * small : small;
      if (here) ring(context, x, y, 1.05 * small, inked);
      const place = { scale: size / 1000, left: x - size / 2, top: y - size / 2 };
      if (point.lines) ink(context, point.lines, place, { color: tint, width: here ? 2.2 : 1.5 });
      else contour(context, point, place, tint);
    }
  }

  #click(event) {
    if (!this.points) return;
    const box = this.canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const distances = this.points.map((point) => {
      const [x, y] = this.#spot(point, box.width, box.height);
      return Math.hypot(x - at[0], y - at[1]);
    });
    const nearest = distances.indexOf(Math.min(...distances));
    if (distances[nearest] < REACH) this.choose(nearest);
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || !this.points) return;
    event.preventDefault();
    const from = this.points[this.chosen] ?? { left: 0.5, top: 0.5 };
    const costs = this.points.map((point, i) => {
      const [dx, dy] = [point.left - from.left, point.top - from.top];
      const ahead = dx * way[0] + dy * way[1];
      return i === this.chosen || ahead <= 0 ? Infinity : ahead + 3 * Math.abs(dx * way[1] + dy * way[0]);
    });
    const best = costs.indexOf(Math.min(...costs));
    if (costs[best] < Infinity) this.choose(best);
  }

  /** Show one, and what it is translated to. */
  async choose(i, { silent = false } = {}) {
    const { studio } = this;
    const point = this.points[i];
    this.chosen = i;
    this.draw();
    const source = point.lines ? { drawing: point.drawing } : plain(point);
    const to = point.lines ? "melody" : "sketch";
    const { seed, temperature } = studio.state;
    const answer = await studio.ask((signal) => post("/api/translate", { source, to, seed, temperature }, { signal }));
    if (!answer || studio.state.mode !== "map") return;
    const [seen, heard] = point.lines ? [point, answer.result] : [answer.result, point];
    studio.show({ tune: heard, drawing: fit(fromColumns(seen.drawing)), see: seen.feeling, hear: heard.feeling });
    studio.tell(point.lines ? "A drawing, and its tune" : "A tune, and its drawing");
    studio.keep();
    this.#inset(seen);
    if (!silent) studio.play();
  }

  #inset(seen) {
    if (!this.inset.isConnected) this.studio.extra.append(this.inset);
    const { context, width } = sharpen(this.inset);
    const place = { scale: width / 1000, left: 0, top: 0 };
    ink(context, fit(fromColumns(seen.drawing), 1000, 0.16), place, { color: color(this.inset, "--ink"), width: 2.4 });
  }
}

/** The share of values below one: the map is spread evenly, however the values lie. */
const rank = (values, value) => values.filter((other) => other < value).length / Math.max(1, values.length - 1);

/** Push apart what lies on one another, a little at a time. */
function spread(points, apart = 0.075, rounds = 40) {
  for (let round = 0; round < rounds; round++) {
    for (const [i, a] of points.entries()) {
      for (const b of points.slice(i + 1)) {
        const [dx, dy] = [b.left - a.left || 1e-4, b.top - a.top];
        const distance = Math.hypot(dx, dy);
        if (distance >= apart) continue;
        const push = (apart - distance) / distance / 4;
        for (const [point, sign] of [[a, -1], [b, 1]]) {
          point.left = Math.min(1, Math.max(0, point.left + sign * push * dx));
          point.top = Math.min(1, Math.max(0, point.top + sign * push * dy));
        }
      }
    }
  }
}

function ring(context, x, y, radius, stroke) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  Object.assign(context, { strokeStyle: stroke, lineWidth: 1.5 });
  context.stroke();
}

/** A tune as a small picture: a dash a note. */
function contour(context, tune, { scale, left, top }, fill) {
  const pitches = tune.notes.map((note) => note.pitch);
  const [low, high] = [Math.min(...pitches), Math.max(...pitches)];
  const side = 1000 * scale;
  context.fillStyle = fill;
  for (const { pitch, start, end } of tune.notes) {
    const y = top + side * (0.12 + 0.76 * (1 - (pitch - low) / Math.max(5, high - low)));
    context.beginPath();
    context.roundRect(left + (start / 4) * side, y - 1.6, Math.max(2.5, ((end - start) / 4) * side - 0.8), 3.2, 1.6);
    context.fill();
  }
}

