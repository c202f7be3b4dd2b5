// The photo that is edited, as planes of bytes, and canvases of what is shown of it.

export const BACKGROUND = 0;
export const UNTOUCHED = 1; // in the marks: the automatic trimap holds
export const UNKNOWN = 128;
export const FOREGROUND = 255;

// How the trimap tints the photo, RGBA.
const TINTS = {
  [FOREGROUND]: [37, 99, 235, 105],
  [BACKGROUND]: [234, 88, 12, 95],
  [UNKNOWN]: [250, 250, 250, 105],
};

export class Picture {
  // photo: ImageData; automatic and marks: planes of bytes.
  constructor(photo, automatic, marks) {
    this.width = photo.width;
    this.height = photo.height;
    this.photo = photo;
    this.marks = marks;
    this.alpha = new Uint8Array(this.width * this.height);
    this.covered = 0; // pixels of which anything is kept
    this.cut = new ImageData(new Uint8ClampedArray(photo.data), this.width, this.height);
    this.tint = new ImageData(this.width, this.height);
    this.photoCanvas = canvasOf(photo);
    this.cutCanvas = canvasOf(this.cut);
    this.tintCanvas = canvasOf(this.tint);
    this.setAutomatic(automatic);
  }

  get whole() {
    return { x: 0, y: 0, width: this.width, height: this.height };
  }

  setAutomatic(plane) {
    this.automatic = plane;
    this.showMarks(this.whole);
  }

  // The mean colour about a point, as #rrggbb.
  colourAt({ x, y }, reach = 2) {
    const near = this.clipped({ left: x - reach, top: y - reach, right: x + reach, bottom: y + reach });
    const sum = [0, 0, 0];
    for (let row = near.y; row < near.y + near.height; row++) {
      for (let column = near.x; column < near.x + near.width; column++) {
        for (let c = 0; c < 3; c++) sum[c] += this.photo.data[4 * (row * this.width + column) + c];
      }
    }
    const pixels = near.width * near.height;
    return `#${sum.map((value) => Math.round(value / pixels).toString(16).padStart(2, "0")).join("")}`;
  }

  // Colours of what has a new alpha are the photo's, until its own are there (`setForeground`).
  setAlpha({ x, y, width, height, alpha }) {
    const { cut, photo } = this;
    for (let row = 0; row < height; row++) {
      let at = (y + row) * this.width + x;
      for (let column = 0; column < width; column++, at++) {
        const value = alpha[row * width + column];
        if (value === this.alpha[at]) continue;
        this.covered += (value > 0) - (this.alpha[at] > 0);
        this.alpha[at] = value;
        const to = 4 * at;
        cut.data[to] = photo.data[to];
        cut.data[to + 1] = photo.data[to + 1];
        cut.data[to + 2] = photo.data[to + 2];
        cut.data[to + 3] = value;
      }
    }
    put(this.cutCanvas, cut, { x, y, width, height });
  }

  // What is opaque shows the photo's, unless the foreground's hold `everywhere`: a screen shines on those, too.
  setForeground(foreground, everywhere = false) {
    const { cut, photo, alpha } = this;
    for (let at = 0, to = 0; at < alpha.length; at++, to += 4) {
      const from = alpha[at] === 255 && !everywhere ? photo.data : foreground.data;
      cut.data[to] = from[to];
      cut.data[to + 1] = from[to + 1];
      cut.data[to + 2] = from[to + 2];
      cut.data[to + 3] = alpha[at];
    }
    put(this.cutCanvas, cut, this.whole);
  }

