// Keys. An element says which key presses it: data-key="c", "/", "g t"; in a list, data-row-key="e".
const rows = ".rows .row, .board-cards > .tile, .needs > li, .roster tbody tr:not(.band), .queue li, .feed li, .news > ul > li, .approvals > li, .k-hits > li";
const chordTime = 800;
let first;

const isField = (el) => el.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
const shown = (el) => el.checkVisibility() && !el.disabled;

function press(key) {
  const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(shown);
  if (!found) return false;
  if (isField(found)) found.select?.();
  // What sends a form is pressed where one is: it may be gone when HQ has answered, and Enter would press what stands
  // there then.
  if (found.type !== "submit") found.focus();
  if (!isField(found)) found.click();
  return true;
}

const all = () => [...document.querySelectorAll(rows)].filter(shown);

/** Puts the cursor on a row, and the focus on what opens it: never on a button, which Enter would press. */
export function stand(row) {
  for (const other of document.querySelectorAll("[data-cursor]:not(body)")) other.removeAttribute("data-cursor");
  row.setAttribute("data-cursor", "");
  (row.querySelector("a") ?? row).focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

export const isRow = (one) => one.matches(rows);

/** A row is about to go: the cursor stands on the one that takes its place. */
export function pass(row) {
  if (!row.hasAttribute("data-cursor") && !row.contains(document.activeElement)) return;
  const region = row.closest("[data-region]");
  const list = all().filter((one) => one.closest("[data-region]") === region);
  const at = list.indexOf(row);
  const next = list[at + 1] ?? list[at - 1];
  row.removeAttribute("data-cursor");
  if (next) stand(next);
  // The rows of another list may be far below.
  else document.getElementById("main").focus({ preventScroll: true });
}

function move(step) {
  const list = all();
  if (!list.length) return false;
  const at = list.findIndex((row) => row.hasAttribute("data-cursor"));
  const from = at < 0 ? list.findIndex((row) => row.contains(document.activeElement)) : at;
  stand(list[Math.min(Math.max(from + step, 0), list.length - 1)]);
  return true;
}

function inRow(key) {
  // A yes is given to the card that somebody reads, not to the one where the cursor was left.
  const read = document.activeElement.closest(".approvals > li");
  const row = read ?? [...document.querySelectorAll(rows)].find((one) => one.hasAttribute("data-cursor"));
  const found = row?.querySelector(key === "Enter" ? "a" : `[data-row-key="${CSS.escape(key)}"]:not([hidden] *)`);
  found?.click();
  return Boolean(found);
}

// Once the cursor is in a list, the arrows and Space do what people expect of one; elsewhere they scroll.
const arrows = { ArrowDown: 1, ArrowUp: -1 };
const standsInList = (one) => one.matches("body, a") && document.querySelector(`:is(${rows})[data-cursor]`) && (one === document.body || one.closest(rows));

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
    (arrows[key] && standsInList(event.target) && move(arrows[key])) ||
    (key === " " && standsInList(event.target) && inRow("x")) ||
    (key === "Enter" && event.target === document.body && inRow(key)) ||
    (key.length === 1 && (inRow(key) || press(key)));
  if (used) event.preventDefault();
  else if (key === "g") {
    first = key;
    setTimeout(() => (first = undefined), chordTime);
  }
});

/* ── Without single keys ── */
// Who speaks to the computer, or presses keys by chance, can switch them off for this browser (WCAG 2.1.4).
const SINGLE = "hq-single-keys";
const choice = document.querySelector("#help [name=single-keys]");

function isOff() {
  try {
    return localStorage.getItem(SINGLE) === "off";
  } catch {
    return false;
  }
}

if (choice) choice.checked = !isOff();
choice?.addEventListener("change", () => {
  try {
    localStorage.setItem(SINGLE, choice.checked ? "on" : "off");
  } catch {
    choice.checked = true;
  }
});
addEventListener(
  "keydown",
  (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || key.length !== 1 || key === " ") return;
    if (!isField(target) && isOff()) event.stopImmediatePropagation();
  },
  true,
);
