// The page: opens photos, joins the tools to the editor, and says how things stand.

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { joinExport } from "./export.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { joinTools } from "./tools.js";

const $ = (id) => document.getElementById(id);
const STATES = {
  updating: "Updating …",
  refining: "Solving exactly …",
  exact: "Exact",
  trouble: "Not up to date",
};

const stage = new Stage($("stage"));
const editor = new Editor(stage);
const tools = joinTools(editor, { change, say });
const strip = new Strip(openPhoto, takeOut);
let photo = null; // the strip's item that is open
let opening = null; // AbortController of a photo on its way
let retry = null; // what "Try again" does

function say(words) {
  $("live").textContent = words;
}

function screen(name) {
  document.body.dataset.screen = name;
  $("desk").hidden = $("actions").hidden = $("file").hidden = name !== "desk";
  $("welcome").hidden = name === "desk";
  $("drop").hidden = name !== "welcome";
  $("opening").hidden = name !== "opening";
}

function trouble(error, again, words = "Try again") {
  retry = again;
  $("trouble-text").textContent = error.message;
  $("again").textContent = again ? words : "Close";
  $("trouble").hidden = false;
}

function fine() {
  $("trouble").hidden = true;
}

$("again").addEventListener("click", () => {
  const again = retry;
  fine();
  again?.();
});

// Open the first of some photos that can be read; those before it are named.
async function openFiles(files) {
  const refused = [];
  let error = null;
  for (const item of strip.add(files)) {
    error = await openPhoto(item);
    if (error?.kind !== "refused") break;
    refused.push(error.message);
  }
  if (refused.length && !error) trouble(new Error(refused.join(" ")), null);
}

// Open an item of the strip: its session, or a new one where it has none, or that has ended. Gives what went wrong.
async function openPhoto(item) {
  const before = document.body.dataset.screen;
  opening?.abort();
  opening = Object.assign(new AbortController(), { item });
  const { signal } = opening;
  fine();
  strip.mark(item);
  const preview = item.file ? showPreview(item.file) : null;
  if (!item.id) screen("opening");
  $("cancel").focus();
  try {
    await leave();
    await enter(...(await sessionOf(item, signal)), item);
  } catch (error) {
    if (signal.aborted && opening?.signal !== signal) return error; // another photo took its place
    screen(before === "desk" ? "desk" : "welcome");
    strip.mark(photo);
    if (!item.id) strip.drop(item);
    if (error.name === "AbortError") return error;
    if (strip.items.length || item.id) error.message = `${item.name}: ${error.message}`;
    trouble(error, error.kind === "refused" ? null : () => openFiles([item.file]));
    return error;
  } finally {
    if (preview) URL.revokeObjectURL(preview);
    if (opening?.signal === signal) opening = null;
  }
}

// Take an item out of the strip; its file and marks are kept as long as it can be put back.
async function takeOut(item) {
  const [at, wasOpen, focused] = [strip.items.indexOf(item), item === photo, $("strip").contains(document.activeElement)];
  if (at < 0 || strip.items.length < 2) return;
  if (opening?.item === item) return opening.abort();
  if (wasOpen) {
    const next = strip.items[at + 1] ?? strip.items[at - 1];
    await openPhoto(next);
    if (photo !== next) return; // it cannot be opened, or was not waited for
    if (focused) next.button.focus();
  }
  strip.drop(item);
  if (focused && strip.items.length < 2) stage.canvas.focus();
  if (item.file && item.id) {
    api.end(item.id);
    item.id = null;
  }
  trouble(new Error(`${item.name} is taken out.`), () => strip.put(item, Math.min(at, strip.items.length)), "Put back");
}

// The session of an item, and whether it is new.
async function sessionOf(item, signal) {
  if (item.id) {
    try {
      return [await api.reopen(item.id), false];
    } catch (error) {
      if (error.kind !== "gone" || !item.file) throw error;
    }
  }
  return [await api.open(item.file, tools.settings(), signal), true];
}

// What was done to the open photo stays with it.
async function leave() {
  if (!photo || !editor.picture) return;
  Object.assign(photo, { marks: editor.picture.marks.slice(), clicks: editor.clicks });
  await editor.upToDate().catch(() => {});
}

async function enter(session, fresh, item) {
  await editor.load(session);
  photo = strip.enter(item, session, editor.picture);
  if (fresh && item?.marks) editor.put({ rect: editor.picture.whole, marks: item.marks, clicks: item.clicks });
  history.replaceState(null, "", `#${session.state.id}`);
  screen("desk");
  stage.resize();
  stage.fit();
  describe(session.state);
  tools.show(session.state);
  stage.canvas.focus({ preventScroll: true, focusVisible: false });
  say(`${session.state.name} is open.`);
}

function describe({ name, width, height, fullWidth, fullHeight, notes, unsure }) {
  document.title = `${name} – trimatte`;
  $("file").textContent = `${name} · ${fullWidth} × ${fullHeight}`;
  const reduced = width !== fullWidth;
  $("fullsize").textContent = reduced
    ? `You edit at ${width} × ${height}. Downloads are solved at the photo's ${fullWidth} × ${fullHeight}, which takes a while.`
    : "";
  if (notes.length) trouble(new Error(sentence(notes) + (unsure ? " Mark foreground and background by the brush." : "")), null);
}

