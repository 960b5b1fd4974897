// The shape between seeing and hearing: a blob that grows spikes, spike = 0 … 1.

const POINTS = 330;
const LOBES = 11;

/** SVG path of the shape, about 100 units in radius. */
export function shapePath(spike, turn = 0) {
  const points = [];
  for (let i = 0; i < POINTS; i++) {
    const angle = (2 * Math.PI * i) / POINTS;
    const soft = 0.075 * Math.sin(3 * angle + 0.6) + 0.05 * Math.sin(5 * angle + 2.1 + turn);
    const phase = ((LOBES * (angle + turn * 0.05)) / (2 * Math.PI)) % 1;
    const tooth = (1 - Math.abs(2 * ((phase + 1) % 1) - 1)) ** 1.5; // sharp at its tip, hollow at its sides
    const uneven = 0.82 + 0.18 * Math.sin(2 * angle + 1);
    const radius = 84 + (1 - spike) * 84 * soft + spike * (tooth * 48 * uneven - 30);
    points.push(`${(radius * Math.cos(angle)).toFixed(1)} ${(radius * Math.sin(angle)).toFixed(1)}`);
  }
  return `M${points.join("L")}Z`;
}

/** The button with the shape on it: follows a target smoothly, and beats when a note sounds. */
export class Shape {
  constructor(button) {
    [this.button, this.outline] = [button, button.querySelector("#shape")];
    [this.spike, this.target, this.beat] = [0.35, 0.35, 0];
    this.#draw();
  }

  toward(spike) {
    this.target = spike;
    if (this.running) return;
    this.running = true;
    const step = () => {
      this.spike += (this.target - this.spike) * 0.14;
      if (Math.abs(this.target - this.spike) < 0.004) this.spike = this.target;
      this.#draw();
      this.running = this.spike !== this.target;
      if (this.running) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Called every frame of playing; `beat` 0..1 is how freshly a note was struck. */
  pulse(beat) {
    this.outline.style.setProperty("--pulse", 1 + 0.075 * beat);
  }

  #draw() {
    this.outline.setAttribute("d", shapePath(this.spike));
  }
}
