// What is typed into a form that is sent as a whole (a new task, a review, a template): kept in this browser until
// it has arrived. It is there again when the sign-in had ended meanwhile, the tab was closed or HQ was away. Such
// a form has data-keeps, with a name that begins with whose it is where its address is not enough of one.
import { drop, forget, keep, left, settle } from "./drafts.js";
import { toast } from "./toast.js";

const FIELD = "form";
const UNKEPT = "[type=checkbox], [type=radio], [type=password], [type=file]";
const formOf = (one) => one?.closest?.("form[data-keeps]");
const all = () => document.querySelectorAll("form[data-keeps]");
const nameOf = (form) => form.dataset.keeps || `${document.body.dataset.me} ${form.getAttribute("action")}`;
const isKept = (form) => ([name, value]) => typeof value === "string" && form.elements[name]?.type !== "password";
const pairs = (form) => [...new FormData(form)].filter(isKept(form));
// What the address of a form asks for; that of one over a page is not the page's.
const askedBy = (form) => form.closest("dialog")?.dataset.asked ?? location.search;
const content = (form) => ({ pairs: pairs(form), asked: askedBy(form) });
const words = (form) => JSON.stringify(pairs(form));

// How a form was when it came.
const begun = new WeakMap();
const typed = new WeakSet();
const begin = (form) => begun.has(form) || begun.set(form, words(form));

/** Keeps what stands in a form; one that is as it came has nothing to be kept. */
function hold(form, more) {
  if (words(form) === begun.get(form)) {
    typed.delete(form);
    return drop(nameOf(form), FIELD);
  }
  typed.add(form);
  return keep(nameOf(form), FIELD, { ...content(form), ...more });
}

document.addEventListener("focusin", ({ target }) => formOf(target) && begin(formOf(target)));
document.addEventListener("input", ({ target }) => formOf(target) && hold(formOf(target)));
document.addEventListener("submit", (event) => {
  const form = formOf(event.target);
  // A plain form that another script has stopped stays here.
  if (!form || (event.defaultPrevented && !form.hasAttribute("hx-post"))) return;
  if (!typed.has(form)) return;
  keep(nameOf(form), FIELD, { ...content(form), underway: true });
  typed.delete(form);
});
// Refused, or not arrived: it is as if it had not been sent.
const stays = ({ detail }) => {
  const form = formOf(detail.ctx?.sourceElement);
  if (form?.isConnected && !(detail.ctx.response?.status < 400)) hold(form);
};
document.addEventListener("htmx:after:swap", stays);
document.addEventListener("htmx:error", stays);
// Arrived: its page follows, and whoever is quick leaves that one before a script of it has run.
document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  const form = formOf(ctx.sourceElement);
  if (!form || ctx.response.status >= 400) return;
  // At a door nothing has been taken yet. What stays for another one has arrived as well.
  if (ctx.hx.redirect ? ctx.hx.redirect.startsWith("/w/") : form.elements.another?.checked) drop(nameOf(form), FIELD);
});
document.addEventListener("hq:close", ({ target }) => formOf(target) && drop(nameOf(formOf(target)), FIELD));
document.addEventListener("click", ({ target }) => {
  const form = target.closest?.("a.btn, [command=close]") && formOf(target);
  if (!form) return;
  // "Cancel".
  typed.delete(form);
  drop(nameOf(form), FIELD);
});
addEventListener("pagehide", () => all().forEach((form) => typed.has(form) && hold(form, { left: true })));

/**
 * Fills a form as it was. What is hidden says which revision was read: without one it is HQ's to say, except for the
 * forms in which days and numbers were typed. What another
 * address asks for was chosen later than what was typed.
 */
function fill(form, { pairs: kept, asked: was }) {
  const asked = new URLSearchParams(was === askedBy(form) ? "" : askedBy(form));
  const whole = Boolean(form.elements.rev);
  const seen = new Map();
  for (const box of form.querySelectorAll("[type=checkbox], [type=radio]")) {
    box.checked = kept.some(([name, value]) => name === box.name && value === box.value);
  }
  for (const [name, value] of kept) {
    const n = seen.get(name) ?? 0;
    seen.set(name, n + 1);
    const field = form.querySelectorAll(`[name="${CSS.escape(name)}"]`)[n];
    if (!field || asked.has(name) || field.matches(UNKEPT) || (field.type === "hidden" && !whole && name !== "_forms")) continue;
    if (field.matches("select") && ![...field.options].some((option) => option.value === value)) continue;
    const fold = value && field.matches("input, textarea") && value !== field.defaultValue && field.closest("details");
    if (fold) fold.open = true;
    field.value = value;
    // There is always an empty line for one more remark.
    if (field.closest(".note-row")) field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function restore(form) {
  const draft = left(nameOf(form)).find(({ field }) => field === FIELD);
  // A copy begins with what it is a copy of.
  const copies = new URLSearchParams(askedBy(form)).has("copy");
  if (!draft || (copies && draft.asked !== askedBy(form))) return;
  forget(draft.name);
  if (JSON.stringify(draft.pairs) === words(form)) return;
  fill(form, draft);
  hold(form);
  toast({ tone: "info", text: "Your unsent text is back in the form." });
}

const opened = performance.getEntriesByType("navigation")[0];
const status = opened?.responseStatus ?? 200;
// A page that was gone back to, or whose address was typed, is no answer to a form: it may never have arrived.
const answers = opened?.type === "navigate" && document.referrer.startsWith(`${location.origin}/`);
// Who has to sign in, or is told that something failed, has sent nothing yet.
settle(answers && !document.body.classList.contains("gate") && status < 400);
all().forEach(begin);
// A form that came back has what was typed in it already.
if (status < 400) all().forEach(restore);
// A form over a page has the focus, and so has begun, before its swap is told.
const laid = new WeakSet();
document.addEventListener("htmx:after:swap", ({ detail }) => {
  for (const form of document.querySelectorAll("#layer form[data-keeps]")) {
    if (laid.has(form)) continue;
    laid.add(form);
    form.closest("dialog").dataset.asked = detail.ctx.asked ?? "";
    begin(form);
    restore(form);
  }
});
