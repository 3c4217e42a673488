// What a form will change is shown at once. A form with data-guess changes the records that it names in
// `tasks` (or the one that it stands in); what shows a record says so with data-record, and a part of it that
// shows a field with data-shows. HQ's answer draws them anew, and nothing moves when it is the same.
import { send } from "./send.js";

/** Remembers a part as it is; the answer puts it back. */
function memory(part) {
  const attributes = [...part.attributes].map(({ name, value }) => [name, value]);
  const children = [...part.childNodes];
  return () => {
    for (const name of part.getAttributeNames()) part.removeAttribute(name);
    for (const [name, value] of attributes) part.setAttribute(name, value);
    part.replaceChildren(...children);
  };
}

const words = (choice) => choice.dataset.says ?? choice.querySelector("span:not([class])")?.textContent.trim() ?? "";

// How a part shows another value. Icons of states are called as their words are; faces, chips and words are
// those of the line that was chosen.
function draw(part, value, choice) {
  const icon = part.querySelector(":scope > svg.i");
  if (icon) {
    const next = icon.cloneNode(true);
    const use = next.querySelector("use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${value}`));
    for (const name of ["data-state", "data-prio"]) if (next.hasAttribute(name)) next.setAttribute(name, value);
    icon.replaceWith(next);
    return;
  }
  if (!choice) return;
  if ("many" in part.dataset) {
    const label = words(choice);
    if ([...part.children].some((one) => one.textContent.trim() === label)) return;
    const chip = document.createElement("span");
    chip.className = "chip";
    Object.assign(chip.dataset, { size: "s", c: choice.dataset.colour ?? "" });
    chip.append(Object.assign(document.createElement("span"), { textContent: label }));
    part.append(chip);
  } else {
    const face = choice.querySelector(".avatar");
    const size = part.querySelector(".avatar")?.dataset.size;
    if (face) {
      const copy = face.cloneNode(true);
      if (size) copy.dataset.size = size;
      part.replaceChildren(copy);
    } else {
      part.textContent = value === "none" ? "" : words(choice);
      if ("tone" in part.dataset) part.dataset.tone = choice.dataset.tone ?? "neutral";
    }
  }
  part.hidden = !part.childNodes.length;
}

/** Shows a record with another value of a field; what is given back takes it back. */
export function show(record, field, value, choice) {
  const undo = [];
  const change = (part, deed) => {
    undo.push(memory(part));
    deed();
  };
  for (const part of record.querySelectorAll(`[data-shows="${CSS.escape(field)}"]`)) change(part, () => draw(part, value, choice));
  // A label that goes is no value of its own.
  for (const part of field === "unlabel" ? record.querySelectorAll('[data-shows="label"]') : []) {
    change(part, () => {
      [...part.children].find((one) => one.textContent.trim() === value)?.remove();
      part.hidden = !part.childNodes.length;
    });
  }
  const { hidden } = record;
  const state = record.dataset.state;
  if (field === "status" && state) record.dataset.state = value;
  if (field === "archived") record.hidden = value === "yes";
  return () => {
    undo.forEach((back) => back());
    if (state) record.dataset.state = state;
    record.hidden = hidden;
  };
}

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("[data-guess]")) return;
    event.preventDefault();
    event.stopPropagation();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    const names = body.get("tasks")?.split(",");
    const records = names ? [...document.querySelectorAll("[data-record]")].filter((one) => names.includes(one.dataset.record)) : [form.closest("[data-record]")];
    const choice = event.submitter;
    const undo = records.filter(Boolean).flatMap((one) => [...body].map(([name, value]) => show(one, name, value, choice)));
    send({ url: form.action, body, undo: () => undo.reverse().forEach((back) => back()) });
  },
  true,
);
