// Keeps the service's alpha up with the marks: strokes at once, the exact solution when there is a pause.

import { union } from "./picture.js";

const PAUSE = 150; // ms without a stroke before the exact solution is asked for

export class Sync extends EventTarget {
  // Events: "state" {kind, error?, notes?}, kind being "updating", "refining", "exact" or "trouble";
  // "alpha" {ms, exact}: what a stroke has led to is shown, so long after it ended; "changed": draw anew.
  constructor(session, picture) {
    super();
    this.session = session;
    this.picture = picture;
    this.unsent = null; // rectangle of marks that the service does not have
    this.clicks = null; // all clicks, if the service does not have them
    this.exact = true;
    this.running = null; // the promise of `send`
    this.refining = false;
    this.ended = null; // when the last stroke ended
    this.timer = 0;
  }

  // The marks in `rect` have changed.
  touch(rect) {
    if (!rect) return;
    this.unsent = union(this.unsent, rect);
    this.exact = false;
    this.run();
  }

  // These are all clicks now.
  click(clicks) {
    this.clicks = clicks;
    this.exact = false;
    this.ended = performance.now();
    this.run();
  }

  // A stroke begins: what is shown meanwhile is not yet an answer to it.
  begin() {
    this.ended = null;
  }

  // A stroke is over.
  end() {
    this.ended = performance.now();
    if (!this.waiting && !this.running) this.answered();
  }

  // Ask anew: at first, after a change of settings, and after trouble.
  load() {
    this.exact = false;
    return this.run();
  }

  get waiting() {
    return this.unsent !== null || this.clicks !== null;
  }

  // Send what is unsent; then, after a pause, ask for the exact solution.
  run() {
    this.running ??= this.send().finally(() => (this.running = null));
    return this.running;
  }

  async send() {
    clearTimeout(this.timer);
    try {
      while (this.waiting) await (this.clicks ? this.point() : this.follow());
      if (!this.exact) this.timer = setTimeout(() => this.refine(), this.session.version < 0 ? 0 : PAUSE);
    } catch (error) {
      this.tell("state", { kind: "trouble", error });
    }
  }

  async follow() {
    const rect = this.unsent;
    this.unsent = null;
    this.tell("state", { kind: "updating" });
    try {
      this.show(await this.session.paint(rect, this.picture.marksOf(rect)));
    } catch (error) {
      this.unsent = union(this.unsent, rect); // sent again with the next try
      throw error;
    }
    if (!this.waiting) this.answered();
  }

  async point() {
    const { clicks } = this;
    this.clicks = null;
    this.tell("state", { kind: "updating" });
    try {
      this.show(await this.session.click(clicks));
      if (!this.waiting) this.answered();
      this.picture.setAutomatic(await this.session.trimap());
      this.tell("changed");
    } catch (error) {
      if (error.kind !== "refused") this.clicks ??= clicks; // sent again with the next try
      throw error;
    }
  }

  async refine() {
    if (this.running || this.waiting || this.refining) return;
    this.refining = true;
    this.tell("state", { kind: "refining" });
    try {
      const patch = await this.session.alpha();
      const newest = this.show(patch);
      if (this.running || this.waiting) return; // a stroke came in between: once it is sent, this is asked again
      this.exact = newest && patch.exact;
      if (!this.exact) return void this.load();
      this.answered();
      await this.recolour(patch.notes);
    } catch (error) {
      this.exact = false;
      this.tell("state", { kind: "trouble", error });
    } finally {
      this.refining = false;
    }
  }

  async recolour(notes) {
    const plain = Boolean(this.session.state.found);
    const [foreground, trimap] = await Promise.all([this.session.foreground(), plain && this.session.trimap()]);
    if (!this.exact) return;
    this.picture.setForeground(foreground, plain);
    if (trimap) this.picture.setAutomatic(trimap); // what is known before a backdrop, the solution says
    this.tell("changed");
    this.tell("state", { kind: "exact", notes });
  }

  // Answers may overtake each other; what the service sends to a browser that has missed one is the whole.
  show(patch) {
    if (patch.version <= this.session.version) return false;
    this.session.version = patch.version;
    this.picture.setAlpha(patch);
    this.tell("changed");
    return true;
  }

  answered() {
    if (this.ended !== null) this.tell("alpha", { ms: performance.now() - this.ended, exact: this.exact });
  }

  tell(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
