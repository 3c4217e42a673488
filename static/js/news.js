// Notifications: what is opened counts as read, by its line or by its page; a line goes at once and comes back when that
// failed; the number of unread ones stands in the title of the tab.
import { pass } from "./keys.js";

const name = document.title;

function count() {
  const unread = Number(document.getElementById("bell")?.dataset.unread ?? 0);
  document.title = unread ? `(${unread > 99 ? "99+" : unread}) ${name}` : name;
}

function seen({ target }) {
  const link = target.closest?.("a[data-seen]");
  if (!link) return;
  // Sent to its end although the page goes; the next page shows what came of it.
  fetch(link.dataset.seen, { method: "POST", keepalive: true, headers: { "HX-Request": "true" } }).catch(() => {});
  const row = link.closest("[data-unread]");
  if (row?.matches(".news li")) mark(row, false);
  else row?.removeAttribute("data-unread");
  delete link.dataset.seen;
}
// The page of a task, run or record handles what was told of it, once it is looked at. A saved copy (saved.js) may be
// older than what was told.
function opened() {
  if (document.visibilityState !== "visible" || document.querySelector("head > script[data-at]")) return;
  document.removeEventListener("visibilitychange", opened);
  const [, home, path] = location.pathname.match(/^(\/w\/[^/]+)\/(.+)/) ?? [];
  if (!path || !Number(document.getElementById("bell")?.dataset.unread)) return;
  // Without an answer they stay unread. The stream renews the bell.
  fetch(`${home}/notifications/opened`, { method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams({ path }) }).catch(() => {});
}
document.addEventListener("visibilitychange", opened);
opened();

document.addEventListener("click", seen);
document.addEventListener("auxclick", (event) => event.button === 1 && seen(event));

// A line as it is when it is read or not. Its button turns with it: who presses again means the other.
function mark(row, unread) {
  const [read, again] = ["read", "unread"].map((deed) => row.querySelector(`[data-sure="${deed}"]`));
  const had = row.contains(document.activeElement) && document.activeElement.closest("[data-sure]");
  row.toggleAttribute("data-unread", unread);
  read.hidden = !unread;
  again.hidden = unread;
  if (had?.hidden) (unread ? read : again).querySelector("button").focus({ preventScroll: true });
}

// What a form does to its line, and how it is taken back.
const deeds = {
  dismiss: (row) => (pass(row), (row.hidden = true), () => (row.hidden = false)),
  read: (row) => (mark(row, false), () => mark(row, true)),
  unread: (row) => (mark(row, true), () => mark(row, false)),
};
const back = new WeakMap();
const formOf = (event) => event.detail?.ctx?.sourceElement?.closest?.("form[data-sure]");

document.addEventListener("htmx:before:request", (event) => {
  const form = formOf(event);
  if (!form) return;
  const deed = deeds[form.dataset.sure] ?? deeds.read;
  const rows = form.dataset.sure === "read-all" ? document.querySelectorAll("#notices li[data-unread]") : [form.closest(".news li, .needs > li")];
  const undo = [...rows].filter(Boolean).map((row) => deed(row));
  back.set(form, () => undo.forEach((step) => step()));
});

function undo(event) {
  const form = formOf(event);
  back.get(form)?.();
  back.delete(form);
}
document.addEventListener("htmx:error", undo);
document.addEventListener("htmx:response:error", undo);

document.addEventListener("htmx:after:swap", count);
count();
