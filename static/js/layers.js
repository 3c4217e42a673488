import { fold } from "./fold.js";
import { dayText } from "./time.js";

// Dialogs and menus are native; this adds what older browsers lack, the question before
// destructive forms, and the theme button.
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (dialog) button.getAttribute("command") === "close" ? dialog.close() : dialog.showModal();
  });
}

document.addEventListener("click", (event) => {
  if (event.target.matches?.("dialog.dialog")) event.target.close();
  const menu = event.target.closest?.(".menu[popover]");
  const line = menu && event.target.closest("a, button");
  // A form that has something wrong stays, with what the browser says about it.
  if (line && (line.type !== "submit" || !line.form || line.formNoValidate || line.form.checkValidity())) menu.hidePopover();
});

document.addEventListener("hq:close", (event) => event.target.closest?.("dialog")?.close());

// A menu that opens takes the focus, so that nothing typed falls on the page below: its first field, or the line
// that is chosen, or its first line. What sends a field is none, since Enter does that; days and times have arrows of
// their own, and Tab and digits lead there. By finger no field is, since that unfolds the keyboard over the menu.
const pickers = "[data-day], [data-clock]";
const fields = `input:not([type=hidden], [type=date], ${pickers}), select, textarea`;
const linesOf = (menu) => [...menu.querySelectorAll(`a, button, ${fields}`)].filter((line) => !line.disabled && !line.closest("[hidden]") && !line.matches(".pick button"));

document.addEventListener(
  "beforetoggle",
  (event) => {
    if (event.newState !== "open" || !event.target.matches(".menu[popover]")) return;
    const byFinger = matchMedia("(pointer: coarse)").matches;
    const lines = linesOf(event.target).filter((line) => !(byFinger && line.matches(fields)));
    const to = lines[0]?.matches(fields) ? lines[0] : (lines.find((line) => line.ariaCurrent === "true") ?? lines[0]);
    for (const old of event.target.querySelectorAll("[autofocus]")) old.autofocus = false;
    if (to) to.autofocus = true;
  },
  true,
);

// Who listens hears whether a menu is open, also after its region has renewed itself.
function sayExpanded() {
  for (const opener of document.querySelectorAll("[popovertarget][aria-haspopup]")) {
    const isOpen = document.getElementById(opener.getAttribute("popovertarget"))?.matches(":popover-open");
    // Rows share one menu: it is open for the row that opened it.
    opener.setAttribute("aria-expanded", String(Boolean(isOpen) && openers.get(opener.getAttribute("popovertarget")) === opener));
  }
}
const openers = new Map();
document.addEventListener(
  "click",
  ({ target }) => {
    const opener = target.closest?.("[popovertarget]");
    if (opener) openers.set(opener.getAttribute("popovertarget"), opener);
  },
  true,
);
document.addEventListener("toggle", ({ target }) => target.matches?.("[popover]") && sayExpanded(), true);
document.addEventListener("htmx:after:swap", sayExpanded);
sayExpanded();

// Lines that are fetched take the place of the one that had the focus: the browser then has none to give back.
document.addEventListener(
  "keydown",
  ({ key }) => {
    const menu = key === "Escape" && document.querySelector(".menu:popover-open");
    if (!menu) return;
    const back = () => document.activeElement === document.body && openers.get(menu.id)?.focus();
    menu.addEventListener("toggle", back, { once: true });
  },
  true,
);

// Keys in a menu: arrows go from line to line, letters to the line that begins with them. Fields keep what is theirs.
const own = `${pickers}, select, textarea, input:not([type=text], [type=search], :not([type]))`;
const wordTime = 700;
let word = "";
let wordEnd;

/** The line that begins with what was typed, after the one that has the focus when it is one letter. */
function begins(lines, letter) {
  clearTimeout(wordEnd);
  wordEnd = setTimeout(() => (word = ""), wordTime);
  word += fold(letter);
  const at = lines.indexOf(document.activeElement) + (word.length === 1 ? 1 : 0);
  const order = [...lines.slice(Math.max(at, 0)), ...lines.slice(0, Math.max(at, 0))];
  return order.find((line) => !line.matches(fields) && fold(line.textContent.trim()).startsWith(word));
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  const menu = target.closest?.(".menu:popover-open") ?? document.querySelector(".menu:popover-open");
  // The key that opened it is dealt with.
  if (!menu || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.matches(own)) return;
  const lines = linesOf(menu);
  const isField = target.matches(fields);
  const sideways = !isField && menu.matches(".kinds");
  const step = { ArrowDown: 1, ArrowUp: -1, ArrowRight: sideways && 1, ArrowLeft: sideways && -1 }[key];
  if (step) {
    const at = lines.indexOf(document.activeElement);
    lines.at((at + step + (at < 0 && step < 0 ? 1 : 0)) % lines.length)?.focus();
  } else if (!isField && /^\d$/.test(key) && menu.querySelector(pickers)) {
    // The digit takes the place of what stands there.
    const field = menu.querySelector(pickers);
    field.focus();
    return field.select();
  } else if (!isField && key.length === 1 && (key !== " " || word)) {
    begins(lines, key)?.focus();
  } else return;
  event.preventDefault();
});

