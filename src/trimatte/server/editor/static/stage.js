// Draws the picture: what is shown, over what, at which zoom, with the brush and the stroke that is being made.

const CHECK = 12; // side of a square, in CSS pixels
const DOT = 6; // radius of a click, in CSS pixels
const FAINT = 0.25; // how strong the removed part is shown
const STROKES = {
  0: "rgb(234 88 12 / 55%)",
  1: "rgb(20 20 20 / 45%)",
  128: "rgb(250 250 250 / 60%)",
  255: "rgb(37 99 235 / 55%)",
};

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.picture = null;
    this.mode = "cutout"; // or "marks", "alpha", "photo"
    this.backdrop = { kind: "checks" }; // or { kind: "colour", colour }, { kind: "image", image }
    this.removed = true; // whether the checkerboard lets the removed part through
    this.split = null; // share of the width that shows the photo, when comparing
    this.brush = null; // { x, y, radius } in pixels of the picture
    this.clicks = []; // such as ["add", x, y] and ["box", x0, y0, x1, y1]
    this.pointing = false; // whether they are shown
    this.box = null; // rectangle that is being drawn
    this.loop = null; // points of the outline that is being drawn
    this.stroke = null; // { points, radius, value, strength }
    this.view = { scale: 1, x: 0, y: 0 }; // of the picture's top left corner, in CSS pixels
    this.fitted = true;
    this.drawing = 0;
    this.onpaint = () => {}; // called after each drawing
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(picture) {
    this.picture = picture;
    this.fit();
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    if (this.fitted) this.fit();
    this.paint(); // at once: a canvas is empty after a change of its size
  }

  fit() {
    if (!this.picture) return;
    const { width, height } = this.canvas.getBoundingClientRect();
    const margin = Math.min(24, width / 24);
    const room = height - Math.min(48, height / 10); // beside the buttons that lie over the lower edge
    const scale = Math.min((width - 2 * margin) / this.picture.width, (room - 2 * margin) / this.picture.height);
    this.view.scale = Math.max(0.01, scale);
    this.view.x = (width - this.picture.width * this.view.scale) / 2;
    this.view.y = (room - this.picture.height * this.view.scale) / 2;
    this.fitted = true;
    this.draw();
  }

  // Zoom by a factor about a point of the canvas, by default its middle.
  zoom(factor, at = this.middle()) {
    const { view } = this;
    const scale = Math.min(32, Math.max(0.02, view.scale * factor));
    view.x = at.x - ((at.x - view.x) * scale) / view.scale;
    view.y = at.y - ((at.y - view.y) * scale) / view.scale;
    view.scale = scale;
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    const { width, height } = this.canvas.getBoundingClientRect();
    const { view, picture } = this;
    const keep = 40; // pixels of the picture that stay within reach
    view.x = Math.min(width - keep, Math.max(keep - picture.width * view.scale, view.x + dx));
    view.y = Math.min(height - keep, Math.max(keep - picture.height * view.scale, view.y + dy));
    this.fitted = false;
    this.draw();
  }

  middle() {
    const { width, height } = this.canvas.getBoundingClientRect();
    return { x: width / 2, y: height / 2 };
  }

  // A point of the canvas in CSS pixels, as one of the picture.
  toPicture({ x, y }) {
    return { x: (x - this.view.x) / this.view.scale, y: (y - this.view.y) / this.view.scale };
  }

  toCanvas({ x, y }) {
    return { x: x * this.view.scale + this.view.x, y: y * this.view.scale + this.view.y };
  }

  draw() {
    this.drawing ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    const { context, canvas, picture } = this;
    context.resetTransform();
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!picture) return;
    const ratio = window.devicePixelRatio || 1;
    context.imageSmoothingEnabled = this.view.scale * ratio < 4;
    context.imageSmoothingQuality = "high";
    context.save();
    this.toPictureSpace(ratio);
    this.paintPicture(picture);
    context.restore();
    if (this.split !== null) this.paintBefore(ratio);
    context.save();
    this.toPictureSpace(ratio);
    this.clipToPicture();
    if (this.stroke) this.paintStroke();
    if (this.loop) this.paintLoop();
    context.restore();
    if (this.pointing) this.paintClicks(ratio);
    if (this.brush) this.paintBrush(ratio);
    this.onpaint();
  }

  toPictureSpace(ratio) {
    const { scale, x, y } = this.view;
    this.context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
  }

  clipToPicture() {
    this.context.beginPath();
    this.context.rect(0, 0, this.picture.width, this.picture.height);
    this.context.clip();
  }

  paintPicture({ width, height, photoCanvas, cutCanvas, tintCanvas }) {
    const { context } = this;
    if (this.mode === "photo" || this.mode === "marks") {
      context.drawImage(photoCanvas, 0, 0);
      if (this.mode === "marks") context.drawImage(tintCanvas, 0, 0);
      return;
    }
    context.drawImage(cutCanvas, 0, 0);
    if (this.mode === "alpha") {
      this.fill("source-in", "#fff", width, height);
      this.fill("destination-over", "#000", width, height);
    } else {
      context.globalCompositeOperation = "destination-over";
      context.globalAlpha = this.removedStrength();
      context.drawImage(photoCanvas, 0, 0);
      context.globalAlpha = 1;
      this.paintBackdrop(width, height);
    }
  }

  // Where nothing is kept at all, the photo shows in full: it is what there is to paint on.
  removedStrength() {
    if (!this.picture.covered) return 1;
    return this.removed && this.backdrop.kind === "checks" ? FAINT : 0;
  }

  fill(operation, colour, width, height) {
    this.context.globalCompositeOperation = operation;
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, width, height);
  }

  paintBackdrop(width, height) {
    const { context, backdrop } = this;
    if (backdrop.kind === "image") {
      const { image } = backdrop;
      const scale = Math.max(width / image.width, height / image.height);
      const [w, h] = [width / scale, height / scale];
      context.drawImage(image, (image.width - w) / 2, (image.height - h) / 2, w, h, 0, 0, width, height);
      return;
    }
    context.fillStyle = backdrop.kind === "colour" ? backdrop.colour : this.checks();
    context.fillRect(0, 0, width, height);
  }

  // Squares of the same size on the screen at every zoom.
  checks() {
    const style = getComputedStyle(this.canvas);
    const tile = document.createElement("canvas");
    tile.width = tile.height = 2 * CHECK;
    const context = tile.getContext("2d");
    context.fillStyle = style.getPropertyValue("--check-a");
    context.fillRect(0, 0, 2 * CHECK, 2 * CHECK);
    context.fillStyle = style.getPropertyValue("--check-b");
    context.fillRect(0, 0, CHECK, CHECK);
    context.fillRect(CHECK, CHECK, CHECK, CHECK);
    const pattern = this.context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(1 / this.view.scale));
    return pattern;
  }

  paintBefore(ratio) {
    const { context, canvas, picture } = this;
    const at = this.splitAt() * ratio;
    context.save();
    context.resetTransform();
    context.beginPath();
    context.rect(0, 0, at, canvas.height);
    context.clip();
    this.toPictureSpace(ratio);
    context.drawImage(picture.photoCanvas, 0, 0);
    context.restore();
  }

  // Where the photo ends and the cut-out begins, in CSS pixels of the canvas.
  splitAt() {
    return this.toCanvas({ x: this.split * this.picture.width, y: 0 }).x;
  }

  paintStroke() {
    const { context } = this;
    const { points, radius, value, strength } = this.stroke;
    context.globalAlpha = strength;
    context.strokeStyle = STROKES[value];
    context.lineWidth = 2 * Math.max(radius, 0.5);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(points[0].x, points[0].y);
    for (const { x, y } of points) context.lineTo(x, y);
    context.stroke();
  }

  // The lasso's outline, closed, in lines of the same width at every zoom.
  paintLoop() {
    const { context, loop } = this;
    const { scale } = this.view;
    context.beginPath();
    for (const { x, y } of loop) context.lineTo(x, y);
    context.closePath();
    context.fillStyle = "rgb(128 128 128 / 25%)";
    context.fill();
    context.lineWidth = 1.5 / scale;
    for (const [dash, colour] of [[[], "rgb(0 0 0 / 55%)"], [[6 / scale, 5 / scale], "#fff"]]) {
      context.setLineDash(dash);
      context.strokeStyle = colour;
      context.stroke();
    }
    context.setLineDash([]);
  }

  // Clicks are of one size on the screen; of the boxes the last one holds.
  paintClicks(ratio) {
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [, x0, y0, x1, y1] = this.clicks.findLast(([kind]) => kind === "box") ?? [];
    const last = x0 === undefined ? null : { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const box = this.box ?? last;
    if (box) {
      const from = this.toCanvas(box);
      for (const [dash, colour] of [[[], "rgb(0 0 0 / 55%)"], [[6, 5], "#fff"]]) {
        context.setLineDash(dash);
        context.lineWidth = 1.5;
        context.strokeStyle = colour;
        context.strokeRect(from.x, from.y, box.width * this.view.scale, box.height * this.view.scale);
      }
      context.setLineDash([]);
    }
    for (const [kind, px, py] of this.clicks) {
      if (kind === "box") continue;
      const { x, y } = this.toCanvas({ x: px + 0.5, y: py + 0.5 });
      context.beginPath();
      context.arc(x, y, DOT, 0, 2 * Math.PI);
      context.fillStyle = kind === "add" ? "rgb(37 99 235)" : "rgb(234 88 12)";
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = "#fff";
      context.stroke();
      context.beginPath();
      context.moveTo(x - 3, y);
      context.lineTo(x + 3, y);
      if (kind === "add") {
        context.moveTo(x, y - 3);
        context.lineTo(x, y + 3);
      }
      context.stroke();
    }
  }

  paintBrush(ratio) {
    const { context } = this;
    const { x, y } = this.toCanvas(this.brush);
    const radius = Math.max(1.5, this.brush.radius * this.view.scale);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [width, colour] of [[3, "rgb(0 0 0 / 55%)"], [1.25, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      if (this.brush.cross) {
        for (const [dx, dy] of [[5, 0], [0, 5]]) {
          context.moveTo(x - dx, y - dy);
          context.lineTo(x + dx, y + dy);
        }
      }
      context.stroke();
    }
  }
}
