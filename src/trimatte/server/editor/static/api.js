// The service, as promises. Whatever fails is a ServiceError with words that a person can use.

const BASE = new URL("v1/edit/", document.baseURI);
const TOKEN = "trimatte-token";

export class ServiceError extends Error {
  // kind: "network" (nothing came back), "gone" (the session has ended), "busy" (worth another try), or "refused".
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

let askForToken = async () => null;
let asking = null; // of several requests that are refused at once, one asks

// What to call where the service wants a token: a function that gives one, or null.
export function onToken(ask) {
  askForToken = () => (asking ??= ask().finally(() => (asking = null)));
}

async function request(method, path, { query = {}, body, signal } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(url, { method, body, signal, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("network", "The server cannot be reached. Your marks are kept here.");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    const given = await askForToken();
    if (given === null) throw new ServiceError("refused", "The server wants a token.");
    sessionStorage.setItem(TOKEN, given);
    return request(method, path, { query, body, signal });
  }
  throw await problemOf(response);
}

async function problemOf(response) {
  const told = await response.json().catch(() => ({}));
  const detail = told.detail || `the server answered ${response.status}`;
  if (response.status === 410) return new ServiceError("gone", "This session has ended.");
  const words = detail[0].toUpperCase() + detail.slice(1) + (/[.!?]$/.test(detail) ? "" : ".");
  return new ServiceError(response.status === 429 || response.status >= 500 ? "busy" : "refused", words);
}

export async function options() {
  return (await request("GET", "options")).json();
}

export async function open(file, settings, signal) {
  const query = { name: file.name || "photo", ...settings };
  return new Session(await (await request("POST", "sessions", { query, body: file, signal })).json());
}

export async function reopen(id) {
  const response = await request("GET", `sessions/${encodeURIComponent(id)}`);
  return new Session(await response.json());
}

// A session is not needed any more.
export async function end(id) {
  await request("DELETE", `sessions/${encodeURIComponent(id)}`).catch(() => {});
}

class Session {
  constructor(state) {
    this.state = state;
    this.version = -1; // of the last patch that is shown
  }

  async ask(method, what, more = {}) {
    return request(method, `sessions/${this.state.id}${what}`, more);
  }

  photo() {
    return this.picture("/photo");
  }

  foreground() {
    return this.picture("/foreground");
  }

  trimap() {
    return this.plane("/trimap");
  }

  marks() {
    return this.plane("/marks");
  }

  // Send the marks of a rectangle; a patch of alpha comes back.
  async paint(rect, marks) {
    const deflated = new Blob([marks]).stream().pipeThrough(new CompressionStream("deflate"));
    const body = await new Response(deflated).arrayBuffer();
    return this.patchOf(await this.ask("PATCH", "/marks", { query: { ...rect, since: this.version }, body }));
  }

  // All clicks, such as ["add", x, y] or ["box", x0, y0, x1, y1]; a patch of alpha comes back.
  async click(clicks) {
    return this.patchOf(await this.ask("PUT", "/clicks", { query: { since: this.version }, body: JSON.stringify(clicks) }));
  }

  // The exact alpha, as a patch, once it is there.
  async alpha() {
    return this.patchOf(await this.ask("GET", "/alpha", { query: { since: this.version } }));
  }

  async change(settings) {
    this.state = await (await this.ask("PUT", "/settings", { body: JSON.stringify(settings) })).json();
  }

  // A file, and what could not be made of it. With options, and a picture behind, a cut-out is laid out as they say.
  async download(what, options = {}, behind = null) {
    const response = await this.ask(behind ? "POST" : "GET", `/${what}`, { query: options, body: behind ?? undefined });
    return { blob: await response.blob(), notes: JSON.parse(response.headers.get("Trimatte-Notes") ?? "[]") };
  }

  async patchOf(response) {
    const patch = JSON.parse(response.headers.get("Trimatte-Patch"));
    patch.alpha = await bytesOf(response);
    return patch;
  }

  async plane(what) {
    return bytesOf(await this.ask("GET", what));
  }

  async picture(what) {
    const blob = await (await this.ask("GET", what)).blob();
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }
}

// A connection that breaks while the body comes in is a failure of the network, too.
async function bytesOf(response) {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new ServiceError("network", "The connection broke. Your marks are kept here.");
  }
}
