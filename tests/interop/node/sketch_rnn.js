// Load a .gen.json in the real @magenta/sketch and draw without chance: the likeliest mixture component, its
// mean, the likeliest pen state; no drawing ends with its first row.
//
//   node sketch_rnn.js FILE.gen.json > {"strokes": [[dx, dy, p1, p2, p3], …], "pens": [[…]]}
//
// Offsets are in the units of the drawing, the end row is left out, `pens` are the pen probabilities of each row.

const fs = require('fs');
console.log = () => {};  // the library speaks on stdout

const {SketchRNN} = require('@magenta/sketch');

const likeliest = (p) => p.indexOf(Math.max(...p));

const model = new SketchRNN('');
const [info, dims, weights] = JSON.parse(fs.readFileSync(process.argv[2]));
model.instantiateFromJSON(info, dims, weights);
model.setPixelFactor(1);

let state = model.zeroState();
if (info.initial_state) {
  state = {c: Float32Array.from(info.initial_state.c), h: Float32Array.from(info.initial_state.h)};
}
const strokes = [];
const pens = [];
let stroke = model.zeroInput();
while (strokes.length < info.max_seq_len) {
  state = model.update(stroke, state);
  const pdf = model.getPDF(state, 1);
  const k = likeliest(pdf.pi);
  const pen = Array.from(pdf.pen);
  if (strokes.length === 0) pen[2] = 0;
  const p = [0, 0, 0];
  p[likeliest(pen)] = 1;
  if (p[2]) break;
  stroke = [pdf.muX[k] * model.scaleFactor, pdf.muY[k] * model.scaleFactor, ...p];
  strokes.push(stroke);
  pens.push(pen);
}
process.stdout.write(JSON.stringify({strokes, pens}));
