// Choosing several tasks: a tick in each row, x for the row under the cursor, Shift for all up to here,
// Escape for none. When every row that is shown is chosen, the bar offers all that match what the list asks, also
// those that were not scrolled in: the change goes by the query then. The bar at the bottom changes all of them as one piece of work; s, p, a, d and l open its
// menus, for the row under the cursor when none is chosen. "More" of a row opens the menu for that one.
import { stand } from "./keys.js";
import { numberText as number } from "./time.js";

const chosen = new Set();
// Whether all that match are meant.
let all = false;
const ticks = () => [...document.querySelectorAll("input.tick[data-task]")];
let last;
// Whether a key chose the row under the cursor for the menu that it opened.
let lent = false;

/** How many tasks match what the list asks; 0 where no query says which these are. */
const matches = () => Number(document.querySelector("[data-matches]")?.dataset.matches ?? 0);

/** Offers the rows that are shown, then all that match. */
function offer(bar, shown) {
  const button = bar.querySelector("[data-choose-all]");
  const isPart = shown.some((tick) => !tick.checked);
  const most = Number(bar.dataset.most);
  const tooMany = !isPart && most < matches();
  button.hidden = all || !(isPart || chosen.size < matches());
  button.disabled = tooMany;
  button.textContent = isPart
    ? `Select all ${number(shown.length)} shown`
    : tooMany
      ? `${number(matches())} match; at most ${number(most)} change at once`
      : `Select all ${number(matches())} that match`;
}

function show() {
  const bar = document.getElementById("bulk");
  if (!bar) return;
  all &&= matches() > 0;
  const shown = ticks();
  // What is scrolled in meanwhile matches, too.
  if (all) for (const tick of shown) chosen.add(tick.dataset.task);
  for (const tick of shown) {
    tick.checked = chosen.has(tick.dataset.task);
    tick.closest(".row, .tile")?.toggleAttribute("data-chosen", tick.checked);
  }
  document.querySelector(".rows")?.toggleAttribute("data-selecting", chosen.size > 0);
  const count = all ? matches() : chosen.size;
  bar.hidden = !chosen.size;
  bar.dataset.count = count;
  bar.querySelector("b").textContent = `${number(count)} selected`;
  offer(bar, shown);
  for (const form of [bar, ...document.querySelectorAll("form[data-bulk]")]) {
    form.elements.tasks.value = [...chosen].join(",");
    form.elements.q.disabled = !all;
  }
}

/** Chooses every row that is shown; when they are, all that match. */
function more(bar, button) {
  const shown = ticks();
  if (shown.every((tick) => tick.checked)) {
    all = true;
  }
  for (const tick of shown) chosen.add(tick.dataset.task);
  show();
  if (button.hidden) bar.querySelector("[popovertarget]").focus();
}

function none() {
  chosen.clear();
  all = false;
  last = undefined;
  lent = false;
  show();
  // The bar that had the focus is away: one goes on from the row where one was.
  const row = document.querySelector("[data-record][data-cursor]");
  if (row && (document.activeElement === document.body || document.activeElement.closest("#bulk"))) stand(row);
}

const menus = { s: "status", p: "priority", a: "assignee", d: "due", l: "label" };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const bar = document.getElementById("bulk");
  const opener = bar?.querySelector(`[popovertarget="bulk-${menus[key]}"]`);
  if (!opener || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches?.("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog:modal, [popover]:popover-open:not(.side)")) return;
  const row = document.querySelector("[data-record][data-cursor]");
  lent = !chosen.size;
  if (lent && row) chosen.add(row.dataset.record);
  if (!chosen.size) return;
  event.preventDefault();
  show();
  opener.focus();
  opener.click();
});

document.addEventListener("click", ({ target }) => {
  const menu = document.getElementById("row-menu");
  const more = target.closest?.('[popovertarget="row-menu"]');
  if (more) menu.elements.tasks.value = more.closest("[data-record]").dataset.record;
  if (!target.closest?.("[data-choose-row]")) return;
  chosen.add(menu.elements.tasks.value);
  menu.hidePopover();
  show();
});

document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-choose-none]")) return none();
  const button = event.target.closest?.("[data-choose-all]");
  if (button) return more(button.form, button);
  const tick = event.target.closest?.("input.tick[data-task]");
  if (!tick) return;
  const shown = ticks();
  const at = shown.indexOf(tick);
  const from = event.shiftKey && last ? shown.findIndex((one) => one.dataset.task === last) : at;
  all &&= tick.checked;
  for (const one of shown.slice(Math.min(from, at), Math.max(from, at) + 1)) {
    chosen[tick.checked ? "add" : "delete"](one.dataset.task);
  }
  last = tick.dataset.task;
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !chosen.size || event.defaultPrevented) return;
  // A menu that is left without a choice leaves the row as it was.
  const menu = lent && document.querySelector("#bulk > :popover-open");
  if (menu) return menu.addEventListener("toggle", none, { once: true });
  if (document.querySelector("dialog:modal, [popover]:popover-open")) return;
  none();
});

document.addEventListener("hq:chosen", none);
document.addEventListener("htmx:after:swap", () => chosen.size && show());
