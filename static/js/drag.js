// Dragging: a card to another column or place, a task to another day. Anything with data-drag can be
// dragged to anything with data-drop; what changes is sent to its data-move. By pointer (a long press on
// a touch screen), and by keyboard on the handle: Space lifts, arrows move, Space drops, Escape leaves.
// The page shows the change at once; when HQ refuses, everything goes back.
import { show } from "./guess.js";
import { send } from "./send.js";

const threshold = 6;
const press = 250;
const edge = 48;
let held;

const drops = () => [...document.querySelectorAll("[data-drop]")].filter((box) => box.checkVisibility());
const items = (box) => [...box.querySelectorAll(":scope > [data-drag]")];
const say = (text) => {
  const box = document.getElementById("drag-says");
  if (box) box.textContent = text;
};

function line() {
  held.line ??= Object.assign(document.createElement("li"), { className: "drop-line", ariaHidden: "true" });
  return held.line;
}

// On a phone days unfold when something is lifted and fold when it is put down: a box stays where it is on the screen.
function steadily(box, deed) {
  const top = () => box.getBoundingClientRect().top;
  const was = top();
  deed();
  box.closest("main").scrollBy(0, top() - was);
}

function lift(item) {
  const from = item.parentElement;
  held = { item, from, next: item.nextElementSibling };
  steadily(from, () => item.setAttribute("data-lifted", ""));
  say(`Lifted ${item.dataset.task}.`);
}

/** Where in a box a thing lands: before this one, or at the end. */
function place(box, before) {
  document.querySelectorAll("[data-over]").forEach((one) => one.removeAttribute("data-over"));
  held.box = box;
  held.before = before;
  if (!box) return held.line?.remove();
  box.setAttribute("data-over", "");
  if (box.matches("ul, ol")) box.insertBefore(line(), before ?? box.querySelector(":scope > button, :scope > a"));
}

function letGo() {
  held.item.removeAttribute("data-lifted");
  held.item.removeAttribute("style");
  held.line?.remove();
  document.querySelectorAll("[data-over]").forEach((one) => one.removeAttribute("data-over"));
}

function cancel() {
  steadily(held.from, letGo);
  say(`${held.item.dataset.task} stays where it was.`);
  held = undefined;
  refresh();
}

const refresh = () => document.body.dispatchEvent(new CustomEvent("hq:tasks"));

/** Asks whether it is to be done in any case, with the server's words. */
function ask(item, body, why) {
  const form = Object.assign(document.createElement("form"), { method: "post", action: item.dataset.move, hidden: true });
  Object.assign(form.dataset, { confirm: `Finish ${item.dataset.task} anyway?`, confirmText: why, confirmVerb: "Finish" });
  body.set("sure", "1");
  body.set("back", location.pathname + location.search);
  for (const [name, value] of body) form.append(Object.assign(document.createElement("input"), { name, value }));
  document.body.append(form);
  form.requestSubmit();
}

function drop() {
  const { item, from, next, box, before } = held;
  const stays = !box || (box === from && (!("ordered" in box.dataset) || before === next));
  steadily(stays ? from : box, () => {
    letGo();
    if (!stays) box.insertBefore(item, before ?? null);
  });
  held = undefined;
  if (stays) return refresh();
  const body = new URLSearchParams();
  const { field, value, field2, value2 } = box.dataset;
  if (field && box !== from) body.set(field, value);
  if (field2 && box !== from && from.dataset.value2 !== value2) body.set(field2, value2);
  if ("ordered" in box.dataset) {
    const all = items(box);
    const at = all.indexOf(item);
    if (all[at - 1]) body.set("after", all[at - 1].dataset.task);
    if (all[at + 1]) body.set("before", all[at + 1].dataset.task);
  }
  if (![...body].length) return refresh();
  say(`Moved ${item.dataset.task} to ${box.dataset.label}.`);
  const looks = [...body].map(([name, value]) => show(item, name, value));
  const undo = () => {
    looks.forEach((look) => look());
    from.insertBefore(item, next?.isConnected ? next : null);
    say(`${item.dataset.task} is back where it was.`);
  };
  const refused = (status, why) => status === 409 && body.get("status") === "done" && (ask(item, body, why), true);
  send({ url: item.dataset.move, body, undo, refused });
}

/* ── Pointer ── */
let down;

document.addEventListener("pointerdown", (event) => {
  const item = event.target.closest?.("[data-drag]");
  if (!item || event.button !== 0 || event.target.closest("input, [data-end]")) return;
  down = { item, x: event.clientX, y: event.clientY, touch: event.pointerType === "touch", id: event.pointerId };
  if (down.touch) down.timer = setTimeout(() => down && begin(down), press);
});

function begin(at) {
  const box = at.item.getBoundingClientRect();
  lift(at.item);
  at.item.style.cssText = `width:${box.width}px;left:${box.left}px;top:${box.top}px`;
  held.grab = { x: at.x - box.left, y: at.y - box.top };
  at.item.setAttribute("data-flying", "");
}

/** Chooses what lies under the hand. */
function aim() {
  const { item, at } = held;
  const under = document.elementsFromPoint(at.x, at.y).find((one) => !item.contains(one));
  const box = under?.closest("[data-drop]") ?? under?.closest("section, td")?.querySelector("[data-drop]");
  const later = box && items(box).find((one) => one !== item && at.y < one.getBoundingClientRect().top + one.offsetHeight / 2);
  place(box, later);
}

