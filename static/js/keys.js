// Keys. An element says which key presses it: data-key="c", "/", "g t"; in a list, data-row-key="e".
const rows = ".rows .row, .needs > li, .roster tbody tr:not(.band), .queue li, .feed li, .news > ul > li";
const chordTime = 800;
let first;

const isField = (el) => el.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
const shown = (el) => el.checkVisibility() && !el.disabled;

function press(key) {
  const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(shown);
  if (!found) return false;
  if (isField(found)) found.select?.();
  found.focus();
  if (!isField(found)) found.click();
  return true;
}

function move(step) {
  const list = [...document.querySelectorAll(rows)].filter(shown);
  if (!list.length) return false;
  const at = list.findIndex((row) => row.hasAttribute("data-cursor"));
  const next = list[Math.min(Math.max(at + step, 0), list.length - 1)];
  list[at]?.removeAttribute("data-cursor");
  next.setAttribute("data-cursor", "");
  (next.querySelector("a") ?? next).focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  return true;
}

function inRow(key) {
  const row = [...document.querySelectorAll(rows)].find((one) => one.hasAttribute("data-cursor"));
  const found = row?.querySelector(key === "Enter" ? "a" : `[data-row-key="${CSS.escape(key)}"]:not([hidden] *)`);
  found?.click();
  return Boolean(found);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isField(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog:modal, [popover]:popover-open:not(.side)")) return;
  const { key } = event;
  const chord = first && `${first} ${key}`;
  first = undefined;
  const used =
    (chord && press(chord)) ||
    (key === "j" && move(1)) ||
    (key === "k" && move(-1)) ||
    (key === "Enter" && event.target === document.body && inRow(key)) ||
    (key.length === 1 && (inRow(key) || press(key)));
  if (used) event.preventDefault();
  else if (key === "g") {
    first = key;
    setTimeout(() => (first = undefined), chordTime);
  }
});
