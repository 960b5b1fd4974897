// Everything that makes a creation, in the address: what was drawn or played, and all settings.

const VERSION = 1;

/** state → text for the address. Coordinates go as steps from the point before, then everything is deflated. */
export async function encode(state) {
  const small = { ...state, v: VERSION };
  if (state.lines) small.lines = state.lines.map(toSteps);
  const bytes = new TextEncoder().encode(JSON.stringify(small));
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const view = new Uint8Array(await new Response(packed).arrayBuffer());
  let text = "";
  for (const byte of view) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const LARGEST = 400_000;

/** The inverse; null for anything that is not such a text. */
export async function decode(text) {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const state = JSON.parse(await bounded(stream));
    if (state.v !== VERSION) return null;
    if (state.lines) state.lines = state.lines.map(fromSteps);
    return state;
  } catch {
    return null;
  }
}

async function bounded(stream) {
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for await (const part of iterate(stream.getReader())) {
    size += part.length;
    if (size > LARGEST) throw new RangeError("too long");
    text += decoder.decode(part, { stream: true });
  }
  return text;
}

async function* iterate(reader) {
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

function toSteps(line) {
  return line.flatMap(([x, y], i) => [x - (line[i - 1]?.[0] ?? 0), y - (line[i - 1]?.[1] ?? 0)]);
}

function fromSteps(steps) {
  const line = [];
  for (let i = 0, x = 0, y = 0; i + 1 < steps.length; i += 2) line.push([(x += steps[i]), (y += steps[i + 1])]);
  return line;
}
