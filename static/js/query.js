// Completion in the box of a filter: what could come next at the cursor, chosen with the arrow keys
// and Enter or Tab. The server knows the words; without script the box is a plain field.
const list = () => document.getElementById("query-list");
let wait;
let asked = 0;
// Whether something was typed since the field got the focus or the last offer was taken: only then Tab takes one.
// Whoever goes on with Tab alone goes on.
let typed = false;

function close(field) {
  clearTimeout(wait);
  asked += 1;
  const box = list();
  if (box) box.hidden = true;
  field?.setAttribute("aria-expanded", "false");
  field?.removeAttribute("aria-activedescendant");
}

function mark(field, at) {
  const lines = [...list().children];
  lines.forEach((line, n) => line.setAttribute("aria-selected", String(n === at)));
  if (lines[at]) field.setAttribute("aria-activedescendant", lines[at].id);
  else field.removeAttribute("aria-activedescendant");
  lines[at]?.scrollIntoView({ block: "nearest" });
}

function show(field, offers) {
  const box = list();
  box.replaceChildren(
    ...offers.map(({ q, at, word, about }, n) => {
      const line = document.createElement("li");
      line.id = `offer-${n}`;
      line.role = "option";
      Object.assign(line.dataset, { q, at });
      const name = document.createElement("b");
      name.textContent = word;
      const says = document.createElement("span");
      says.textContent = about;
      line.append(name, " ", says);
      return line;
    }),
  );
  box.hidden = !offers.length;
  field.setAttribute("aria-expanded", String(!box.hidden));
  mark(field, -1);
}

async function offer(field) {
  const mine = ++asked;
  const url = `${field.dataset.complete}?${new URLSearchParams({ q: field.value, at: field.selectionStart })}`;
  try {
    const answer = await fetch(url, { headers: { accept: "application/json" } });
    if (mine === asked && answer.ok && document.activeElement === field) show(field, await answer.json());
  } catch {
    close(field);
  }
}

function soon(field) {
  clearTimeout(wait);
  wait = setTimeout(() => offer(field), 80);
}

function take(field, line) {
  typed = false;
  field.value = line.dataset.q;
  const at = Number(line.dataset.at);
  field.setSelectionRange(at, at);
  field.focus();
  soon(field);
}

const boxOf = (event) => (event.target.matches?.("[data-complete]") ? event.target : undefined);

for (const kind of ["input", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const field = boxOf(event);
    if (!field) return;
    typed = kind === "input";
    soon(field);
  });
}
document.addEventListener("focusout", (event) => boxOf(event) && close(boxOf(event)));
// The field keeps the focus while a line is pressed.
document.addEventListener("mousedown", (event) => {
  const line = event.target.closest?.("#query-list > li");
  if (!line) return;
  event.preventDefault();
  take(document.querySelector("[data-complete]"), line);
});

document.addEventListener(
  "keydown",
  (event) => {
    const field = boxOf(event);
    const box = list();
    if (!field || !box || box.hidden || event.isComposing) return;
    const lines = [...box.children];
    const at = lines.findIndex((line) => line.ariaSelected === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) mark(field, (at + step + lines.length + (at < 0 && step < 0 ? 1 : 0)) % lines.length);
    else if (event.key === "Tab" && !event.shiftKey && field.value && (typed || at >= 0)) take(field, lines[Math.max(at, 0)]);
    else if (event.key === "Enter" && at >= 0) take(field, lines[at]);
    else if (event.key === "Escape") close(field);
    else return;
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);
