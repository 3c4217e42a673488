// Bars along the days: their ends are dragged, or moved with the arrow keys (the start with Shift). What
// was shown comes back when HQ refuses.
import { send } from "./send.js";

let held;
const refresh = () => document.body.dispatchEvent(new CustomEvent("hq:tasks"));
const dayOf = (bar) => Number(bar.closest("svg").dataset.day);

function shifted(iso, days) {
  const day = new Date(`${iso}T12:00:00Z`);
  day.setUTCDate(day.getUTCDate() + days);
  return day.toISOString().slice(0, 10);
}

function draw(bar, end, days) {
  const [body, first, last] = bar.querySelectorAll("rect");
  const name = bar.querySelector("text");
  const by = days * dayOf(bar);
  const { x, width } = bar.was ?? (bar.was = { x: Number(body.getAttribute("x")), width: Number(body.getAttribute("width")) });
  const left = end === "start" ? Math.min(x + by, x + width - dayOf(bar)) : x;
  const right = end === "due" ? Math.max(x + width + by, x + dayOf(bar)) : x + width;
  body.setAttribute("x", left);
  name.setAttribute("x", "after" in name.dataset ? right : left);
  body.setAttribute("width", right - left);
  first?.setAttribute("x", left);
  last?.setAttribute("x", right - 7);
}

const say = (bar, end, days) => {
  const box = document.getElementById("drag-says");
  if (box) box.textContent = `${bar.dataset.task}: ${end} ${shifted(bar.dataset[end], days)}`;
};

let sent = Promise.resolve();

async function move(bar, end, days) {
  const to = shifted(bar.dataset[end], days);
  const other = end === "start" ? bar.dataset.due : bar.dataset.start;
  const wrong = end === "start" ? to > other : to < other;
  if (!days || wrong) {
    draw(bar, end, 0);
    return refresh();
  }
  say(bar, end, days);
  // The next move counts from here, also before HQ has answered; they arrive in the order in which they were made.
  const from = bar.dataset[end];
  const place = (day) => {
    bar.dataset[end] = day;
    delete bar.was;
  };
  place(to);
  const undo = () => {
    draw(bar, end, -days);
    place(from);
  };
  sent = sent.then(() => send({ url: bar.dataset.move, body: new URLSearchParams({ [end]: to }), undo }));
  await sent;
}

// Steps with the keys that follow one upon the other are one move, from the day that was shown at first.
const pause = 400;
let steps;

function tell() {
  if (!steps) return;
  const { bar, end, days } = steps;
  clearTimeout(steps.timer);
  steps = undefined;
  const { id } = bar;
  // Drawn anew, the bar has lost the focus; whoever has gone on keeps theirs.
  const back = () => document.activeElement === document.body && document.getElementById(id)?.focus();
  move(bar, end, days).then(() => setTimeout(back, 200));
}

document.addEventListener("pointerdown", (event) => {
  const end = event.target.closest?.("[data-end]");
  if (!end || event.button !== 0) return;
  const bar = end.closest(".span");
  held = { bar, end: end.dataset.end, x: event.clientX, days: 0 };
  end.setPointerCapture(event.pointerId);
  event.preventDefault();
});
document.addEventListener("pointermove", (event) => {
  if (!held) return;
  held.days = Math.round((event.clientX - held.x) / dayOf(held.bar));
  draw(held.bar, held.end, held.days);
});
document.addEventListener("pointerup", () => {
  if (!held) return;
  const { bar, end, days } = held;
  held = undefined;
  move(bar, end, days);
});
document.addEventListener("pointercancel", () => {
  if (!held) return;
  draw(held.bar, held.end, 0);
  held = undefined;
  refresh();
});
document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.(".span[data-move]");
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!bar) return;
  if (event.key === "Escape" && (held || steps)) {
    clearTimeout(steps?.timer);
    draw(bar, "due", 0);
    held = steps = undefined;
    refresh();
  }
  if (!step) return;
  event.preventDefault();
  const end = event.shiftKey ? "start" : "due";
  if (steps && (steps.bar !== bar || steps.end !== end)) tell();
  steps ??= { bar, end, days: 0 };
  steps.days += step;
  draw(bar, end, steps.days);
  say(bar, end, steps.days);
  clearTimeout(steps.timer);
  steps.timer = setTimeout(tell, pause);
});
addEventListener("focusout", tell);
addEventListener("pagehide", tell);
document.addEventListener("htmx:before:request", (event) => {
  if ((held || steps) && event.target.hasAttribute?.("data-region")) event.preventDefault();
});
