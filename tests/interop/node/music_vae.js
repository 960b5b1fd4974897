// Load magenta.js checkpoint folders in the real MusicVAE, and say what they decode and encode.
//
//   node music_vae.js < [{"folder": "…", "z": [[…]], "tensors": [[[…]]], "controls": {…}}, …]
//                     > [{"decoded": [[[…]]], "notes": [[[…]]], "mu": [[…]]}, …]
//
// The folders are served on the loopback device. Decoding is greedy (no temperature).

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

async function run(job) {
  const server = await serve(job.folder);
  const model = new MusicVAE(`http://127.0.0.1:${server.address().port}`);
  await model.initialize();
  server.close();
  const controls = job.controls || undefined;
  for (const [name, rows] of Object.entries((controls || {}).extraControls || {})) {
    controls.extraControls[name] = tf.tensor2d(rows);
  }
  const decoded = await model.decodeTensors(tf.tensor2d(job.z), undefined, controls);
  const said = {decoded: await decoded.array(), notes: []};
  for (const tensor of tf.unstack(decoded)) {
    said.notes.push(asArrays(await model.dataConverter.toNoteSequence(tensor, undefined, 120)));
  }
  if (job.tensors) {
    said.mu = await (await model.encodeTensors(tf.tensor3d(job.tensors), controls)).array();
  }
  return said;
}

async function main() {
  const said = [];
  for (const job of JSON.parse(fs.readFileSync(0))) {
    said.push(await run(job).catch((error) => {
      throw new Error(`${job.folder}: ${error.message}`);
    }));
  }
  process.stdout.write(JSON.stringify(said));
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
