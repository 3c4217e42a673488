// Short messages in the corner. Good news leaves by itself, bad news stays until it is read.
const leaveAfter = 6000;

export function toast({ tone = "ok", text, undo }) {
  const box = document.getElementById("toasts");
  const blank = document.getElementById("toast-blank");
  if (!box || !blank) return;
  const item = blank.content.firstElementChild.cloneNode(true);
  item.dataset.tone = tone;
  item.querySelector("p").textContent = text;
  const use = item.querySelector("use");
  const icon = { ok: "check", warn: "warn", danger: "warn" }[tone] ?? "info";
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${icon}`));
  const back = item.querySelector("form");
  if (undo) back.action = undo;
  else back.remove();
  box.append(item);
  leave(item);
}

function leave(item) {
  if (item.dataset.tone === "danger" || item.querySelector("form")) return;
  const timer = setInterval(() => {
    if (item.matches(":hover, :focus-within")) return;
    clearInterval(timer);
    item.remove();
  }, leaveAfter);
}

document.querySelectorAll("#toasts > .toast").forEach(leave);
document.addEventListener("hq:toast", (event) => toast(event.detail));
document.addEventListener("click", (event) => {
  event.target.closest?.("[data-dismiss]")?.closest(".toast, .banner")?.remove();
});
