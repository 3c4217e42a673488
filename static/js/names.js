// Completion at the cursor, chosen with the arrow keys and Enter or Tab. The server offers names for @ and #, and in a
// field with data-skills the agent's skills for $. In a field with data-slash, / offers pieces of Markdown. Without
// script the box is a plain field.
const TYPED = /(?:^|[\s([>*_])([@#][\p{L}\p{N}_-]{0,30})$/u;
const SLASH = /(?:^|\s)(\/[a-z]{0,12})$/i;
const SKILL = /(?:^|[\s(])(\$[a-z0-9-]{0,64})$/;
// What a ^ begins has a line of its own; the cursor stands behind it, in code where the | is.
const PIECES = [
  ["Heading", "^# "],
  ["Subheading", "^## "],
  ["Bulleted list", "^- "],
  ["Numbered list", "^1. "],
  ["Checklist", "^- [ ] "],
  ["Quote", "^> "],
  ["Code block", "^```\n|\n```"],
  ["Table", "^| Column | Column |\n| --- | --- |\n|  |  |"],
  ["Divider", "^---\n"],
  ["Mention someone", "@"],
  ["Link a task", "#"],
  ["File or picture", ""],
];
let field;
let box;
// What the field had as aria-controls before the box.
let controlled;
let wait;
let asked = 0;

function close() {
  clearTimeout(wait);
  asked += 1;
  if (!box) return;
  box.remove();
  box = undefined;
  field.removeAttribute("aria-activedescendant");
  if (controlled === null) field.removeAttribute("aria-controls");
  else field.setAttribute("aria-controls", controlled);
}

const typed = () => {
  if (field.selectionStart !== field.selectionEnd) return;
  const before = field.value.slice(0, field.selectionStart);
  const { names, skills, slash } = field.dataset;
  const of = [names !== undefined && TYPED, slash !== undefined && SLASH, skills !== undefined && SKILL];
  return of.map((form) => form && form.exec(before)?.[1]).find(Boolean);
};
const pieces = (q) =>
  PIECES.filter(([name]) => name.toLowerCase().split(" ").some((word) => word.startsWith(q.slice(1).toLowerCase()))).map(
    ([about, piece]) => ({ put: about, about: "", piece }),
  );

/* Where the line of the cursor ends in a field, drawn once more in a box of the same shape. */
function below() {
  const twin = document.createElement("div");
  twin.className = "twin";
  twin.textContent = field.value.slice(0, field.selectionStart);
  const at = document.createElement("span");
  at.textContent = "\u200b";
  twin.append(at);
  field.after(twin);
  const y = at.offsetTop + at.offsetHeight - field.scrollTop;
  twin.remove();
  return field.offsetTop + y;
}

function mark(at) {
  [...box.children].forEach((line, n) => line.setAttribute("aria-selected", String(n === at)));
  const line = box.children[at];
  field.setAttribute("aria-activedescendant", line.id);
  line.scrollIntoView({ block: "nearest" });
}

function show(offers, label = "Mentions") {
  close();
  if (!offers.length) return;
  box = document.createElement("ul");
  Object.assign(box, { id: "names-list", className: "menu offers names", role: "listbox", ariaLabel: label });
  box.append(
    ...offers.map(({ put, about, piece }, n) => {
      const line = document.createElement("li");
      Object.assign(line, { id: `name-${n}`, role: "option" });
      line.dataset.put = put;
      if (piece !== undefined) line.dataset.piece = piece;
      const name = document.createElement("b");
      name.textContent = put;
      const says = document.createElement("span");
      says.textContent = about;
      line.append(name, " ", says);
      return line;
    }),
  );
  const top = "slash" in field.dataset && below();
  field.after(box);
  if (top) box.style.top = `${top}px`;
  controlled = field.getAttribute("aria-controls");
  field.setAttribute("aria-controls", box.id);
  mark(0);
}

async function offer() {
  const mine = ++asked;
  const q = typed();
  if (!q) return close();
  if (q[0] === "/") return show(pieces(q));
  try {
    const { names, skills } = field.dataset;
    const answer = await fetch(`${q[0] === "$" ? skills : names}?${new URLSearchParams({ q })}`, { headers: { accept: "application/json" } });
    if (mine === asked && answer.ok && document.activeElement === field) show(await answer.json(), q[0] === "$" ? "Skills" : undefined);
  } catch {
    close();
  }
}

/* Puts words in the place of what was typed, the cursor behind them or where they say. */
function put(words, from, at) {
  const back = words.lastIndexOf("|\n```");
  field.setRangeText(back < 0 ? words : words.replace("|\n", "\n"), from, at, "end");
  if (0 <= back) field.setSelectionRange(from + back, from + back);
}

function take(line) {
  const at = field.selectionStart;
  const from = at - typed().length;
  const { piece } = line.dataset;
  const begun = /[^\n]*$/.exec(field.value.slice(0, from))[0].trim();
  if (piece === undefined) put(`${line.dataset.put} `, from, at);
  else put(piece.replace("^", begun && "\n"), from, at);
  close();
  field.focus();
  // Who keeps what is written hears of it; an @ goes on by itself.
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  if (piece === "") field.form.querySelector("[data-into]")?.click();
}

document.addEventListener("input", ({ target }) => {
  if (!target.matches?.("[data-names], [data-skills]")) return;
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