  // Mark all pixels within `radius` of the line between two points; gives the rectangle that was touched, or null.
  // Of a soft brush the outer share is marked as unknown, where it is not of that value yet.
  stamp(from, to, radius, value, soft = 0) {
    const rect = this.clipped({
      left: Math.min(from.x, to.x) - radius,
      top: Math.min(from.y, to.y) - radius,
      right: Math.max(from.x, to.x) + radius,
      bottom: Math.max(from.y, to.y) + radius,
    });
    if (!rect) return null;
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    const length = dx * dx + dy * dy || 1;
    const reach = Math.max(radius, 0.5) ** 2;
    const core = Math.max(radius * (1 - soft), 0.5) ** 2;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      for (let x = rect.x; x < rect.x + rect.width; x++) {
        const px = x + 0.5 - from.x;
        const py = y + 0.5 - from.y;
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const distance = (px - along * dx) ** 2 + (py - along * dy) ** 2;
        const at = y * this.width + x;
        if (distance <= core) this.marks[at] = value;
        else if (distance <= reach && this.marks[at] !== value) this.marks[at] = UNKNOWN;
      }
    }
    this.showMarks(rect);
    return rect;
  }

  // Mark all pixels within a closed line; gives the rectangle that was touched, or null.
  enclose(points, value) {
    const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const rect = this.clipped({ left, top: Math.min(...ys), right, bottom: Math.max(...ys) });
    if (!rect) return null;
    const context = new OffscreenCanvas(rect.width, rect.height).getContext("2d", { willReadFrequently: true });
    for (const { x, y } of points) context.lineTo(x - rect.x, y - rect.y);
    context.fill();
    const { data } = context.getImageData(0, 0, rect.width, rect.height);
    for (let row = 0, from = 3; row < rect.height; row++) {
      let at = (rect.y + row) * this.width + rect.x;
      for (let column = 0; column < rect.width; column++, at++, from += 4) if (data[from] >= 128) this.marks[at] = value;
    }
    this.showMarks(rect);
    return rect;
  }

  marksOf({ x, y, width, height }, marks = this.marks) {
    const part = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      const start = (y + row) * this.width + x;
      part.set(marks.subarray(start, start + width), row * width);
    }
    return part;
  }

  setMarks(rect, part) {
    for (let row = 0; row < rect.height; row++) {
      this.marks.set(part.subarray(row * rect.width, (row + 1) * rect.width), (rect.y + row) * this.width + rect.x);
    }
    this.showMarks(rect);
  }

  showMarks(rect) {
    const { tint, marks, automatic } = this;
    for (let y = rect.y; y < rect.y + rect.height; y++) {
      for (let x = rect.x; x < rect.x + rect.width; x++) {
        const at = y * this.width + x;
        const colour = TINTS[marks[at] === UNTOUCHED ? automatic[at] : marks[at]];
        for (let channel = 0; channel < 4; channel++) tint.data[4 * at + channel] = colour[channel];
      }
    }
    put(this.tintCanvas, tint, rect);
  }

  clipped({ left, top, right, bottom }) {
    const x = Math.max(0, Math.floor(left));
    const y = Math.max(0, Math.floor(top));
    const width = Math.min(this.width, Math.ceil(right)) - x;
    const height = Math.min(this.height, Math.ceil(bottom)) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }
}

export function union(a, b) {
  if (!a || !b) return a || b;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  const width = Math.max(a.x + a.width, b.x + b.width) - x;
  const height = Math.max(a.y + a.height, b.y + b.height) - y;
  return { x, y, width, height };
}

// Strokes that can be undone: what was under each, and what it left, within so many bytes.
export class History {
  constructor(limit = 48 << 20) {
    this.limit = limit;
    this.done = [];
    this.undone = [];
  }

  // Marks of a rectangle, and all clicks, if these change, too.
  add(rect, before, after, clicksBefore, clicksAfter) {
    this.push({ rect, before, after, clicksBefore, clicksAfter });
  }

  // Clicks alone.
  note(clicksBefore, clicksAfter) {
    this.push({ rect: null, before: [], after: [], clicksBefore, clicksAfter });
  }

  // Settings alone.
  settle(settingsBefore, settingsAfter) {
    this.push({ rect: null, before: [], after: [], settingsBefore, settingsAfter });
  }

  push(step) {
    this.done.push(step);
    this.undone = [];
    let bytes = 0;
    for (let at = this.done.length - 1; at >= 0; at--) {
      bytes += 2 * this.done[at].before.length;
      if (bytes > this.limit && at < this.done.length - 1) {
        this.done.splice(0, at + 1);
        break;
      }
    }
  }

  // The rectangle, marks, clicks and settings to go back to, or null.
  undo() {
    const stroke = this.done.pop();
    if (!stroke) return null;
    this.undone.push(stroke);
    return { rect: stroke.rect, marks: stroke.before, clicks: stroke.clicksBefore, settings: stroke.settingsBefore };
  }

  redo() {
    const stroke = this.undone.pop();
    if (!stroke) return null;
    this.done.push(stroke);
    return { rect: stroke.rect, marks: stroke.after, clicks: stroke.clicksAfter, settings: stroke.settingsAfter };
  }
}

function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function put(canvas, image, { x, y, width, height }) {
  if (width && height) canvas.getContext("2d").putImageData(image, 0, 0, x, y, width, height);
}