const push = (at, from, to) => (to - edge < at ? 12 : at < from + edge ? -12 : 0);

// At an edge the page goes by, also when the hand rests there.
function drift() {
  if (!held?.at) return;
  const { item, at } = held;
  const main = item.closest("main");
  const { top, bottom } = main.getBoundingClientRect();
  const [x, y] = [push(at.x, 0, innerWidth), push(at.y, top, bottom)];
  if (x || y) {
    item.closest(".board, main").scrollBy(x, 0);
    main.scrollBy(0, y);
    aim();
  }
  requestAnimationFrame(drift);
}

document.addEventListener("pointermove", (event) => {
  if (!down) return;
  const far = Math.hypot(event.clientX - down.x, event.clientY - down.y) > threshold;
  if (!held && far && down.touch) {
    clearTimeout(down.timer);
    down = undefined;
    return;
  }
  if (!held && far) begin(down);
  if (!held) return;
  event.preventDefault();
  const { item, grab } = held;
  item.style.left = `${event.clientX - grab.x}px`;
  item.style.top = `${event.clientY - grab.y}px`;
  if (!held.at) requestAnimationFrame(drift);
  held.at = { x: event.clientX, y: event.clientY };
  aim();
});

addEventListener("touchmove", (event) => held && event.cancelable && event.preventDefault(), { passive: false });
// The menu of a link under a finger that stays would take away what it has lifted.
addEventListener("contextmenu", (event) => held?.grab && event.preventDefault());

function up() {
  clearTimeout(down?.timer);
  const flew = Boolean(held);
  held?.item.removeAttribute("data-flying");
  if (flew) {
    // The click that ends a drag opens nothing.
    const swallow = (event) => event.preventDefault();
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, true));
    drop();
  }
  down = undefined;
}
document.addEventListener("pointerup", up);
document.addEventListener("pointercancel", () => {
  clearTimeout(down?.timer);
  down = undefined;
  held?.item.removeAttribute("data-flying");
  if (held) cancel();
});
document.addEventListener("dragstart", (event) => event.target.closest?.("[data-drag]") && event.preventDefault());

/* ── Keyboard ── */
/** How many boxes of a grid stand side by side; on a phone they stand one below the other. */
function across(box, [first, second]) {
  const { grid } = box.closest("[data-grid]")?.dataset ?? {};
  const left = (one) => one.getBoundingClientRect().left;
  return grid && left(first) === left(second) ? 1 : Number(grid ?? 0);
}

function step(key) {
  const all = drops();
  const box = held.box ?? held.from;
  const width = across(box, all);
  const at = all.indexOf(box);
  const list = items(box).filter((one) => one !== held.item);
  const now = held.box ? (held.before ? list.indexOf(held.before) : list.length) : list.indexOf(held.next);
  const go = (to) => all[to] && place(all[to], all[to] === held.from ? held.next : items(all[to])[0]);
  // What lies beside the boxes goes to the day that is today first, or to the first one.
  if (at < 0) go(Math.max(all.findIndex((one) => one.closest("[aria-current]")), 0));
  else if (width) go(at + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width }[key]);
  else if (key === "ArrowLeft" || key === "ArrowRight") go(at + (key === "ArrowLeft" ? -1 : 1));
  else {
    const last = now < 0 ? list.length : now;
    const to = Math.min(Math.max(last + (key === "ArrowUp" ? -1 : 1), 0), list.length);
    place(box, list[to]);
  }
  (held.line?.isConnected ? held.line : held.box)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (held.box) say(`${held.box.dataset.label}, place ${items(held.box).filter((one) => one !== held.item).indexOf(held.before) + 1 || "last"}.`);
}

document.addEventListener(
  "keydown",
  (event) => {
    const grip = event.target.closest?.("[data-grip]");
    if (held && !held.grab) {
      const { key } = event;
      if (key.startsWith("Arrow")) step(key);
      else if (key === " " || key === "Enter") {
        const id = held.item.id;
        drop();
        setTimeout(() => document.getElementById(id)?.querySelector("[data-grip]")?.focus(), 300);
      } else if (key === "Escape" || key === "Tab") cancel();
      else return;
      event.preventDefault();
      event.stopPropagation();
    } else if (grip && event.key === " ") {
      lift(grip.closest("[data-drag]"));
      event.preventDefault();
      event.stopPropagation();
    } else if (held && event.key === "Escape") {
      held.item.removeAttribute("data-flying");
      down = undefined;
      cancel();
    }
  },
  true,
);
// The key's own click on the handle does nothing.
document.addEventListener("keyup", (event) => event.key === " " && event.target.closest?.("[data-grip]") && event.preventDefault());

// Nothing is drawn anew under a hand.
document.addEventListener("htmx:before:request", (event) => {
  if (held && event.target.hasAttribute?.("data-region")) event.preventDefault();
});

// On a phone the days of a month are a list, which begins at today.
if (matchMedia("(width < 640px)").matches) document.querySelector(".cal [aria-current]")?.scrollIntoView({ block: "center" });