// The calendar behind a day fills it in as people write it.
document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-calendar]") || !target.value) return;
  const field = target.previousElementSibling;
  // A form that was drawn otherwise than this page reads at least this.
  const drawn = field.form?.querySelector("[name=_forms]")?.value.split(".")[0];
  const isOther = drawn && drawn !== (document.documentElement.dataset.date || "words");
  field.value = isOther ? target.value : dayText(new Date(`${target.value}T12:00`));
  target.value = "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// What is typed into the field of a menu leaves only the lines that have it, also when the region renews itself.
const narrow = (field) => {
  const typed = fold(field.value.split(",").at(-1).trim());
  for (const line of field.closest(".menu[popover]")?.querySelectorAll("button[value]") ?? []) {
    line.hidden = !fold(line.textContent).includes(typed);
  }
};
document.addEventListener("input", ({ target }) => target.matches("[data-narrows]") && narrow(target));
document.addEventListener("htmx:after:swap", () => {
  for (const field of document.querySelectorAll(".menu:popover-open [data-narrows]")) if (field.value) narrow(field);
});
document.addEventListener("toggle", ({ target, newState }) => {
  if (newState !== "closed" || !target.matches?.(".menu[popover]")) return;
  for (const field of target.querySelectorAll("[data-narrows]")) field.value = "";
  for (const line of target.querySelectorAll("button[value][hidden]")) line.hidden = false;
}, true);

// What a "more" unfolds over a page is closed as a menu is: with Escape, or by going elsewhere.
document.addEventListener("keydown", (event) => {
  const more = event.key === "Escape" && event.target.closest?.("details[open]:has(> .pop)");
  if (!more) return;
  more.open = false;
  more.querySelector("summary").focus();
});
document.addEventListener("click", ({ target }) => {
  for (const more of document.querySelectorAll("details[open]:has(> .pop)")) if (!more.contains(target)) more.open = false;
});

// A form with data-confirm is sent only after a yes; data-confirm-type wants the name typed first.
const ask = document.getElementById("confirm");
const yes = document.getElementById("confirm-go");
let asked;
// Forms that have been asked about; they are sent without another question.
export const sure = new WeakSet();

document.addEventListener(
  "submit",
  (event) => {
    const by = event.submitter?.dataset.confirm ? event.submitter : event.target;
    const words = by.dataset;
    if (!words.confirm || !ask || sure.has(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    asked = { form: event.target, button: event.submitter, name: words.confirmType };
    document.getElementById("confirm-title").textContent = words.confirm;
    // What is chosen in a form with data-tells is a part of the question.
    const told = [...by.querySelectorAll(":scope[data-tells] select")].map((one) => `${one.labels[0].textContent} ${one.selectedOptions[0].text}.`);
    document.getElementById("confirm-text").textContent = [...told, words.confirmText ?? ""].join(" ");
    yes.textContent = words.confirmVerb ?? "Delete";
    const typed = document.getElementById("confirm-typed");
    typed.hidden = !asked.name;
    typed.querySelector("span").textContent = `Type ${asked.name} to confirm`;
    typed.querySelector("input").value = "";
    yes.disabled = Boolean(asked.name);
    ask.showModal();
  },
  true,
);

ask?.addEventListener("input", (event) => (yes.disabled = event.target.value !== asked.name));
yes?.addEventListener("click", () => {
  const { form, button } = asked;
  asked = undefined;
  ask.close();
  sure.add(form);
  form.requestSubmit(button);
  sure.delete(form);
});

// A row of tabs that is longer than the page begins at the one that is shown.
for (const tab of document.querySelectorAll(":is(.tabs, .views, .seg) > [aria-current]")) {
  const row = tab.parentElement;
  if (row.scrollWidth > row.clientWidth) row.scrollLeft += tab.getBoundingClientRect().left - row.getBoundingClientRect().left - 24;
}

// A chart that is wider than the page begins where its last bar can be seen.
for (const plot of document.querySelectorAll(".plot")) {
  const last = [...plot.querySelectorAll(".col:has(rect[data-c])")].at(-1);
  if (last) plot.scrollLeft += last.getBoundingClientRect().right + 24 - plot.getBoundingClientRect().right;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-theme-toggle]")) return;
  event.preventDefault();
  const root = document.documentElement;
  const dark = { dark: true, light: false }[root.dataset.theme] ?? matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `hq_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
  const content = getComputedStyle(document.querySelector(".topbar") ?? root).backgroundColor;
  for (const bar of document.querySelectorAll("meta[name=theme-color]")) Object.assign(bar, { content, media: "all" });
  // HQ keeps it for the person's other browsers.
  const body = new URLSearchParams({ theme: root.dataset.theme });
  if (document.body.dataset.me) fetch("/theme", { method: "POST", body, keepalive: true }).catch(() => {});
});
