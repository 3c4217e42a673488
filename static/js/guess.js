// What a form will change is shown at once. A form with data-guess changes the records that it names in
// `tasks` (or the one that it stands in); what shows a record says so with data-record, and a part of it that
// shows a field with data-shows. A property of a rail (.prop) shows a sign and words, and data-none when it is
// empty. HQ's answer draws them anew, and nothing moves when it is the same.
import { pass } from "./keys.js";
import { send } from "./send.js";
import { dayOf, dayText, timeText } from "./time.js";

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

/** A day as lists say it; src/web/time.rs does the same. What is typed in fewer words HQ reads, and says. */
function day(typed, time) {
  const [then, now] = [dayOf(typed), new Date()];
  if (!then) return time ? `${typed}, ${time}` : typed;
  const far = Math.round((then - now.setHours(12, 0, 0, 0)) / 86400000);
  const date = () => dayText(then, then.getFullYear() !== now.getFullYear());
  const near = { "-1": "Yesterday", 0: "Today", 1: "Tomorrow" }[far] ?? (1 < far && far < 7 ? then.toLocaleDateString("en-US", { weekday: "long" }) : date());
  return time ? `${near}, ${timeText(time)}` : near;
}

/** The words of a field as its form says them: those of the line that was pressed, else what was typed. */
function said(field, value, choice) {
  if (choice.name === field) return words(choice);
  const { elements } = choice.form;
  return elements[field]?.dataset?.day === "" ? day(value, elements[`${field}_time`]?.value) : value;
}

// A property takes the sign of the line that was chosen. Nothing in it is changed in place: what it was is put back
// as a whole.
function property(part, value, choice) {
  const none = ["", "none"].includes(value);
  const [sign, label] = part.children;
  const chosen = choice.firstElementChild;
  if (chosen?.matches(".i, .dot, .avatar")) {
    const copy = chosen.cloneNode(true);
    delete copy.dataset.size;
    sign.replaceWith(copy);
  }
  const next = label.cloneNode();
  next.textContent = none ? part.dataset.none : said(part.dataset.shows, value, choice);
  if ("tone" in next.dataset) next.dataset.tone = choice.dataset.tone ?? (next.textContent.startsWith("Today") ? "warn" : "neutral");
  label.replaceWith(next);
  part.toggleAttribute("data-empty", none);
}

/** Puts a label on, or takes off what the chosen line says is on. */
function tagged(part, choice) {
  const label = words(choice);
  const had = [...part.children].find((one) => one.textContent.trim() === label);
  if (choice.matches("[aria-current]")) had?.remove();
  else if (!had) {
    const chip = document.createElement("span");
    chip.className = "chip";
    Object.assign(chip.dataset, { size: "s", c: choice.dataset.colour ?? choice.querySelector(".dot")?.dataset.c ?? "" });
    chip.append(Object.assign(document.createElement("span"), { textContent: label }));
    if ("empty" in part.dataset) part.replaceChildren();
    part.append(chip);
  }
  if (!("none" in part.dataset)) return;
  part.toggleAttribute("data-empty", !part.children.length);
  if (!part.children.length) part.append(Object.assign(document.createElement("span"), { textContent: part.dataset.none }));
}

// How a part shows another value. Icons of states are called as their words are; faces, chips and words are
// those of the line that was chosen.
function draw(part, value, choice) {
  if (part.matches(".prop:not([data-many])")) return choice && property(part, value, choice);
  const icon = part.querySelector(":scope > svg.i");
  if (icon && !("many" in part.dataset)) {
    const next = icon.cloneNode(true);
    const use = next.querySelector("use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${value}`));
    for (const name of ["data-state", "data-prio"]) if (next.hasAttribute(name)) next.setAttribute(name, value);
    icon.replaceWith(next);
    return;
  }
  if (!choice) return;
  if ("many" in part.dataset) {
    tagged(part, choice);
  } else {
    const face = choice.querySelector(".avatar");
    const size = part.querySelector(".avatar")?.dataset.size;
    if (face) {
      const copy = face.cloneNode(true);
      if (size) copy.dataset.size = size;
      else delete copy.dataset.size;
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
  if (field === "archived" && value === "yes") pass(record);
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
