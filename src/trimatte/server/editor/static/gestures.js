// Hands on the picture: mouse, pen, fingers and keys, as strokes, zooming and panning.

const YOUNG = 12; // CSS pixels: a stroke this short is given up when a second finger comes down

export class Gestures {
  // hands: { clicking, begin(point, { drops, boxes }), move(point), end(), cancel(), hover(point or null), say(words), radius() },
  // points being those of the picture.
  constructor(stage, hands) {
    this.stage = stage;
    this.hands = hands;
    this.panning = false; // whether the hand is chosen, or held by the space bar
    this.fingers = new Map();
    this.action = null; // "stroke", "pan" or "pinch"
    this.travelled = 0;
    this.pen = null; // where the keyboard's brush is
    this.penDown = false;
    const { canvas } = stage;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event, true));
    canvas.addEventListener("pointerleave", () => this.action || hands.hover(null));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.lift());
  }

  point(event) {
    const box = this.stage.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  down(event) {
    if (!this.stage.picture || event.button > (this.hands.clicking ? 2 : 1)) return;
    event.preventDefault();
    this.lift();
    this.stage.canvas.focus({ preventScroll: true, focusVisible: false });
    this.stage.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.point(event));
    if (this.fingers.size === 2) {
      if (this.action === "stroke") this.hands.clicking || this.travelled < YOUNG ? this.hands.cancel() : this.hands.end();
      this.action = "pinch";
    } else if (this.fingers.size === 1) {
      this.travelled = 0;
      this.action = this.panning || event.button === 1 ? "pan" : "stroke";
      const how = { drops: event.button === 2 || event.altKey, boxes: event.shiftKey };
      if (this.action === "stroke") this.hands.begin(this.stage.toPicture(this.point(event)), how);
    }
  }

  move(event) {
    if (!this.stage.picture) return;
    const last = this.fingers.get(event.pointerId);
    const point = this.point(event);
    if (!last) {
      if (event.pointerType !== "touch") this.hands.hover(this.stage.toPicture(point));
      return;
    }
    if (this.action === "pinch") this.pinch(event.pointerId, point);
    else if (this.action === "pan") this.stage.pan(point.x - last.x, point.y - last.y);
    else if (this.action === "stroke") {
      this.travelled += Math.hypot(point.x - last.x, point.y - last.y);
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length ? passed : [event]) this.hands.move(this.stage.toPicture(this.point(each)));
    }
    this.fingers.set(event.pointerId, point);
  }

  pinch(id, point) {
    const before = [...this.fingers.values()].slice(0, 2);
    this.fingers.set(id, point);
    const after = [...this.fingers.values()].slice(0, 2);
    if (after.length < 2) return;
    const [from, to] = [before, after].map(([a, b]) => ({
      x: (a.x + b.x) / 2,
      y: (a.y + b.y) / 2,
      apart: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)),
    }));
    this.stage.pan(to.x - from.x, to.y - from.y);
    this.stage.zoom(to.apart / from.apart, to);
  }

  up(event, cancelled = false) {
    if (!this.fingers.delete(event.pointerId)) return;
    if (this.action === "stroke") cancelled ? this.hands.cancel() : this.hands.end();
    if (this.action === "stroke" || this.fingers.size === 0) this.action = null;
    if (event.pointerType === "touch") this.hands.hover(null);
  }

  wheel(event) {
    if (!this.stage.picture) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey) this.stage.pan(-lines * (event.deltaX || event.deltaY), 0);
    else this.stage.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), this.point(event));
  }

  // The keyboard's brush: arrows move it, Enter puts it down and lifts it.
  key(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const { picture } = this.stage;
    const drops = this.hands.clicking && event.key === "Enter" && (event.altKey || event.shiftKey);
    if (!picture || event.ctrlKey || event.metaKey || (event.altKey && !drops)) return;
    if (arrow) {
      event.preventDefault();
      this.pen ??= { x: picture.width / 2, y: picture.height / 2 };
      const step = Math.max(1, this.hands.radius() * (event.shiftKey ? 2 : 0.5));
      const x = Math.min(picture.width, Math.max(0, this.pen.x + arrow[0] * step));
      const y = Math.min(picture.height, Math.max(0, this.pen.y + arrow[1] * step));
      this.pen = { x, y };
      if (this.penDown) this.hands.move(this.pen);
      this.hands.hover(this.pen, true);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (event.repeat) return;
      if (this.penDown) return this.lift();
      this.pen ??= { x: picture.width / 2, y: picture.height / 2 };
      if (this.hands.clicking) {
        this.hands.begin(this.pen, { drops });
        this.hands.end();
        return;
      }
      this.penDown = true;
      this.hands.begin(this.pen);
      this.hands.hover(this.pen, true);
      this.hands.say("Brush down. Move it by the arrow keys, lift it by Enter.");
    } else if (event.key === "Escape" && this.penDown) {
      this.penDown = false;
      this.hands.cancel();
      this.hands.say("Stroke given up.");
    }
  }

  lift() {
    if (!this.penDown) return;
    this.penDown = false;
    this.hands.end();
    this.hands.say("Brush lifted.");
  }
}
