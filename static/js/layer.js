// The form for a new task lies over the page that leads to it; without script, or opened apart, it is a page of its
// own. What is typed outlives the layer (unsent.js), and the cursor goes to what was made where the page shows it.
import htmx from "htmx.org";
import { stand } from "./keys.js";

const form = `${document.body.dataset.home}tasks/new`;
const patience = 3000;
const layer = document.getElementById("layer");
let made;

async function open(url) {
  await htmx.ajax("GET", url.href, { source: layer, target: layer, swap: "innerHTML", asked: url.search });
  if (!layer.firstElementChild) location.assign(url.href);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]:not([target])");
  if (!layer || link?.pathname !== form || link.origin !== location.origin || location.pathname === form) return;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(link);
});

// A form that creates a task with one line leads to all fields with what is typed.
document.addEventListener(
  "submit",
  (event) => {
    const { target, submitter } = event;
    if (!layer || !submitter?.matches("[data-details]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const url = new URL(submitter.formAction);
    for (const [name, value] of new FormData(target)) if (name !== "once") url.searchParams.set(name, value);
    open(url);
  },
  true,
);

// One that is closed would be opened again by the next swap.
document.addEventListener("close", ({ target }) => target.parentElement === layer && target.remove(), true);

document.addEventListener("hq:close", ({ detail }) => {
  made = detail.made;
  // The first task has been created.
  if (made) document.querySelector("form.starter")?.remove();
  setTimeout(() => (made = undefined), patience);
});
document.addEventListener("htmx:after:swap", () => {
  const row = made && (document.getElementById(`task-${made}`) ?? document.getElementById(`card-${made}`));
  if (!row) return;
  made = undefined;
  stand(row);
});
