// A comment that is being written on a task: kept in this browser until it is sent, and there again after
// a reload or a new sign-in.
import { drop, forget, keep, left } from "./drafts.js";

const FIELD = "comment";
const text = () => document.querySelector("[data-draft]")?.dataset.draft;

document.addEventListener("input", ({ target }) => {
  const of = target.id === "say-body" && text();
  if (!of) return;
  if (target.value.trim()) keep(of, FIELD, { text: target.value });
  else drop(of, FIELD);
});
document.addEventListener("htmx:after:swap", ({ detail }) => {
  if (detail.ctx?.sourceElement?.id === "say" && detail.ctx.response.status < 400 && text()) drop(text(), FIELD);
});
addEventListener("pagehide", () => {
  const box = document.getElementById("say-body");
  if (box?.value.trim() && text()) keep(text(), FIELD, { text: box.value, left: true });
});

const box = document.getElementById("say-body");
const draft = box && !box.value && text() && left(text()).find(({ field }) => field === FIELD);
if (draft) {
  forget(draft.name);
  box.value = draft.text;
  keep(text(), FIELD, { text: draft.text });
}
