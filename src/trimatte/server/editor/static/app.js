// The page: opens photos, joins the tools to the editor, and says how things stand.

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { joinExport } from "./export.js";
import { Stage } from "./stage.js";
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
let file = null; // of the photo that is open, if it was picked here
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

async function openPhoto(photo) {
  const before = document.body.dataset.screen;
  opening?.abort();
  opening = new AbortController();
  const { signal } = opening;
  fine();
  const preview = showPreview(photo);
  screen("opening");
  $("cancel").focus();
  try {
    const session = await api.open(photo, tools.settings(), signal);
    await enter(session, photo);
  } catch (error) {
    if (signal.aborted && opening?.signal !== signal) return; // another photo took its place
    screen(before === "desk" ? "desk" : "welcome");
    if (error.name !== "AbortError") trouble(error, error.kind === "refused" ? null : () => openPhoto(photo));
  } finally {
    URL.revokeObjectURL(preview);
    if (opening?.signal === signal) opening = null;
  }
}

async function enter(session, photo) {
  await editor.load(session);
  file = photo;
  history.replaceState(null, "", `#${session.state.id}`);
  screen("desk");
  stage.resize();
  stage.fit();
  describe(session.state);
  tools.show(session.state);
  stage.canvas.focus({ preventScroll: true, focusVisible: false });
  say(`${session.state.name} is open.`);
}

function describe({ name, width, height, fullWidth, fullHeight, notes }) {
  document.title = `${name} – trimatte`;
  $("file").textContent = `${name} · ${fullWidth} × ${fullHeight}`;
  const reduced = width !== fullWidth;
  $("fullsize").textContent = reduced
    ? `You edit at ${width} × ${height}. Downloads are solved at the photo's ${fullWidth} × ${fullHeight}, which takes a while.`
    : "";
  if (notes.length) trouble(new Error(`${sentence(notes)} Mark foreground and background by the brush.`), null);
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
  if (error.kind === "gone") file ? trouble(error, startAgain, "Start again") : trouble(error, close, "Open a photo");
  else trouble(error, again);
}

async function startAgain() {
  pill("updating", "Opening again …");
  try {
    const session = await api.open(file, tools.settings());
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
    save(await editor.session.download(what, options, behind), `${editor.session.state.name.replace(/\.[^.]+$/, "")}-${what}`);
    if ($("pill").textContent === preparing) pill(kind, words); // else it tells of strokes that came meanwhile
    say(`${what} is downloaded.`);
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

const exporting = joinExport({ behind: () => stage.backdrop, download });

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download));
}
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const id of ["pick", "open"]) $(id).addEventListener("click", () => $("photo-file").click());
$("photo-file").addEventListener("change", (event) => {
  const [photo] = event.target.files;
  event.target.value = ""; // so that the same one can be picked again
  if (photo) openPhoto(photo);
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
  const [photo] = event.dataTransfer.files;
  if (photo) openPhoto(photo);
});
addEventListener("paste", (event) => {
  const [photo] = event.clipboardData.files;
  if (photo) openPhoto(photo);
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
    exporting.offer(offered.presets);
    if (!id) return;
    $("opening-text").textContent = "Opening …";
    screen("opening");
    await enter(await api.reopen(id), null);
  } catch (error) {
    screen("welcome");
    if (error.kind === "gone") close();
    trouble(error, error.kind === "gone" ? null : start);
  } finally {
    $("opening-text").textContent = "Finding the subject …";
  }
}

start();
