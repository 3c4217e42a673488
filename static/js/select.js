// Choosing several tasks: a tick in each row, x for the row under the cursor, Shift for all up to here,
// Escape for none. The bar at the bottom changes all of them as one piece of work; s, p, a, d and l open its
// menus, for the row under the cursor when none is chosen. "More" of a row opens the menu for that one.
const chosen = new Set();
const ticks = () => [...document.querySelectorAll("input.tick[data-task]")];
let last;

function show() {
  const bar = document.getElementById("bulk");
  if (!bar) return;
  for (const tick of ticks()) {
    tick.checked = chosen.has(tick.dataset.task);
    tick.closest(".row, .tile")?.toggleAttribute("data-chosen", tick.checked);
  }
  document.querySelector(".rows")?.toggleAttribute("data-selecting", chosen.size > 0);
  bar.hidden = !chosen.size;
  bar.querySelector("b").textContent = `${chosen.size} selected`;
  for (const form of [bar, document.getElementById("bulk-when")]) form.elements.tasks.value = [...chosen].join(",");
}

function none() {
  chosen.clear();
  last = undefined;
  show();
}

const menus = { s: "status", p: "priority", a: "assignee", d: "due", l: "label" };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const bar = document.getElementById("bulk");
  const opener = bar?.querySelector(`[popovertarget="bulk-${menus[key]}"]`);
  if (!opener || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches?.("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog:modal, [popover]:popover-open:not(.side)")) return;
  const row = document.querySelector("[data-record][data-cursor]");
  if (!chosen.size && row) chosen.add(row.dataset.record);
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
  const tick = event.target.closest?.("input.tick[data-task]");
  if (!tick) return;
  const all = ticks();
  const at = all.indexOf(tick);
  const from = event.shiftKey && last ? all.findIndex((one) => one.dataset.task === last) : at;
  for (const one of all.slice(Math.min(from, at), Math.max(from, at) + 1)) {
    chosen[tick.checked ? "add" : "delete"](one.dataset.task);
  }
  last = tick.dataset.task;
  show();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !chosen.size || event.defaultPrevented) return;
  if (document.querySelector("dialog:modal, [popover]:popover-open")) return;
  none();
});

document.addEventListener("hq:chosen", none);
document.addEventListener("htmx:after:swap", () => chosen.size && show());
