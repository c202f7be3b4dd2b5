// One photo being edited: strokes, undo, and what the service makes of them.

import { Gestures } from "./gestures.js";
import { BACKGROUND, FOREGROUND, History, Picture, UNTOUCHED, union } from "./picture.js";
import { Sync } from "./sync.js";

export const CLICK = "click"; // in place of a brush's value
const LEAST = 4; // pixels of the picture: a smaller box is a click
const FADE = 220; // ms in which a stroke's colour goes, once alpha shows what it did

export class Editor extends EventTarget {
  // Events: "state" and "alpha" as of Sync; "history": what can be undone has changed; "say" (detail: words);
  // "settings" (detail: settings that are to be changed); "picked" (detail: a colour as #rrggbb).
  constructor(stage) {
    super();
    this.stage = stage;
    this.brush = { value: CLICK, radius: 20, soft: 0 };
    this.lasso = false; // whether a stroke is the outline of what it marks
    this.loop = null; // points of such an outline
    this.pointing = "add"; // what a click does: "add", "remove" or "box"
    this.picking = false; // whether the next click takes a colour from the photo
    this.plain = null; // { backdrop, shadow }, as the session has them
    this.changes = Promise.resolve(); // of settings, one after the other
    this.clicks = [];
    this.press = null; // { kind, from, to } of a click that is being made
    this.session = null;
    this.picture = null;
    this.history = new History();
    this.stroke = null; // { before, rect, last }
    this.gestures = new Gestures(stage, this);
  }

  async load(session) {
    const [photo, trimap, marks] = await Promise.all([session.photo(), session.trimap(), session.marks()]);
    this.history = new History();
    this.clicks = this.stage.clicks = session.state.clicks;
    this.plain = plainOf(session.state);
    this.picture = new Picture(photo, trimap, marks);
    this.stage.show(this.picture);
    this.connect(session);
    this.tell("history");
    this.sync.load();
  }

  // Go on with a new session of the same photo: it gets all marks.
  resume(session) {
    this.connect(session);
    if (this.clicks.length) this.sync.click(this.clicks);
    this.sync.touch(this.picture.whole);
  }

  connect(session) {
    this.session = session;
    this.sync = new Sync(session, this.picture);
    const { sync } = this;
    const current = (handle) => (event) => sync === this.sync && handle(event.detail);
    sync.addEventListener("changed", current(() => this.stage.draw()));
    sync.addEventListener("state", current((detail) => this.tell("state", detail)));
    sync.addEventListener("alpha", current((detail) => this.shown(detail)));
  }

  change(settings) {
    return (this.changes = this.changes.catch(() => {}).then(() => this.changeNow(settings)));
  }

  async changeNow(settings) {
    const { session, picture } = this;
    try {
      await session.change(settings);
    } catch (error) {
      this.plain = plainOf(this.session.state);
      throw error;
    }
    picture.setAutomatic(await session.trimap());
    this.stage.draw();
    await this.sync.load();
  }

  // Say whether the background is of one colour, and what becomes of shadows on it. It can be undone.
  setPlain(plain) {
    if (plain.backdrop === this.plain.backdrop && plain.shadow === this.plain.shadow) return;
    this.history.settle(this.plain, plain);
    this.put({ settings: plain });
  }

  // Whether the service has every mark, once what is under way is sent.
  async upToDate() {
    await this.sync.run();
    return !this.sync.waiting;
  }

  get clicking() {
    return this.picking || this.brush.value === CLICK;
  }

  begin(point, { drops = false, boxes = false } = {}) {
    if (this.clicking) {
      const kind = this.picking ? "pick" : drops ? "remove" : boxes ? "box" : this.pointing;
      this.press = { kind, from: point, to: point };
      return;
    }
    clearTimeout(this.fading);
    if (this.lasso) {
      this.loop = this.stage.loop = [point];
      this.stage.stroke = null;
      return;
    }
    this.stroke = { before: this.picture.marks.slice(), rect: null, last: point };
    const { radius, value } = this.brush;
    this.sync.begin();
    this.stage.stroke = { points: [point], radius, value, strength: 1 };
    this.move(point);
  }

  move(point) {
    if (this.press) {
      this.press.to = point;
      this.stage.box = this.press.kind === "box" ? boxOf(this.press, this.picture) : null;
      this.stage.draw();
    }
    if (this.loop) {
      this.loop.push(point);
      this.hover(point, true);
    }
    if (!this.stroke) return;
    const { radius, value } = this.brush;
    const rect = this.picture.stamp(this.stroke.last, point, radius, value, this.softness);
    this.stroke.last = point;
    this.stroke.rect = union(this.stroke.rect, rect);
    this.stage.stroke?.points.push(point);
    this.hover(point, this.stage.brush?.cross);
    this.sync.touch(rect);
  }

