// Notifications: what is opened counts as read; a line goes at once and comes back when that failed;
// the number of unread ones stands in the title of the tab.
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
  link.closest("[data-unread]")?.removeAttribute("data-unread");
  delete link.dataset.seen;
}
document.addEventListener("click", seen);
document.addEventListener("auxclick", (event) => event.button === 1 && seen(event));

// What a form does to its line, and how it is taken back.
const deeds = {
  dismiss: (row) => ((row.hidden = true), () => (row.hidden = false)),
  read: (row) => (row.removeAttribute("data-unread"), () => row.setAttribute("data-unread", "")),
  unread: (row) => (row.setAttribute("data-unread", ""), () => row.removeAttribute("data-unread")),
};
const back = new WeakMap();
const formOf = (event) => event.detail?.ctx?.sourceElement?.closest?.("form[data-sure]");

document.addEventListener("htmx:before:request", (event) => {
  const form = formOf(event);
  if (!form) return;
  const deed = deeds[form.dataset.sure] ?? deeds.read;
  const rows = form.dataset.sure === "read-all" ? document.querySelectorAll("#notices li[data-unread]") : [form.closest(".news li")];
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
