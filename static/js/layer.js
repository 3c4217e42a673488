// The form for a new task lies over the page that leads to it; without script, or opened apart, it is a page of its
// own. What is typed outlives the layer (unsent.js), and the cursor goes to what was made where the page shows it.
import htmx from "htmx.org";
import { stand } from "./keys.js";

const form = `${document.body.dataset.home}tasks/new`;
const patience = 3000;
const layer = document.getElementById("layer");
let made;

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[href]:not([target])");
  if (!layer || link?.pathname !== form || link.origin !== location.origin || location.pathname === form) return;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  await htmx.ajax("GET", link.href, { source: layer, target: layer, swap: "innerHTML", asked: link.search });
  if (!layer.firstElementChild) location.assign(link.href);
});

// One that is closed would be opened again by the next swap.
document.addEventListener("close", ({ target }) => target.parentElement === layer && target.remove(), true);

document.addEventListener("hq:close", ({ detail }) => {
  made = detail.made;
  setTimeout(() => (made = undefined), patience);
});
document.addEventListener("htmx:after:swap", () => {
  const row = made && (document.getElementById(`task-${made}`) ?? document.getElementById(`card-${made}`));
  if (!row) return;
  made = undefined;
  stand(row);
});
