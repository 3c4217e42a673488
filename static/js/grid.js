// A table whose cells are edited in place (table[data-grid]). It is one stop of Tab; the arrow keys go from cell to
// cell. Enter or F2 opens the editor of a cell, and typing replaces its value: no letter is a shortcut there. Enter saves
// and goes down, Tab saves and opens the next cell, Escape leaves the cell as it was, and so does leaving it with nothing
// changed. What HQ refuses stays in the editor as it was typed.
import { fold } from "./fold.js";
import { send } from "./send.js";
import htmx from "htmx.org";

const stops = "a.cell, .who, .tick";
const boxOf = (one) => one?.closest?.("table[data-grid] tbody :is(td, th)");
const stopIn = (box) => box?.querySelector(stops);
const isSeen = (box) => stopIn(box)?.checkVisibility();

/** What Tab leads to: the cell that had the focus last, or the first name. */
let last;
function dress(now) {
  for (const table of document.querySelectorAll("table[data-grid]")) {
    const all = [...table.tBodies[0].querySelectorAll(stops)];
    const box = last && document.getElementById(last.row)?.cells[last.at];
    const one = [now, stopIn(box), table.querySelector(".who")].find((stop) => stop && all.includes(stop));
    for (const stop of all) stop.tabIndex = stop === one ? 0 : -1;
  }
}
dress();
document.addEventListener("htmx:after:swap", () => dress());

document.addEventListener("focusin", ({ target }) => {
  const box = boxOf(target);
  if (!box || !target.matches(stops)) return;
  last = { row: box.parentElement.id, at: box.cellIndex };
  dress(target);
  for (const row of document.querySelectorAll("[data-cursor]:not(body)")) row.removeAttribute("data-cursor");
  box.parentElement.setAttribute("data-cursor", "");
});

/** The next cell in a direction that can have the focus. */
function next(box, [x, y]) {
  let [row, at] = [box.parentElement, box.cellIndex];
  do {
    if (y) row = y < 0 ? row.previousElementSibling : row.nextElementSibling;
    else at += x;
  } while (row?.cells[at] && !isSeen(row.cells[at]));
  return row?.cells[at];
}

/** The next cell with an editor, in the row or in those behind it. */
function nextEdited(box, x) {
  let [row, at] = [box.parentElement, box.cellIndex + x];
  while (row) {
    for (; row.cells[at]; at += x) {
      if (stopIn(row.cells[at])?.matches(".cell") && isSeen(row.cells[at])) return row.cells[at];
    }
    row = x < 0 ? row.previousElementSibling : row.nextElementSibling;
    at = x < 0 ? (row?.cells.length ?? 0) - 1 : 0;
  }
  return undefined;
}

const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ends = (row) => [...row.cells].filter(isSeen);

/* ── The editor ── */
const fieldOf = (form) => form.querySelector(".input");
const wasOf = (form) => form.querySelector("[type=hidden]").value;
const isOpen = (form) => form.isConnected && !("sending" in form.dataset);

/** The cell whose editor is on its way, and what was typed meanwhile. */
let opening;

function open(cell, typed) {
  const box = cell.closest("td");
  if (box.querySelector("[data-cell-edit]")) return;
  if (opening?.box === box) {
    if (typed !== undefined) opening.typed = (opening.typed ?? "") + typed;
    return;
  }
  const own = { box, typed };
  opening = own;
  // Nothing is drawn anew around an editor that is on its way.
  box.dataset.keep = "";
  const url = `${cell.pathname}/cell?key=${cell.hash.slice("#c-".length)}`;
  const done = htmx.ajax("GET", url, { source: cell, target: box, swap: "beforeend" });
  Promise.resolve(done).finally(() => {
    delete box.dataset.keep;
    if (opening === own) opening = undefined;
    if (!box.querySelector("[data-cell-edit]")) settle();
  });
}

const settle = () => document.body.dispatchEvent(new CustomEvent("hq:settled", { bubbles: true }));

/** Puts what was typed in the place of a value: words, or the first choice that begins so. */
function put(field, typed) {
  if (!field.options) {
    field.value = typed;
    return;
  }
  const begins = (option) => fold(option.label).startsWith(fold(typed));
  const found = [...field.options].find(begins);
  if (found) field.value = found.value;
}

function close(form) {
  form.remove();
  settle();
}

