// Whoever looks at the end of what grows stays at its end; whoever looks elsewhere is left there, with
// a button that leads to the newest.
const main = document.getElementById("main");
const button = () => document.querySelector("[data-newest]");
const grown = () => document.getElementById(button()?.dataset.newest ?? "");

/** How far below the eye the end of a box is, in pixels. A talk scrolls by itself, from its end. */
function below(box) {
  if (box.id === "talk") return -box.scrollTop;
  return box.getBoundingClientRect().bottom - main.getBoundingClientRect().bottom;
}

function toEnd(box) {
  if (box.id === "talk") box.scrollTop = 0;
  else box.scrollIntoView({ block: "end" });
}

function look() {
  const box = grown();
  if (box) button().hidden = below(box) < 240;
}

let follows = false;
document.addEventListener("htmx:before:swap", () => {
  const box = grown();
  follows = Boolean(box) && box.id !== "talk" && main.scrollTop > 0 && Math.abs(below(box)) < 200;
});
document.addEventListener("htmx:after:swap", () => {
  const box = grown();
  if (follows && box) toEnd(box);
  look();
});
document.addEventListener("click", ({ target }) => {
  const box = target.closest?.("[data-newest]") && grown();
  if (box) toEnd(box);
});
document.addEventListener("scroll", () => requestAnimationFrame(look), { capture: true, passive: true });
look();
