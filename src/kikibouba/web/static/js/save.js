// Files: the server makes them of what is on the page, so they are those that Python would write.

import { post } from "./api.js";
import { toColumns } from "./ink.js";
import { INSTRUMENTS } from "./synth.js";

export async function save(studio, form) {
  const { tune, drawing, state } = studio;
  const sounds = form === "mid" || form === "wav" || (form === "png" && !drawing?.length);
  const artifact = sounds ? plain(tune) : { drawing: toColumns(drawing) };
  const options = sounds ? { tempo: state.tempo, program: INSTRUMENTS[studio.voice].program } : {};
  const file = await studio.ask((signal) => post("/api/render", { artifact, form, ...options }, { signal, file: true }));
  if (!file) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `kikibouba-${state.mode}-${state.seed}.${form}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A tune without what was measured of it. */
export const plain = ({ notes, total_time }) => ({ notes, total_time });
