// Names in a text: what could stand behind an @ or a # at the cursor, chosen with the arrow keys and
// Enter or Tab. The server knows them; without script the box is a plain field.
const TYPED = /(?:^|[\s([>*_])([@#][\p{L}\p{N}_-]{0,30})$/u;
let field;
let box;
let wait;
let asked = 0;

function close() {
  clearTimeout(wait);
  asked += 1;
  box?.remove();
  field?.removeAttribute("aria-activedescendant");
  field?.removeAttribute("aria-controls");
  box = undefined;
}

const typed = () => field.selectionStart === field.selectionEnd && TYPED.exec(field.value.slice(0, field.selectionStart))?.[1];

function mark(at) {
  [...box.children].forEach((line, n) => line.setAttribute("aria-selected", String(n === at)));
  const line = box.children[at];
  field.setAttribute("aria-activedescendant", line.id);
  line.scrollIntoView({ block: "nearest" });
}

function show(offers) {
  close();
  if (!offers.length) return;
  box = document.createElement("ul");
  Object.assign(box, { id: "names-list", className: "menu offers names", role: "listbox", ariaLabel: "Who or what is meant" });
  box.append(
    ...offers.map(({ put, about }, n) => {
      const line = document.createElement("li");
      Object.assign(line, { id: `name-${n}`, role: "option" });
      line.dataset.put = put;
      const name = document.createElement("b");
      name.textContent = put;
      const says = document.createElement("span");
      says.textContent = about;
      line.append(name, " ", says);
      return line;
    }),
  );
  field.after(box);
  field.setAttribute("aria-controls", box.id);
  mark(0);
}

async function offer() {
  const mine = ++asked;
  const q = typed();
  if (!q) return close();
  try {
    const answer = await fetch(`${field.dataset.names}?${new URLSearchParams({ q })}`, { headers: { accept: "application/json" } });
    if (mine === asked && answer.ok && document.activeElement === field) show(await answer.json());
  } catch {
    close();
  }
}

function take(line) {
  const at = field.selectionStart;
  field.setRangeText(`${line.dataset.put} `, at - typed().length, at, "end");
  close();
  field.focus();
}

document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("[data-names]")) return;
  if (field !== target) close();
  field = target;
  clearTimeout(wait);
  if (!typed()) return close();
  wait = setTimeout(offer, 80);
});
document.addEventListener("focusout", (event) => event.target === field && close());
// The field keeps the focus while a line is pressed.
document.addEventListener("mousedown", (event) => {
  const line = event.target.closest?.("#names-list > li");
  if (!line) return;
  event.preventDefault();
  take(line);
});

document.addEventListener(
  "keydown",
  (event) => {
    if (!box || event.target !== field || event.isComposing) return;
    const lines = [...box.children];
    const at = lines.findIndex((line) => line.ariaSelected === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (step) mark((at + step + lines.length) % lines.length);
    else if (plain && (event.key === "Tab" || event.key === "Enter") && typed()) take(lines[at]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);

// A box that comes with words in it is gone on with at its end.
document.addEventListener("htmx:after:swap", () => {
  const text = document.activeElement;
  if (text?.matches("textarea[autofocus]") && text.selectionStart === 0) text.setSelectionRange(text.value.length, text.value.length);
});
