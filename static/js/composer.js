// The composer of a new task (form[data-composer]): it fetches the rich editor for its text, and the chip of the
// labels says which are chosen. Without this script the text is Markdown, and the chips are plain fields.
import { vouched } from "./swap.js";

const all = () => document.querySelectorAll("form[data-composer]");

/* The editor of pages (rich.js), once. It finds its field itself, also in what is swapped in later. */
function bringEditor({ dataset: { editor, sheet } }) {
  if (!editor || document.querySelector(`script[src="${editor}"]`)) return;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: sheet });
  const script = Object.assign(document.createElement("script"), { src: vouched(editor) });
  document.head.append(link, script);
}

function sayLabels(form) {
  const ticked = [...form.querySelectorAll("[name=label]:checked")].map(({ value }) => value);
  const typed = form.elements.labels.value.split(",").map((name) => name.trim());
  const words = [...ticked, ...typed].filter(Boolean).join(", ");
  const chip = form.querySelector("[data-labels]");
  chip.textContent = words || "Labels";
  chip.parentElement.ariaLabel = words ? `Labels: ${words}` : "Labels";
}

/* What is wrong is not folded away. */
function unfold(form) {
  const folded = form.querySelectorAll("details:not([open]):has([aria-invalid=true])");
  for (const one of folded) one.open = true;
  if (folded.length && !form.querySelector("[aria-invalid=true]:focus")) form.querySelector("[aria-invalid=true]").focus();
}

function look() {
  for (const form of all()) {
    bringEditor(form);
    sayLabels(form);
    unfold(form);
  }
}

const formOf = (target) => target.closest?.("form[data-composer]");
document.addEventListener("input", ({ target }) => formOf(target) && target.matches("[name=label], [name=labels]") && sayLabels(formOf(target)));
// Enter ends the list of labels; it creates nothing. With Ctrl it creates the task from the chips that are buttons, too.
document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (key !== "Enter" || event.isComposing || !formOf(target)) return;
  const isMod = event.ctrlKey || event.metaKey;
  if (!target.matches(isMod ? ".chip-field" : ".label-menu input")) return;
  event.preventDefault();
  if (isMod) formOf(target).requestSubmit();
  else target.closest(".label-menu").hidePopover();
});
document.addEventListener("htmx:after:swap", look);
// Before this event, htmx has not registered the policy that vouches for the address.
document.addEventListener("DOMContentLoaded", look);
