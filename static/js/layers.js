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
  if (menu && event.target.closest("a, button")) menu.hidePopover();
});

document.addEventListener("hq:close", (event) => event.target.closest?.("dialog")?.close());

// Arrow keys in a menu.
document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(".menu:popover-open") ?? document.querySelector(".menu:popover-open");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!menu || !step) return;
  const lines = [...menu.querySelectorAll("a, button, input:not([type=hidden])")].filter((line) => !line.disabled);
  const at = lines.indexOf(document.activeElement);
  lines.at((at + step + (at < 0 && step < 0 ? 1 : 0)) % lines.length)?.focus();
  event.preventDefault();
});

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
    document.getElementById("confirm-text").textContent = words.confirmText ?? "";
    yes.textContent = words.confirmVerb ?? "Delete";
    const typed = document.getElementById("confirm-typed");
    typed.hidden = !asked.name;
    typed.querySelector("span").textContent = `Type ${asked.name} to go on`;
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
});
