// The command palette: one field over everything. The lines come from the server with each key; what the
// open page itself offers is added from its own buttons, so that the same rights hold.
import htmx from "htmx.org";
import { fold } from "./fold.js";
import { numberText } from "./time.js";

const kept = 12;
const dialog = document.getElementById("palette");
const field = dialog?.querySelector("input");
const list = document.getElementById("palette-list");
const said = document.getElementById("palette-said");
const home = document.body.dataset.home;
const place = `hq:seen:${home}`;

// Addresses that were opened here, the last one first. What they are called the server says.
function seen() {
  try {
    const paths = JSON.parse(localStorage.getItem(place));
    return Array.isArray(paths) ? paths.filter((path) => typeof path === "string") : [];
  } catch {
    return [];
  }
}

if (home && location.pathname.startsWith(home)) {
  const path = location.pathname.slice(home.length);
  const paths = [path, ...seen().filter((one) => one !== path)].filter((one) => one && !one.includes(","));
  try {
    localStorage.setItem(place, JSON.stringify(paths.slice(0, kept)));
  } catch {
    // Nothing is kept where the browser keeps nothing.
  }
}

const lines = () => [...list.querySelectorAll('[role="option"]')];
const chosen = () => list.querySelector("[data-active]");

function choose(line) {
  for (const one of lines()) {
    one.toggleAttribute("data-active", one === line);
    one.setAttribute("aria-selected", String(one === line));
  }
  if (line) field.setAttribute("aria-activedescendant", line.id);
  else field.removeAttribute("aria-activedescendant");
  line?.scrollIntoView({ block: "nearest" });
}

const text = (element) => {
  const copy = element.cloneNode(true);
  for (const key of copy.querySelectorAll("kbd, .vh, svg")) key.remove();
  return copy.textContent.trim();
};

// What the open page offers: buttons with a key, and the properties of the record.
function offers() {
  const found = new Map();
  for (const one of document.querySelectorAll("#main [data-key], .topbar [data-key], #main .prop[popovertarget]")) {
    if (!one.checkVisibility() || one.disabled || one.matches("input, textarea, [data-theme-toggle]")) continue;
    const term = one.closest("div")?.querySelector("dt");
    const name = one.matches(".prop") && term ? `Change ${text(term).toLowerCase()}` : one.ariaLabel || text(one);
    if (name && !found.has(name)) found.set(name, one);
  }
  return found;
}

// What several records that are ticked can get: the menus of their bar, and each choice in them. A menu is opened
// by writing its name into the field, so that going back is taking the name away again.
function deeds(bar) {
  const found = [];
  const send = (choice) => () => {
    dialog.close();
    bar.requestSubmit(choice);
  };
  for (const opener of bar.querySelectorAll("[data-verb]")) {
    const { verb } = opener.dataset;
    found.push({ name: `${verb}…`, fits: verb, deed: () => narrow(`> ${verb}: `) });
    for (const choice of document.getElementById(opener.getAttribute("popovertarget")).querySelectorAll("button[name]")) {
      const mark = choice.querySelector("svg, .avatar, .dot");
      const words = choice.querySelector("span:not([class])");
      found.push({ name: `${verb}: ${text(words)}`, mark, deed: send(choice), choice });
    }
  }
  for (const choice of bar.querySelectorAll(":scope > button[name]")) {
    found.push({ name: choice.ariaLabel, mark: choice.querySelector("svg"), deed: send(choice) });
  }
  return found;
}

function narrow(typed) {
  field.value = typed;
  field.focus();
  ask();
}

// A heading and lines under it that the page itself does.
function section(id, label, all) {
  const head = document.createElement("p");
  head.className = "head";
  head.id = id;
  head.setAttribute("role", "presentation");
  head.dataset.own = "";
  head.textContent = label;
  const made = all.map(({ name, mark, keys = "", deed }, n) => {
    const line = document.createElement("a");
    line.href = "#";
    line.id = `${id}-${n}`;
    line.tabIndex = -1;
    line.setAttribute("role", "option");
    line.setAttribute("aria-selected", "false");
    line.setAttribute("aria-describedby", head.id);
    if (mark) line.append(mark.cloneNode(true));
    line.append(Object.assign(document.createElement("span"), { className: "nowrap", textContent: name }));
    if (keys) {
      const end = document.createElement("span");
      end.className = "end";
      for (const key of keys.split(" ")) {
        const cap = document.createElement("kbd");
        cap.textContent = key.toUpperCase();
        end.append(cap);
      }
      line.append(end);
    }
    line.addEventListener("click", (event) => {
      event.preventDefault();
      deed();
    });
    return line;
  });
  return [head, ...made];
}

function press(button) {
  dialog.close();
  button.focus();
  button.click();
}