/** Shows what was typed until HQ's answer draws the cell anew. */
function guess(box, field) {
  const words = field.selectedOptions?.[0]?.label ?? field.value;
  const text = box.querySelector(".cell > .chip > span:last-child, .cell > span:not([class])");
  if (text && field.value) text.textContent = words;
  else box.querySelector(".cell").textContent = field.value && words;
}

/** Saves a cell and goes on: `to` the next one in a direction, or to the editor of the next one before or behind it. */
async function save(form, to, edits) {
  const [box, field] = [form.parentElement, fieldOf(form)];
  if (!isOpen(form)) return;
  // A day stands in its field as people write it, which is not what it was read as.
  const isSame = field.value.trim() === (field.defaultValue ?? wasOf(form));
  const body = new URLSearchParams(new FormData(form));
  form.dataset.sending = "";
  delete form.dataset.refused;
  const stop = stopIn((edits && nextEdited(box, edits)) || (to && next(box, to)) || box);
  if (to || edits) stop.focus();
  if (edits && stop.parentElement !== box) open(stop);
  if (isSame) return close(form);
  let isRefused = false;
  field.disabled = true;
  await send({ url: form.action, body, undo: () => (isRefused = true) });
  field.disabled = false;
  delete form.dataset.sending;
  if (isRefused) {
    opening = undefined;
    form.dataset.refused = "";
    return field.focus();
  }
  guess(box, field);
  close(form);
}

document.addEventListener("htmx:after:swap", () => {
  for (const form of document.querySelectorAll("[data-cell-edit]:not([data-keep])")) {
    const { box, typed } = opening ?? {};
    // Somebody is elsewhere by now.
    if (box !== form.parentElement || form.previousElementSibling.matches("form")) return form.remove();
    opening = undefined;
    form.dataset.keep = "";
    fieldOf(form).focus();
    if (typed === undefined) fieldOf(form).select?.();
    else put(fieldOf(form), typed);
  }
});

const ownKeys = (form, event) => {
  const { key, shiftKey, target } = event;
  if (key === "Enter" && !(shiftKey && target.matches("textarea"))) save(form, [0, 1]);
  else if (key === "Tab") save(form, undefined, shiftKey ? -1 : 1);
  else if (key === "Escape") {
    form.dataset.sending = "";
    stopIn(form.parentElement).focus();
    close(form);
  } else return;
  event.preventDefault();
  event.stopPropagation();
};

document.addEventListener(
  "keydown",
  (event) => {
    const { key, target } = event;
    const box = boxOf(target);
    if (!box || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const form = target.closest("[data-cell-edit]");
    if (form) return ownKeys(form, event);
    if (!target.matches(stops)) return;
    const row = ends(box.parentElement);
    const to = ways[key] ? next(box, ways[key]) : { Home: row[0], End: row.at(-1) }[key];
    if (to) stopIn(to).focus();
    else if (key === "F2" && target.matches(".cell")) open(target);
    else if (target.matches(".cell") && key.length === 1 && (key !== " " || opening?.box === box)) open(target, key);
    // On a name and on a value no letter is a shortcut; on the box that selects a row it is.
    else if (!ways[key] && (target.matches(".tick") || key.length !== 1 || key === " ")) return;
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);

// Without script the link leads to the field on the page of the record. Attributes on each cell that fetch its editor
// were a third of the bytes of a large list.
document.addEventListener("click", (event) => {
  const cell = event.target.closest?.("table[data-grid] a.cell");
  if (!cell || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(cell);
});

// Also by a key of a phone's keyboard.
document.addEventListener(
  "submit",
  (event) => {
    if (!event.target.matches("[data-cell-edit]")) return;
    event.preventDefault();
    event.stopPropagation();
    save(event.target, [0, 1]);
  },
  true,
);

document.addEventListener("focusout", ({ target, relatedTarget }) => {
  const form = target.closest?.("[data-cell-edit]");
  // A window that is left is come back to.
  if (form && isOpen(form) && !form.contains(relatedTarget) && document.hasFocus()) save(form);
});

/* ── A link to a form that is folded opens it ── */
document.addEventListener("click", (event) => {
  const field = document.getElementById(event.target.closest?.("[data-focus]")?.dataset.focus);
  if (!field) return;
  event.preventDefault();
  const fold = field.closest("details");
  if (fold) fold.open = true;
  field.focus();
});
