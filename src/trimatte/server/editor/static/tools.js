// The panel, the bar and the keys: every control, and what it does to the editor.

const $ = (id) => document.getElementById(id);
import { CLICK } from "./editor.js";

const HINTS = {
  click: "Click on what belongs to the subject. The right button, or Alt, takes away; drag with Shift for a box.",
  255: "Brush over what belongs to the subject.",
  0: "Brush over what does not belong to it.",
  128: "Brush over hair, fur and glass: it is solved for.",
  1: "Takes your marks away.",
};
const KEPT = "trimatte-tools";
const SETTLE = 250; // ms that a slider rests before it counts

// Gives { settings(), show(state), showPlain(state), offer(options) }. `change(settings)` is called for new settings.
export function joinTools(editor, { change, say }) {
  const { stage } = editor;
  const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

  function choose(name, value) {
    const input = document.querySelector(`input[name="${name}"][value="${value}"]`);
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function onChoice(name, act) {
    for (const input of document.querySelectorAll(`input[name="${name}"]`)) input.addEventListener("change", act);
  }

  // Brush
  function brush() {
    const value = chosen("brush");
    editor.brush.value = value === CLICK ? value : Number(value);
    $("brush-hint").textContent = HINTS[value];
    $("size").disabled = value === CLICK || editor.lasso;
    $("soft").disabled = $("size").disabled || !["0", "255"].includes(value);
    $("lasso").disabled = value === CLICK;
    $("pointing").hidden = value !== CLICK;
    stage.pointing = value === CLICK;
    stage.draw();
    if (stage.brush) editor.hover({ x: stage.brush.x, y: stage.brush.y }, stage.brush.cross);
  }
  function size() {
    const largest = editor.picture ? Math.max(editor.picture.width, editor.picture.height) / 3 : 300;
    const diameter = Math.round(2 * (largest / 2) ** ($("size").value / 100));
    editor.brush.radius = diameter / 2;
    $("size-out").textContent = `${diameter} px`;
    if (stage.brush) editor.hover({ x: stage.brush.x, y: stage.brush.y }, stage.brush.cross);
  }
  function soft() {
    editor.brush.soft = $("soft").value / 100;
    $("soft-out").textContent = `${$("soft").value} %`;
  }
  $("soft").addEventListener("input", soft);
  $("lasso").addEventListener("change", () => {
    editor.lasso = $("lasso").checked;
    brush();
  });
  onChoice("brush", brush);
  onChoice("pointing", () => (editor.pointing = chosen("pointing")));
  $("size").addEventListener("input", size);
  $("clear").addEventListener("click", () => editor.clear());
  $("undo").addEventListener("click", () => editor.undo());
  $("redo").addEventListener("click", () => editor.redo());
  editor.addEventListener("history", () => {
    $("undo").disabled = !editor.history.done.length;
    $("redo").disabled = !editor.history.undone.length;
  });
  editor.addEventListener("say", ({ detail }) => say(detail));

  // View
  onChoice("mode", () => {
    stage.mode = chosen("mode");
    stage.draw();
  });
  onChoice("backdrop", backdrop);
  $("removed").addEventListener("change", () => {
    stage.removed = $("removed").checked;
    stage.draw();
  });
  $("colour").addEventListener("input", () => choose("backdrop", "colour"));
  $("backdrop-file").addEventListener("change", async (event) => {
    const [picture] = event.target.files;
    event.target.value = "";
    if (!picture) return;
    try {
      backdrop.image = await createImageBitmap(picture);
      backdrop.file = picture;
      backdrop();
    } catch {
      say("That picture cannot be shown.");
      choose("backdrop", "checks");
    }
  });
  document.querySelector('input[value="image"]').addEventListener("click", () => $("backdrop-file").click());

  function backdrop() {
    const value = chosen("backdrop");
    if (value === "checks" || (value === "image" && !backdrop.image)) stage.backdrop = { kind: "checks" };
    else if (value === "image") stage.backdrop = { kind: "image", image: backdrop.image, file: backdrop.file };
    else stage.backdrop = { kind: "colour", colour: value === "colour" ? $("colour").value : value };
    stage.draw();
  }

  // Before and after
  function compare() {
    stage.split = $("compare").checked ? 0.5 : null;
    $("split").hidden = stage.split === null;
    stage.draw();
  }
  function moveSplit(share) {
    stage.split = Math.min(1, Math.max(0, share));
    stage.draw();
  }
  $("compare").addEventListener("change", compare);
  $("split").addEventListener("pointerdown", (event) => event.target.closest("#split").setPointerCapture(event.pointerId));
  $("split").addEventListener("pointermove", (event) => {
    if (!$("split").hasPointerCapture(event.pointerId)) return;
    const x = event.clientX - stage.canvas.getBoundingClientRect().left;
    moveSplit(stage.toPicture({ x, y: 0 }).x / stage.picture.width);
  });
  $("split").addEventListener("keydown", (event) => {
    const to = { ArrowLeft: stage.split - 0.02, ArrowRight: stage.split + 0.02, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    moveSplit(to);
  });

  // Zoom
  const middle = (factor) => () => stage.picture && stage.zoom(factor);
  $("zoom-in").addEventListener("click", middle(1.25));
  $("zoom-out").addEventListener("click", middle(0.8));
  $("zoom-fit").addEventListener("click", () => stage.fit());
  $("hand").addEventListener("click", () => hand(!editor.gestures.panning));
  function hand(on) {
    editor.gestures.panning = on;
    $("hand").setAttribute("aria-pressed", on);
    stage.canvas.classList.toggle("hand", on);
    if (on) editor.hover(null);
  }
  stage.onpaint = () => {
    const level = Math.round(100 * stage.view.scale * (window.devicePixelRatio || 1));
    $("zoom-level").textContent = `${level} %`;
    if (stage.split === null) return;
    const { width } = stage.canvas.getBoundingClientRect();
    $("split").style.left = `${Math.min(width - 3, Math.max(3, stage.splitAt()))}px`;
    $("split").setAttribute("aria-valuenow", Math.round(100 * stage.split));
  };

  // Edge
  let resting = 0;
  const settings = () => ({ method: $("method").value || "balanced", band: $("band").value, ...plain() });
  const bandOut = () => ($("band-out").textContent = `${(100 * $("band").value).toFixed(1)} %`);
  $("method").addEventListener("change", () => change({ method: $("method").value }));
  $("band").addEventListener("input", () => {
    bandOut();
    clearTimeout(resting);
    resting = setTimeout(() => change({ band: Number($("band").value) }), SETTLE);
  });

  // A backdrop of one colour
  function plain() {
    const value = chosen("plain");
    return { backdrop: value === "colour" ? $("plain-colour").value : value, shadow: $("shadow").checked ? "keep" : "drop" };
  }
  function setPlain() {
    if (editor.picture && !$("plain").disabled) editor.setPlain(plain());
  }
  function pick(on) {
    editor.picking = on;
    $("plain-pick").setAttribute("aria-pressed", on);
    if (!on) return editor.hover(null);
    hand(false);
    stage.canvas.focus({ preventScroll: true });
    say("Click on the backdrop; by keyboard move the cross by the arrow keys, and press Enter.");
  }
  function showPlain({ backdrop, shadow, found, foundNote, band }) {
    const given = backdrop === null;
    if (!given) {
      const value = ["off", "auto"].includes(backdrop) ? backdrop : "colour";
      document.querySelector(`input[name="plain"][value="${value}"]`).checked = true;
      $("shadow").checked = shadow === "keep";
      const colour = value === "colour" && /^#[0-9a-f]{6}$/i.test(backdrop) ? backdrop : found;
      if (colour) $("plain-colour").value = colour;
    }
    $("plain").disabled = given;
    $("shadow").disabled = backdrop === "off";
    $("method").disabled = Boolean(found);
    $("band").disabled = band === null || Boolean(found);
    const refused = !given && backdrop !== "off" && !found;
    $("plain-note").dataset.kind = refused ? "refused" : "";
    $("plain-note").textContent = given
      ? "Not with a trimap, or an alpha, of its own."
      : refused
        ? `Not taken: ${foundNote.replace(/^backdrop: got /, "")}.`
        : found && `${found}: ${foundNote}.`;
  }
  onChoice("plain", setPlain);
  $("shadow").addEventListener("change", setPlain);
  $("plain-colour").addEventListener("change", () => choose("plain", "colour"));
  $("plain-pick").addEventListener("click", () => pick(!editor.picking));
  editor.addEventListener("picked", ({ detail }) => {
    pick(false);
    $("plain-colour").value = detail;
    choose("plain", "colour");
  });
  editor.addEventListener("settings", ({ detail }) => change(detail));

  // Narrow windows show one group of tools at a time
  for (const tab of document.querySelectorAll(".tabs button")) {
    tab.addEventListener("click", () => {
      $("panel").dataset.tab = tab.dataset.tab;
      for (const each of document.querySelectorAll(".tabs button")) each.setAttribute("aria-pressed", each === tab);
    });
  }

  // Keys, wherever the focus is, save where they mean something else
  let held = false; // the hand, by the space bar
  addEventListener("keydown", (event) => {
    if (!editor.picture || document.querySelector("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") event.shiftKey ? editor.redo() : editor.undo();
      else if (key === "y") editor.redo();
      else return;
      event.preventDefault();
      return;
    }
    if (event.altKey || event.target.matches("select, input[type='range'], input[type='text'], input[type='password']")) return;
    const step = (by) => {
      $("size").value = Number($("size").value) + by;
      size();
    };
    const modes = ["cutout", "marks", "alpha", "photo"];
    const actions = {
      p: () => choose("brush", CLICK),
      1: () => choose("brush", 255),
      2: () => choose("brush", 0),
      3: () => choose("brush", 128),
      4: () => choose("brush", 1),
      "[": () => step(-5),
      "]": () => step(5),
      "+": () => stage.zoom(1.25),
      "=": () => stage.zoom(1.25),
      "-": () => stage.zoom(0.8),
      0: () => stage.fit(),
      l: () => $("lasso").click(),
      i: () => $("plain-pick").click(),
      escape: () => editor.picking && pick(false),
      h: () => hand(!editor.gestures.panning),
      v: () => choose("mode", modes[(modes.indexOf(chosen("mode")) + 1) % modes.length]),
      c: () => $("compare").click(),
      r: () => $("removed").click(),
      "?": () => $("keys").showModal(),
    };
    if (key === " " && (event.target === stage.canvas || event.target === document.body)) {
      event.preventDefault();
      if (!event.repeat) hand((held = true));
    } else actions[key]?.();
  });
  addEventListener("keyup", (event) => event.key === " " && held && hand((held = false)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => stage.draw());

  // What was chosen is remembered, but for the picture behind and the brush: the click comes first.
  const kept = ["size", "soft", "lasso", "removed", "colour", "band", "method", "plain-colour", "shadow"];
  function keep() {
    const values = kept.map((id) => [id, $(id).type === "checkbox" ? $(id).checked : $(id).value]);
    if (chosen("backdrop") !== "image") values.push(["backdrop", chosen("backdrop")]);
    values.push(["plain", chosen("plain")]);
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(values)));
  }
  function remembered() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? {};
    } catch {
      return {};
    }
  }
  function remember() {
    const values = remembered();
    for (const id of kept.filter((id) => id in values && id !== "method")) {
      if ($(id).type === "checkbox") $(id).checked = values[id] === true;
      else $(id).value = values[id];
    }
    const behind = document.querySelector(`input[name="backdrop"][value="${CSS.escape(values.backdrop ?? "checks")}"]`);
    if (behind) behind.checked = true;
    const ground = document.querySelector(`input[name="plain"][value="${CSS.escape(values.plain ?? "off")}"]`);
    if (ground) ground.checked = true;
    stage.removed = $("removed").checked;
    editor.lasso = $("lasso").checked;
    backdrop();
  }
  $("panel").addEventListener("change", keep);

  remember();
  soft();
  brush();
  bandOut();

  return {
    settings,
    showPlain,
    show(state) {
      $("method").value = state.method;
      showPlain(state);
      if (editor.picking) pick(false);
      if (state.band !== null) $("band").value = state.band;
      bandOut();
      size();
    },
    offer({ methods }) {
      const items = methods.map(({ name, label }) => new Option(label, name));
      $("method").replaceChildren(...items);
      const { method } = remembered();
      if (methods.some(({ name }) => name === method)) $("method").value = method;
    },
  };
}
