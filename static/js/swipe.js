// Swiping a row with a finger presses the button in it that says so: data-swipe="right" or "left", with what
// it does in data-hint. Both stand in the row for everybody else, too.
const enough = 72;
const slack = 12;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let swipe;

function draw(by) {
  const { row, buttons } = swipe;
  const way = by > 0 ? "right" : "left";
  swipe.button = Math.abs(by) >= enough ? buttons[way] : undefined;
  row.dataset.swiped = way;
  row.dataset.says = buttons[way]?.dataset.hint ?? "";
  row.toggleAttribute("data-armed", Boolean(swipe.button));
  const far = buttons[way] ? Math.sign(by) * Math.min(Math.abs(by), enough * 1.4) : 0;
  if (!still.matches) row.style.translate = `${far}px`;
}

function end(press) {
  const { row, button, by } = swipe ?? {};
  swipe = undefined;
  if (!row) return;
  for (const name of ["style", "data-swiped", "data-says", "data-armed"]) row.removeAttribute(name);
  if (!by) return;
  // The tap that ends a swipe opens nothing.
  const swallow = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => {
    removeEventListener("click", swallow, true);
    if (press && button?.isConnected) button.click();
  }, 50);
}

document.addEventListener("pointerdown", (event) => {
  const row = event.pointerType === "touch" && event.target.closest?.(".row, .news li");
  if (!row || !event.isPrimary) return;
  const buttons = {};
  for (const one of row.querySelectorAll("[data-swipe]")) buttons[one.dataset.swipe] = one;
  if (buttons.left || buttons.right) swipe = { row, buttons, x: event.clientX, y: event.clientY, by: 0 };
});
document.addEventListener("pointermove", ({ clientX, clientY }) => {
  if (!swipe) return;
  const by = clientX - swipe.x;
  if (!swipe.by && Math.abs(clientY - swipe.y) > slack) return end();
  if (!swipe.by && Math.abs(by) < slack) return;
  swipe.by = by;
  draw(by);
});
document.addEventListener("pointerup", () => end(true));
document.addEventListener("pointercancel", () => end());
// Nothing is drawn anew under a finger.
document.addEventListener("htmx:before:request", (event) => {
  if (swipe?.by && event.target.hasAttribute?.("data-region")) event.preventDefault();
});
// An answer that was on its way before the finger came does not let the row jump back.
document.addEventListener("htmx:after:swap", () => {
  if (swipe?.by && swipe.row.isConnected) draw(swipe.by);
});
