// Load a magenta.js checkpoint folder in the real MusicVAE, and say what it encodes and decodes.
//
//   node music_vae.js FOLDER < {"z": [[…]], "tensors": [[[…]]], "controls": {…}} > {"decoded", "notes", "mu"}
//
// The folder is served on the loopback device. Decoding is greedy (no temperature).

const fs = require('fs');
const http = require('http');
const path = require('path');
console.log = () => {};  // the library speaks on stdout

const {MusicVAE} = require('@magenta/music/node/music_vae');
const tf = require('@tensorflow/tfjs');

function serve(folder) {
  const server = http.createServer((request, response) => {
    response.setHeader('Connection', 'close');  // the library blocks for longer than idle sockets live
    const file = path.join(folder, path.basename(decodeURIComponent(request.url)));
    fs.readFile(file, (error, content) => {
      response.statusCode = error ? 404 : 200;
      response.end(content);
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const asArrays = (sequence) => sequence.notes.map((note) => [
  note.pitch, note.quantizedStartStep, note.quantizedEndStep, note.startTime, note.endTime, note.velocity,
  note.instrument, note.program, note.isDrum]);

async function main() {
  const given = JSON.parse(fs.readFileSync(0));
  const server = await serve(process.argv[2]);
  const model = new MusicVAE(`http://127.0.0.1:${server.address().port}`);
  await model.initialize();
  server.close();
  const controls = given.controls || undefined;
  const said = {};
  if (given.z) {
    const z = tf.tensor2d(given.z);
    const decoded = await model.decodeTensors(z, undefined, controls);
    said.decoded = await decoded.array();
    said.notes = [];
    for (const tensor of tf.unstack(decoded)) {
      said.notes.push(asArrays(await model.dataConverter.toNoteSequence(tensor, undefined, 120)));
    }
  }
  if (given.tensors) {
    said.mu = await (await model.encodeTensors(tf.tensor3d(given.tensors), controls)).array();
  }
  process.stdout.write(JSON.stringify(said));
}

main();
