// Several photos: a strip of thumbnails to step through. Each has a session of its own, and its marks are kept here.

const $ = (id) => document.getElementById(id);
const SIDE = 112; // pixels of a thumbnail's longer side
const SHOWN = /^image\/(jpeg|png|gif|webp)$/; // formats that every browser shows

// `open(item)` opens a photo: { file, id, marks, clicks }, of which `file` is null where the service had it first;
// `remove(item)` takes it out.
export class Strip {
  constructor(open, remove) {
    this.open = open;
    this.remove = remove;
    this.items = [];
    this.current = null;
    $("strip").addEventListener("keydown", (event) => this.key(event));
  }

  // Add photos; gives their items.
  add(files) {
    const items = [...files].map((file) => this.item(file, file.name, URL.createObjectURL(file)));
    this.show();
    return items;
  }

  item(file, name, address) {
    const item = { file, id: null, marks: null, clicks: [], button: document.createElement("button") };
    item.name = name || "photo";
    item.place = document.createElement("div");
    const image = Object.assign(document.createElement("img"), { alt: "" });
    const words = Object.assign(document.createElement("span"), { textContent: item.name });
    Object.assign(item.button, { type: "button", className: "photo", title: name });
    image.onerror = () => {
      image.hidden = true; // some formats are read by the server alone
      if (!SHOWN.test(file?.type)) return;
      words.textContent = `⚠ ${item.name}`;
      item.button.title = `${item.name} may be damaged, for it cannot be shown`;
    };
    if (address) image.src = address;
    item.button.setAttribute("aria-keyshortcuts", "Delete");
    item.button.append(image, words);
    item.button.addEventListener("click", () => item === this.current || this.open(item));
    const removing = Object.assign(document.createElement("button"), { type: "button", className: "remove", tabIndex: -1 });
    Object.assign(removing, { textContent: "×", title: "Take out of the strip (Delete)", ariaLabel: `Take out ${item.name}` });
    removing.addEventListener("click", () => this.remove(item));
    item.place.append(item.button, removing);
    this.put(item, this.items.length);
    return item;
  }

  // An item comes to a place, or back to it.
  put(item, at) {
    $("strip").insertBefore(item.place, this.items[at]?.place ?? null);
    this.items.splice(at, 0, item);
    this.show();
  }

  // A session has begun: it is the item's, or of one that is new here.
  enter(item, session, picture) {
    item ??= this.items.find(({ id }) => id === session.state.id) ?? this.item(null, session.state.name);
    item.id = session.state.id;
    this.mark(item);
    this.draw(item, picture.photoCanvas);
    return item;
  }

  // An item is the one that is open, or about to be; null for none.
  mark(item) {
    this.current = item;
    this.show();
  }

  // An item leaves the strip: it cannot be opened, or was taken out.
  drop(item) {
    this.items = this.items.filter((each) => each !== item);
    item.place.remove();
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
    item.button.lastChild.textContent = item.button.title = item.name;
    if (before) URL.revokeObjectURL(before);
  }

  key(event) {
    const to = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const removes = event.key === "Delete" || event.key === "Backspace"; // a Mac's keyboard has the one alone
    const at = this.items.findIndex(({ button }) => button === document.activeElement);
    if (!(to || removes) || at < 0) return;
    event.preventDefault();
    if (to) return this.items[at + to]?.button.focus();
    (this.items[at + 1] ?? this.items[at - 1])?.button.focus();
    this.remove(this.items[at]);
  }
}
