// The dialog of a download as it is shown: background, format, crop, size, and presets of shops.

const KEPT = "trimatte-export";
const OWN = ["margin", "size", "aspect", "dpi", "cast_shadow", "outline"];
const $ = (id) => document.getElementById(id);

export function joinExport({ behind, download }) {
  const [form, dialog] = [$("export-form"), $("export")];
  let known = {};
  const fields = () => [...form.elements].filter((field) => field.name);

  function show() {
    $("export-trouble").textContent = "";
    follow();
    dialog.showModal();
  }

  // Whether the chosen preset has a background.
  const laid = () => known[form.preset.value]?.background;

  // What goes with what: a margin with a crop, a background of the preset's own where none is chosen.
  function follow() {
    const preset = form.preset.value;
    form.margin.disabled = !form.crop.checked && !preset;
    form.crop.disabled = form.crop.closest("label").hidden = Boolean(preset); // the preset says whether
    for (const field of form.querySelectorAll("[placeholder]")) {
      field.dataset.own ??= field.placeholder;
      field.placeholder = preset ? "as the preset" : field.dataset.own;
    }
    const words = { checks: "Behind it: nothing", colour: `Behind it: ${behind().colour}`, image: "Behind it: your picture" };
    const bare = laid() ? "what the preset says" : form.format.value === "jpg" ? "white, since JPEG is opaque" : "nothing";
    $("export-behind").textContent =
      behind().kind === "checks" ? `Behind it: ${bare}. Choose another under View.` : `${words[behind().kind]}, as shown.`;
  }

  // The options of the service that the form stands for.
  function options() {
    const found = {};
    for (const field of fields()) {
      if (field.disabled || field.name === "format") continue;
      const value = field.type === "checkbox" ? field.checked && "true" : field.value.trim();
      if (value) found[field.name] = value;
    }
    if (found.outline === "0") delete found.outline;
    const shown = behind();
    if (shown.kind === "colour") found.background = shown.colour;
    else if (shown.kind === "checks" && form.format.value === "jpg" && !laid()) found.background = "white";
    return found;
  }

  function keep() {
    const values = fields().map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]);
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(values)));
  }

  function remember() {
    let values = {};
    try {
      values = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    } catch {
      localStorage.removeItem(KEPT);
    }
    for (const field of fields()) {
      if (!(field.name in values)) continue;
      if (field.type === "checkbox") field.checked = values[field.name] === true;
      else field.value = values[field.name];
    }
  }

  $("export-open").addEventListener("click", () => {
    $("downloads").hidePopover();
    show();
  });
  // A preset has its own measures, which those of another download would replace.
  form.preset.addEventListener("change", () => {
    if (form.preset.value) for (const name of OWN) form.elements[name].value = "";
    form.format.value = known[form.preset.value]?.format ?? form.format.value;
    follow();
  });
  form.addEventListener("input", follow);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    keep();
    const shown = behind();
    const refused = await download(`cutout.${form.format.value}`, options(), shown.kind === "image" ? shown.file : null);
    if (refused) $("export-trouble").textContent = refused.message;
    else dialog.close();
  });

  return {
    offer({ presets, formats }) {
      known = presets;
      for (const option of [...form.format.options]) if (!formats.includes(option.value)) option.remove();
      for (const name of Object.keys(presets)) form.preset.append(new Option(name[0].toUpperCase() + name.slice(1), name));
      remember();
    },
  };
}
