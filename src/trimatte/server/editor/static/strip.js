// Several photos: a strip of thumbnails to step through. Each has a session of its own, and its marks are kept here.

const $ = (id) => document.getElementById(id);
const SIDE = 112; // pixels of a thumbnail's longer side

// `open(item)` opens a photo: { file, id, marks, clicks }, of which `file` is null where the service had it first.
export class Strip {
  constructor(open) {
    this.open = open;
    this.items = [];
    this.current = null;
    $("strip").addEventListener("keydown", (event) => this.key(event));
  }

  // Add photos; gives the first of them.
  add(files) {
    const items = [...files].map((file) => this.item(file, file.name, URL.createObjectURL(file)));
    this.show();
    return items[0];
  }

  item(file, name, address) {
    const item = { file, id: null, marks: null, clicks: [], button: document.createElement("button") };
    const image = Object.assign(document.createElement("img"), { alt: "" });
    image.onerror = () => (image.hidden = true); // some formats are read by the server alone
    if (address) image.src = address;
    const words = Object.assign(document.createElement("span"), { textContent: name || "photo" });
    Object.assign(item.button, { type: "button", title: name });
    item.button.append(image, words);
    item.button.addEventListener("click", () => item === this.current || this.open(item));
    this.items.push(item);
    $("strip").append(item.button);
    return item;
  }

  // A session has begun: it is the item's, or of one that is new here.
  enter(item, session, picture) {
    item ??= this.items.find(({ id }) => id === session.state.id) ?? this.item(null, session.state.name);
    item.id = session.state.id;
    this.current = item;
    this.draw(item, picture.photoCanvas);
    this.show();
    return item;
  }

  // A photo that cannot be opened is none.
  drop(item) {
    this.items = this.items.filter((each) => each !== item);
    item.button.remove();
    this.show();
  }

  // The photo so many places on, or null.
  next(by) {
    return this.items[this.items.indexOf(this.current) + by] ?? null;
  }

  show() {
    $("strip").hidden = this.items.length < 2;
    for (const { button } of this.items) button.removeAttribute("aria-current");
    this.current?.button.setAttribute("aria-current", "true");
    this.current?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  async draw(item, source) {
    const scale = SIDE / Math.max(source.width, source.height);
    const canvas = new OffscreenCanvas(Math.ceil(source.width * scale), Math.ceil(source.height * scale));
    canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
    const image = item.button.firstChild;
    const before = image.src;
    image.src = URL.createObjectURL(await canvas.convertToBlob());
    image.hidden = false;
    if (before) URL.revokeObjectURL(before);
  }

  key(event) {
    const to = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const at = this.items.findIndex(({ button }) => button === document.activeElement);
    if (!to || at < 0) return;
    event.preventDefault();
    this.items[at + to]?.button.focus();
  }
}