function addOffers() {
  if (list.querySelector("[data-own]")) return;
  const typed = field.value.trimStart();
  const bare = fold(typed.replace(/^>/, "").trim());
  if (/^[@#]/.test(typed)) return;
  const byWords = typed && !typed.startsWith(">");
  const fit = [...offers()].filter(([name]) => fold(name).includes(bare)).slice(0, kept);
  if (fit.length) {
    const own = section("palette-own", "On this page", fit.map(([name, button]) => ({ name, keys: button.dataset.key, deed: () => press(button) })));
    // What was asked for by words comes first; with none, what is at hand.
    if (byWords) list.append(...own);
    else list.prepend(...own);
  }
  // What is ticked is what is meant: it comes before everything.
  const bar = document.querySelector("#bulk:not([hidden])");
  if (!bar) return;
  const words = bare.split(/\s+/).filter(Boolean);
  const meant = deeds(bar).filter(({ name, fits = name, choice }) => (words.length || !choice) && words.every((word) => fold(fits).includes(word)));
  const some = byWords ? meant.slice(0, kept) : meant;
  const { one, many } = bar.dataset;
  const count = Number(bar.dataset.count);
  if (some.length) list.prepend(...section("palette-many", `${numberText(count)} ${count === 1 ? one : many}`, some));
}

// What HQ says is chosen at first, or the first line; with something ticked always that.
function start() {
  const first = lines()[0];
  if (!chosen() || first?.id.startsWith("palette-many")) choose(first);
}

// What stood in the field when the lines that are shown were asked for; nothing while others are under way. Enter
// that comes meanwhile waits for them: nobody means a line that is about to go.
let shown;
let entered;

// Asked at each key: the one before is called off (`hx-sync` of the list), so that one at most is under way.
function ask() {
  const query = new URLSearchParams({ q: field.value });
  if (!field.value.trim()) query.set("seen", seen().slice(1).join(","));
  shown = entered = undefined;
  htmx.ajax("GET", `${list.dataset.url}?${query}`, { source: list, target: list, swap: "innerHTML", typed: field.value });
}

/** HQ is away: what the open page offers is there all the same. */
function unanswered() {
  const line = document.createElement("p");
  line.className = "head";
  line.setAttribute("role", "presentation");
  line.textContent = line.dataset.said = "HQ isn’t responding. Actions on this page still work.";
  list.replaceChildren(line);
}
document.addEventListener("hq:back", () => dialog?.open && ask());

function enter(apart) {
  const line = chosen();
  if (!line) field.form.requestSubmit();
  else if (apart && line.getAttribute("href") !== "#") window.open(line.href, "_blank", "noopener");
  else line.click();
}

if (list) {
  new MutationObserver(() => {
    addOffers();
    const none = list.querySelector("[data-said]");
    if (none && !none.hidden && lines().length && none.textContent.startsWith("No")) {
      none.hidden = true;
      none.dataset.said = `${lines().length} ${lines().length === 1 ? "result" : "results"}`;
    }
    said.textContent = none?.dataset.said ?? "";
    start();
  }).observe(list, { childList: true });
  // Lines have the ids of those before them, and settling gives them back what the server said of them.
  list.addEventListener("htmx:after:settle", start);
  list.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
    if (ctx.typed === field.value && /^error: (?!Abort)/.test(ctx.status)) unanswered();
    if (ctx.status !== "swapped" || ctx.typed !== field.value) return;
    shown = ctx.typed;
    if (entered && dialog.open) enter(entered.apart);
    entered = undefined;
  });
}

export function open(typed = "") {
  if (!dialog || dialog.open) return;
  document.querySelector(".side:popover-open")?.hidePopover();
  field.value = typed;
  // What it showed before is of another moment; what this page offers is there at once.
  list.replaceChildren();
  dialog.showModal();
  ask();
}

field?.addEventListener("input", ask);

field?.addEventListener("keydown", (event) => {
  const all = lines();
  const at = all.indexOf(chosen());
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 }[event.key];
  if (step && all.length) {
    const next = at + step;
    const round = Math.abs(step) === 1 ? (next + all.length) % all.length : Math.min(Math.max(next, 0), all.length - 1);
    choose(all[round]);
  } else if (event.key === "Enter" && !event.isComposing) {
    const apart = event.ctrlKey || event.metaKey;
    if (shown === field.value) enter(apart);
    else entered = { apart };
  } else return;
  event.preventDefault();
});

list?.addEventListener("pointermove", ({ target }) => {
  const line = target.closest?.('[role="option"]');
  if (line && line !== chosen()) choose(line);
});

list?.addEventListener("click", (event) => {
  const deed = event.target.closest?.("[data-post]");
  if (deed) {
    event.preventDefault();
    dialog.close();
    const form = Object.assign(document.createElement("form"), { method: "post", action: deed.dataset.post, hidden: true });
    // What needs no other page is done where one is.
    form.setAttribute("hx-post", deed.dataset.post);
    form.setAttribute("hx-swap", "none");
    form.addEventListener("htmx:finally:request", () => form.remove());
    document.body.append(form);
    htmx.process(form);
    return form.requestSubmit();
  }
  const line = event.target.closest?.("[data-press]");
  if (!line) {
    // The same page with another anchor does not load anew.
    if (event.target.closest?.("a[href]:not([href='#'])")) dialog.close();
    return;
  }
  event.preventDefault();
  dialog.close();
  document.querySelector(line.dataset.press)?.click();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-palette]");
  if (!opener || event.ctrlKey || event.metaKey || event.shiftKey || !dialog) return;
  event.preventDefault();
  open();
});

document.addEventListener("keydown", (event) => {
  if (event.key?.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || !dialog) return;
  event.preventDefault();
  if (dialog.open) dialog.close();
  else if (!document.querySelector("dialog:modal")) open();
});

// The help says which keys this very page has.
const here = document.querySelector("[data-keys-here]");
document.getElementById("help")?.addEventListener("toggle", (event) => {
  if (event.newState !== "open" || !here) return;
  const rows = [...offers()].filter(([, one]) => one.dataset.key).map(([name, one]) => {
    const row = document.createElement("div");
    const keys = document.createElement("dt");
    const about = document.createElement("dd");
    for (const key of one.dataset.key.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = key.toUpperCase();
      keys.append(cap);
    }
    about.textContent = name;
    row.append(keys, about);
    return row;
  });
  here.querySelector("dl").replaceChildren(...rows);
  here.hidden = !rows.length;
});