  end() {
    if (this.press) this.point();
    if (this.loop) this.enclose();
    if (!this.stroke) return;
    const { before, rect } = this.stroke;
    this.stroke = null;
    if (rect) {
      this.history.add(rect, this.picture.marksOf(rect, before), this.picture.marksOf(rect));
      this.tell("history");
    }
    this.sync.end();
  }

  // What the lasso went round is marked.
  enclose() {
    const { loop } = this;
    this.loop = this.stage.loop = null;
    const before = this.picture.marks.slice();
    const rect = loop.length > 2 ? this.picture.enclose(loop, this.brush.value) : null;
    this.stage.draw();
    if (!rect) return;
    this.history.add(rect, this.picture.marksOf(rect, before), this.picture.marksOf(rect));
    this.tell("history");
    this.sync.begin();
    this.sync.touch(rect);
    this.sync.end();
  }

  // Of the brush's rim; what is unknown, or erased, has none.
  get softness() {
    return [FOREGROUND, BACKGROUND].includes(this.brush.value) ? this.brush.soft : 0;
  }

  // What was pressed is a click, or a box where it was dragged.
  point() {
    const { kind, from } = this.press;
    const box = boxOf(this.press, this.picture);
    this.press = this.stage.box = null;
    this.stage.draw();
    const { width, height } = this.picture;
    if (from.x < 0 || from.y < 0 || from.x >= width || from.y >= height) return;
    if (kind === "pick") return this.tell("picked", this.picture.colourAt(from));
    const drawn = kind === "box" && box.width >= LEAST && box.height >= LEAST;
    const click = drawn
      ? ["box", box.x, box.y, box.x + box.width, box.y + box.height]
      : [kind === "box" ? "add" : kind, Math.floor(from.x), Math.floor(from.y)];
    const after = [...this.clicks, click];
    this.history.note(this.clicks, after);
    this.put({ clicks: after });
    this.tell("say", { add: "Added.", remove: "Removed.", box: "Boxed." }[click[0]]);
  }

  cancel() {
    this.press = this.stage.box = this.loop = this.stage.loop = null;
    this.stage.draw();
    if (!this.stroke) return;
    const { before, rect } = this.stroke;
    this.stroke = this.stage.stroke = null;
    if (rect) this.put({ rect, marks: this.picture.marksOf(rect, before) });
    this.stage.draw();
  }

  get busy() {
    return Boolean(this.stroke || this.press || this.loop);
  }

  undo() {
    if (!this.busy) this.put(this.history.undo());
  }

  redo() {
    if (!this.busy) this.put(this.history.redo());
  }

  clear() {
    if (this.busy) return;
    const { picture } = this;
    const before = picture.marksOf(picture.whole);
    const after = new Uint8Array(before.length).fill(UNTOUCHED);
    this.history.add(picture.whole, before, after, this.clicks, []);
    this.put({ rect: picture.whole, marks: after, clicks: [] });
  }

  put(step) {
    if (!step) return;
    if (step.rect) this.picture.setMarks(step.rect, step.marks);
    if (step.clicks && step.clicks !== this.clicks) {
      this.clicks = this.stage.clicks = step.clicks;
      this.sync.click(step.clicks);
    }
    this.stage.draw();
    if (step.rect) this.sync.touch(step.rect);
    if (step.settings) this.tell("settings", (this.plain = step.settings));
    this.tell("history");
  }

  shown(detail) {
    this.tell("alpha", detail);
    const { stroke } = this.stage;
    if (!stroke || this.stroke) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const start = performance.now();
    const fade = () => {
      if (this.stage.stroke !== stroke) return;
      stroke.strength = still ? 0 : 1 - (performance.now() - start) / FADE;
      if (stroke.strength <= 0) this.stage.stroke = null;
      else this.fading = setTimeout(fade, 16);
      this.stage.draw();
    };
    fade();
  }

  hover(point, cross = false) {
    const shape = this.clicking || this.lasso ? { radius: 0, cross: true } : { radius: this.brush.radius, cross };
    this.stage.brush = point && !this.gestures.panning ? { ...point, ...shape } : null;
    this.stage.draw();
  }

  radius() {
    return this.brush.radius;
  }

  say(words) {
    this.tell("say", words);
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function plainOf({ backdrop, shadow }) {
  return { backdrop, shadow };
}

// The rectangle between two points, within the picture, in whole pixels.
function boxOf({ from, to }, { width, height }) {
  const within = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
  const [left, right] = [from.x, to.x].map((x) => within(x, width)).sort((a, b) => a - b);
  const [top, bottom] = [from.y, to.y].map((y) => within(y, height)).sort((a, b) => a - b);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
