// One photo being edited: strokes, undo, and what the service makes of them.

import { Gestures } from "./gestures.js";
import { History, Picture, UNTOUCHED, union } from "./picture.js";
import { Sync } from "./sync.js";

const FADE = 220; // ms in which a stroke's colour goes, once alpha shows what it did

export class Editor extends EventTarget {
  // Events: "state" and "alpha" as of Sync; "history": what can be undone has changed; "say" (detail: words).
  constructor(stage) {
    super();
    this.stage = stage;
    this.brush = { value: 255, radius: 20 };
    this.session = null;
    this.picture = null;
    this.history = new History();
    this.stroke = null; // { before, rect, last }
    this.gestures = new Gestures(stage, this);
  }

  async load(session) {
    const [photo, trimap, marks] = await Promise.all([session.photo(), session.trimap(), session.marks()]);
    this.session?.close();
    this.history = new History();
    this.picture = new Picture(photo, trimap, marks);
    this.stage.show(this.picture);
    this.connect(session);
    this.tell("history");
    this.sync.load();
  }

  // Go on with a new session of the same photo: it gets all marks.
  resume(session) {
    this.connect(session);
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

  async change(settings) {
    const { session, picture } = this;
    await session.change(settings);
    picture.setAutomatic(await session.trimap());
    this.stage.draw();
    await this.sync.load();
  }

  // Whether the service has every mark, once what is under way is sent.
  async upToDate() {
    await this.sync.run();
    return !this.sync.unsent;
  }

  begin(point) {
    this.stroke = { before: this.picture.marks.slice(), rect: null, last: point };
    const { radius, value } = this.brush;
    clearTimeout(this.fading);
    this.sync.begin();
    this.stage.stroke = { points: [point], radius, value, strength: 1 };
    this.move(point);
  }

  move(point) {
    if (!this.stroke) return;
    const rect = this.picture.stamp(this.stroke.last, point, this.brush.radius, this.brush.value);
    this.stroke.last = point;
    this.stroke.rect = union(this.stroke.rect, rect);
    this.stage.stroke?.points.push(point);
    this.hover(point, this.stage.brush?.cross);
    this.sync.touch(rect);
  }

  end() {
    if (!this.stroke) return;
    const { before, rect } = this.stroke;
    this.stroke = null;
    if (rect) {
      this.history.add(rect, this.picture.marksOf(rect, before), this.picture.marksOf(rect));
      this.tell("history");
    }
    this.sync.end();
  }

  cancel() {
    if (!this.stroke) return;
    const { before, rect } = this.stroke;
    this.stroke = this.stage.stroke = null;
    if (rect) this.put({ rect, marks: this.picture.marksOf(rect, before) });
    this.stage.draw();
  }

  undo() {
    if (!this.stroke) this.put(this.history.undo());
  }

  redo() {
    if (!this.stroke) this.put(this.history.redo());
  }

  clear() {
    if (this.stroke) return;
    const { picture } = this;
    const before = picture.marksOf(picture.whole);
    const after = new Uint8Array(before.length).fill(UNTOUCHED);
    this.history.add(picture.whole, before, after);
    this.put({ rect: picture.whole, marks: after });
  }

  put(step) {
    if (!step) return;
    this.picture.setMarks(step.rect, step.marks);
    this.stage.draw();
    this.sync.touch(step.rect);
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
    this.stage.brush = point && !this.gestures.panning ? { ...point, radius: this.brush.radius, cross } : null;
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
