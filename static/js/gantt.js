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
  const by = days * dayOf(bar);
  const { x, width } = bar.was ?? (bar.was = { x: Number(body.getAttribute("x")), width: Number(body.getAttribute("width")) });
  const left = end === "start" ? Math.min(x + by, x + width - dayOf(bar)) : x;
  const right = end === "due" ? Math.max(x + width + by, x + dayOf(bar)) : x + width;
  body.setAttribute("x", left);
  body.setAttribute("width", right - left);
  first?.setAttribute("x", left);
  last?.setAttribute("x", right - 7);
}

async function move(bar, end, days) {
  const to = shifted(bar.dataset[end], days);
  const other = end === "start" ? bar.dataset.due : bar.dataset.start;
  const wrong = end === "start" ? to > other : to < other;
  if (!days || wrong) return refresh();
  const says = document.getElementById("drag-says");
  if (says) says.textContent = `${bar.dataset.task}: ${end} ${to}`;
  const { was } = bar;
  const undo = () => {
    bar.was = was;
    draw(bar, end, 0);
  };
  await send({ url: bar.dataset.move, body: new URLSearchParams({ [end]: to }), undo });
  delete bar.was;
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
document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.(".span[data-move]");
  const days = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!bar) return;
  if (event.key === "Escape" && held) held = refresh();
  if (!days) return;
  event.preventDefault();
  const end = event.shiftKey ? "start" : "due";
  draw(bar, end, days);
  const { id } = bar;
  move(bar, end, days).then(() => setTimeout(() => document.getElementById(id)?.focus(), 200));
});
document.addEventListener("htmx:before:request", (event) => {
  if (held && event.target.hasAttribute?.("data-region")) event.preventDefault();
});
