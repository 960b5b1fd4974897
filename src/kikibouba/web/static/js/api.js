// The server, as functions. Errors arrive as sentences that can be shown.

const TIMEOUT = 45_000;
const LARGEST_FILE = 5_000_000; // as in limits.py; said here, before it is sent for nothing

export class Refused extends Error {}

const SILENT = "The studio does not answer. Is `kikibouba serve` still running?";

/** POST JSON; resolves to JSON, or to a Blob with `file`. One polite retry when the server is busy. */
export async function post(path, body, { signal, file = false, method = "POST", retry = true } = {}) {
  if (body instanceof Blob && body.size > LARGEST_FILE) throw new Refused("This file is larger than the 5 MB allowed here.");
  const limit = AbortSignal.timeout(TIMEOUT);
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body instanceof Blob ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : body instanceof Blob ? body : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(limit.aborted ? "That took too long. Try something smaller." : SILENT);
  }
  if (answer.status === 503 && retry) {
    await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
    return post(path, body, { signal, file, method, retry: false });
  }
  if (!answer.ok) throw new Refused(await reason(answer));
  return file ? answer.blob() : answer.json();
}

export const get = (path, options) => post(path, undefined, { ...options, method: "GET" });

export async function reason(answer) {
  try {
    const { error } = await answer.json();
    return error.charAt(0).toUpperCase() + error.slice(1) + (/[.!?]$/.test(error) ? "" : ".");
  } catch {
    return `The studio answered ${answer.status}.`;
  }
}
