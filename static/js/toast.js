// Short messages in the corner. Good news leaves by itself, bad news stays until it is read. What can be undone can
// be undone by Ctrl Z as long as its message is there, the last one first; later in the history. Two are shown at most.
import { send } from "./send.js";

const leaveAfter = 6000;
const undoFor = 10_000;
const mostUndone = 3;
const mostShown = 2;

const box = document.getElementById("toasts");

/** Messages stand above the field where one is writing, and at the top where they would cover what goes on. */
function place() {
  if (!box?.children.length) return;
  const all = [...box.children];
  all.forEach((item, at) => (item.hidden = at < all.length - mostShown));
  box.toggleAttribute("data-high", Boolean(document.querySelector(".say, .verdict")));
  box.removeAttribute("data-top");
  const mine = box.getBoundingClientRect();
  const covered = (one) => {
    const its = one.getBoundingClientRect();
    return its.width && its.left < mine.right && its.right > mine.left && its.top < mine.bottom && its.bottom > mine.top;
  };
  const buttons = document.querySelectorAll('main :is(.btn[data-kind="primary"], .form-foot .btn)');
  box.toggleAttribute("data-top", Boolean(mine.height) && [...buttons].some(covered));
}
place();

/** Messages stand in the layer that is open, and over it: what is outside of it can be neither heard nor pressed. */
function raise() {
  const layer = [...document.querySelectorAll("dialog:modal")].at(-1);
  const around = layer ?? document.body;
  if (box.parentElement === around) return;
  around.append(box);
  if (layer) box.showPopover();
}

// The messages outlive the layer.
document.addEventListener("close", ({ target }) => target.contains(box) && raise(), true);

export function toast({ tone = "ok", text, undo, href }) {
  const blank = document.getElementById("toast-blank");
  if (!box || !blank) return;
  const item = blank.content.firstElementChild.cloneNode(true);
  item.dataset.tone = tone;
  const says = item.querySelector("p");
  says.textContent = text;
  if (href) says.append(" ", Object.assign(document.createElement("a"), { href, className: "link", textContent: "Open" }));
  const use = item.querySelector("use");
  const icon = { ok: "check", warn: "warn", danger: "warn" }[tone] ?? "info";
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${icon}`));
  const back = item.querySelector("form");
  if (undo) back.action = undo;
  else back.remove();
  raise();
  // The same words again are one message.
  const same = [...box.children].find((old) => old.dataset.tone === tone && !old.querySelector("form") && old.querySelector("p").textContent === says.textContent);
  if (!undo) same?.remove();
  box.append(item);
  place();
  const undos = [...box.querySelectorAll(".toast:has(form)")];
  for (const old of undos.slice(0, -mostUndone)) old.remove();
  leave(item);
}

function leave(item) {
  if (item.dataset.tone === "danger") return;
  const timer = setInterval(() => {
    if (item.matches(":hover, :focus-within")) return;
    clearInterval(timer);
    item.remove();
  }, item.querySelector("form") ? undoFor : leaveAfter);
}

document.querySelectorAll("#toasts > .toast").forEach(leave);
document.addEventListener("hq:toast", (event) => toast(event.detail));
document.addEventListener("click", (event) => {
  event.target.closest?.("[data-dismiss]")?.closest(".toast, .banner")?.remove();
});
// The page stays where it is; its regions hear of what went back.
document.addEventListener("submit", (event) => {
  const item = event.target.closest(".toast");
  if (!item || !document.body.dataset.stream) return;
  event.preventDefault();
  item.remove();
  send({ url: event.target.action, body: new URLSearchParams(), undo() {} });
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const undo = [...document.querySelectorAll("#toasts form")].at(-1);
  if (!undo) return;
  event.preventDefault();
  undo.requestSubmit();
});