function sentence(notes) {
  const words = notes.join("; ");
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

function showPreview(photo) {
  const image = $("preview");
  image.hidden = true;
  image.onload = () => (image.hidden = false); // some formats are read by the server alone
  return (image.src = URL.createObjectURL(photo));
}

async function change(settings) {
  pill("updating", "Solving …");
  try {
    await editor.change(settings);
    tools.showPlain(editor.session.state);
    fine();
  } catch (error) {
    tools.show(editor.session.state);
    failed(error, () => change(settings));
  }
}

editor.addEventListener("state", ({ detail: { kind, error, notes = [] } }) => {
  if (kind === "trouble") return failed(error, () => editor.sync.load());
  if (kind === "exact") clearFailure();
  if (kind === "refining") say(""); // so that the same words are said again
  pill(kind, notes.length ? `Exact; ${notes.join("; ")}` : STATES[kind]);
  if (kind === "exact") say(notes.length ? sentence(notes) : "Alpha is exact.");
});

function clearFailure() {
  if ($("trouble").dataset.from !== "service") return;
  delete $("trouble").dataset.from;
  fine();
}

function failed(error, again) {
  pill("trouble", STATES.trouble);
  $("trouble").dataset.from = "service";
  if (error.kind === "gone") photo?.file ? trouble(error, startAgain, "Start again") : trouble(error, close, "Open a photo");
  else trouble(error, again);
}

async function startAgain() {
  pill("updating", "Opening again …");
  try {
    const session = await api.open(photo.file, tools.settings());
    photo.id = session.state.id;
    history.replaceState(null, "", `#${session.state.id}`);
    editor.resume(session);
  } catch (error) {
    failed(error, startAgain);
  }
}

function close() {
  history.replaceState(null, "", location.pathname);
  screen("welcome");
  $("pick").focus();
}

function pill(kind, words) {
  $("pill").dataset.kind = kind;
  $("pill").textContent = words;
}

async function download(what, options, behind) {
  $("downloads").hidePopover();
  if (!(await editor.upToDate())) return;
  const [kind, words, preparing] = [$("pill").dataset.kind, $("pill").textContent, `Preparing ${what} …`];
  pill("updating", preparing);
  say(`Preparing ${what}.`);
  $("download").disabled = true;
  try {
    const { blob, notes } = await editor.session.download(what, options, behind);
    save(blob, `${editor.session.state.name.replace(/\.[^.]+$/, "")}-${what}`);
    if ($("pill").textContent === preparing) pill(kind, words); // else it tells of strokes that came meanwhile
    say(`${what} is downloaded.`);
    if (notes.length) trouble(new Error(sentence(notes)), null);
  } catch (error) {
    if (options && error.kind === "refused") return error;
    failed(error, () => download(what, options, behind));
  } finally {
    $("download").disabled = false;
  }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The cut-out, over what is behind it on the screen.
async function copy() {
  $("downloads").hidePopover();
  const { kind, colour, file } = stage.backdrop;
  const made = async () => {
    if (!(await editor.upToDate())) throw new Error("Your marks are not sent yet.");
    const options = kind === "colour" ? { background: colour } : {};
    return (await editor.session.download("cutout.png", options, kind === "image" ? file : null)).blob;
  };
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": made() })]);
    say("The cut-out is copied.");
    flash("Copied");
  } catch (error) {
    trouble(new Error(`It cannot be copied: ${error.message}`), null);
  }
}

// Say something for a moment where the state stands.
function flash(words) {
  const before = [$("pill").dataset.kind, $("pill").textContent];
  pill(before[0], words);
  setTimeout(() => $("pill").textContent === words && pill(...before), 1500);
}

const exporting = joinExport({ behind: () => stage.backdrop, download });

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download));
}
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const id of ["pick", "open"]) $(id).addEventListener("click", () => $("photo-file").click());
$("photo-file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // so that the same one can be picked again
  openFiles(files);
});
$("cancel").addEventListener("click", () => opening?.abort());
$("help").addEventListener("click", () => $("keys").showModal());

addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  openFiles(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  openFiles(event.clipboardData.files);
});
$("copy").hidden = !navigator.clipboard?.write; // as beyond this machine without HTTPS
$("copy").addEventListener("click", copy);
addEventListener("keydown", (event) => {
  if (document.body.dataset.screen !== "desk" || document.querySelector("dialog[open]")) return;
  const next = { PageUp: -1, PageDown: 1 }[event.key];
  if (next) {
    event.preventDefault();
    const item = strip.next(next);
    if (item) openPhoto(item);
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "c") {
    if (!$("copy").hidden && getSelection().isCollapsed && !event.target.matches("input:not([type='radio'])")) copy();
  }
});
addEventListener("online", () => $("trouble").dataset.from === "service" && editor.sync?.load());

// Only figures, for whoever measures the page: how long a stroke took to show.
editor.addEventListener("alpha", ({ detail }) => dispatchEvent(new CustomEvent("trimatte-alpha", { detail })));

api.onToken(
  () =>
    new Promise((resolve) => {
      const dialog = $("token");
      const field = $("token-value");
      field.value = "";
      $("token-form").onsubmit = (event) => {
        event.preventDefault();
        dialog.close(field.value);
      };
      dialog.onclose = () => resolve(dialog.returnValue || null);
      dialog.returnValue = "";
      dialog.showModal();
    }),
);

async function start() {
  $("host").textContent = /^(127\.|localhost|\[::1\])/.test(location.hostname) ? "this computer" : location.host;
  const id = location.hash.slice(1);
  try {
    const offered = await api.options();
    tools.offer(offered);
    exporting.offer(offered);
    if (!id) return;
    $("opening-text").textContent = "Opening …";
    screen("opening");
    await enter(await api.reopen(id), false, null);
  } catch (error) {
    screen("welcome");
    if (error.kind === "gone") close();
    trouble(error, error.kind === "gone" ? null : start);
  } finally {
    $("opening-text").textContent = "Finding the subject …";
  }
}

start();
