// Title and description of a task, written in place: stored while one writes, kept in this browser until
// they are, made one with what others write meanwhile. What two have written in the same line is shown to
// whoever comes second. Without this script the form is sent by its button.
import htmx from "htmx.org";
import { drop, forget, keep, left } from "./drafts.js";
import { toast } from "./toast.js";

const PAUSE = 800;
const KEPT = "Your text is saved in this browser.";
const home = document.body.dataset.home ?? "";
const place = home.split("/")[2];
// As the server keeps each field; the text of a page stays as it is.
const tidy = {
  title: (text) => text.trim().split(/\s+/).join(" "),
  description: (text) => text.trimEnd(),
  text: (text) => text,
};

// The fields of the form that is open.
let form;
let fields = [];
// The form of something that somebody has deleted.
let deleted;
// When the server is asked what others have changed.
let heard;
// The form that ends once all of it has arrived.
let finishing;

const api = (path, init) =>
  fetch(form.dataset.api + path, { ...init, headers: { "x-hq-workspace": place, accept: "application/json", ...init?.headers } });
const isDirty = (one) => one.box.value !== one.base.value;

/** Says how the writing stands: Saving…, Saved, or why not. */
function say(words, state = "saved", link) {
  const box = form?.querySelector("[data-says]");
  if (!box || box.textContent === words) return;
  box.setAttribute("role", state === "failed" ? "alert" : "none");
  box.dataset.state = state;
  box.textContent = words;
  if (!link) return;
  const a = document.createElement("a");
  Object.assign(a, { href: link, className: "link", textContent: "Sign in" });
  box.append(" ", a);
}

/** What is wrong with a field, beside it. */
function mark(one, words = "") {
  const says = one.clash.parentElement.querySelector(".error");
  says.textContent = words;
  says.hidden = !words;
  if (words) one.box.setAttribute("aria-invalid", "true");
  else one.box.removeAttribute("aria-invalid");
}

/** Keeps what is not stored, or forgets what is. */
function hold(one, gone) {
  if (!isDirty(one) && (one.sent ?? one.base.value) === one.base.value) return drop(one.text, one.name);
  one.unkept = !keep(one.text, one.name, { base: one.base.value, sent: one.sent, text: one.box.value, left: gone });
}

/** Another text in a field; the cursor stays between the same words. */
function adopt(box, text) {
  const old = box.value;
  const most = Math.min(old.length, text.length);
  let head = 0;
  while (head < most && old[head] === text[head]) head += 1;
  let tail = 0;
  while (tail < most - head && old.at(-1 - tail) === text.at(-1 - tail)) tail += 1;
  box.setRangeText(text.slice(head, text.length - tail), head, old.length - tail, "preserve");
}

function later(one, wait) {
  clearTimeout(one.timer);
  one.timer = setTimeout(() => store(one), wait);
}

/** Stores a field. What may have been stored already, unknown to us, is sent again as it was. */
function store(one) {
  clearTimeout(one.timer);
  one.busy ??= send(one).finally(() => {
    one.busy = undefined;
    hold(one);
    // What was typed meanwhile follows.
    if (one.sent === undefined && one.box.value !== one.last) one.next = PAUSE;
    if (one.next !== undefined) later(one, one.next);
    one.next = undefined;
    finish();
  });
  return one.busy;
}

function finish() {
  const isOut = fields.every((other) => !other.busy && other.sent === undefined);
  if (finishing && form === finishing && form.isConnected && isOut) form.requestSubmit();
}

async function send(one, keepalive = false) {
  const text = (one.last = one.sent ??= one.box.value);
  hold(one, keepalive);
  if (form === deleted) return void (one.sent = undefined);
  if (isDirty(one)) say("Saving…");
  const base = { [one.name]: one.base.value, again: Boolean(one.again) };
  let answer;
  let body;
  try {
    const headers = { "content-type": "application/json" };
    answer = await api("", { method: "PATCH", headers, keepalive, body: JSON.stringify({ [one.name]: text, base }) });
    body = await answer.json();
  } catch {
    return again(one, `Not saved: no connection. ${KEPT}`);
  }
  if (answer.status >= 500 || answer.status === 429) return again(one, `Not saved: HQ didn’t respond. ${KEPT}`);
  one.sent = undefined;
  one.again = one.tries = 0;
  if (answer.ok) return stored(one, text, body[one.name]);
  if (body.code === "text_clash") return clash(one, body.clash[0]);
  if (answer.status === 401) {
    one.again = 1;
    const next = new URLSearchParams({ next: location.pathname });
    return say(`You’re signed out. ${KEPT}`, "failed", `/login?${next}`);
  }
  if (answer.status === 404) return lost();
  const wrong = body.errors?.find(({ field }) => field === one.name);
  if (wrong) mark(one, wrong.message);
  say(`Not saved${wrong ? `. ${wrong.message}` : `: ${body.detail.replace(/\.?$/, ".")}`} ${KEPT}`, "failed");
}

/** What was written about is not there any more: nothing is sent again, and what was typed stays where it is. */
function lost() {
  deleted = form;
  say(`Someone deleted this ${form.dataset.writes ? "page" : "task"}. Your text is still here.`, "failed");
}

function again(one, words) {
  one.again = 1;
  one.tries = (one.tries ?? 0) + 1;
  one.next = Math.min(1000 * 2 ** one.tries, 30_000);
  say(words, "failed");
}

function stored(one, text, now) {
  one.known = now;
  mark(one);
  one.clash.replaceChildren();
  const mine = one.box.value === text;
  const same = tidy[one.name](text) === now;
  // What others wrote comes into the field at once, or with the next answer when more was typed.
  if (!same && mine) adopt(one.box, now);
  one.base.value = !same && mine ? one.box.value : text;
  one.last = one.base.value;
  if (!fields.some(isDirty)) say("Saved");
}

/** Both texts, and what can be done: nothing is stored until somebody chooses. */
function clash(one, { now, places, ...ways }) {
  const panel = one.box.form.querySelector("template[data-clash]").content.firstElementChild.cloneNode(true);
  const texts = panel.querySelectorAll(".theirs p");
  for (const [n, side] of ["theirs", "mine"].entries()) texts[n].textContent = places.map((at) => at[side]).join("\n…\n");
  panel.querySelector("[data-take=both]").hidden = one.name === "title";
  panel.addEventListener("click", ({ target }) => {
    const way = target.closest("[data-take]")?.dataset.take;
    // What was typed since belongs to mine, too.
    if (way && one.box.value !== one.last) return void store(one);
    if (!way) return;
    one.box.value = ways[way];
    one.base.value = one.known = now;
    one.clash.replaceChildren();
    one.box.focus();
    say("Saving…");
    store(one);
  });
  one.clash.replaceChildren(panel);
  say(`Not saved. ${KEPT}`, "failed");
}

/** Somebody has changed the task: what concerns these fields is fetched into them. */
async function look() {
  if (!form?.isConnected || form === deleted) return;
  try {
    const answer = await api("");
    if (answer.status === 404) return lost();
    const now = await answer.json();
    for (const one of fields) if (now[one.name] !== undefined && now[one.name] !== one.known && !one.busy) store(one);
  } catch {
    // It is seen when the next words are stored.
  }
}
const hear = () => {
  clearTimeout(heard);
  heard = setTimeout(look, 250);
};

/* What was typed before and not stored stands in its field again. */
function restore(one) {
  const draft = left(one.text).find(({ field }) => field === one.name);
  if (!draft) return false;
  forget(draft.name);
  if (tidy[one.name](draft.text) === tidy[one.name](one.base.value)) return false;
  one.box.value = draft.text;
  one.base.value = draft.base;
  Object.assign(one, { sent: draft.sent, again: 1 });
  hold(one);
  later(one, 100);
  return true;
}

function open() {
  const now = document.querySelector("form[data-writes]");
  if (!now || now === form) return;
  form = now;
  document.body.removeEventListener(form.dataset.heard, hear);
  document.body.addEventListener(form.dataset.heard, hear);
  fields = (form.dataset.writes || "title description").split(" ").map((name) => {
    const one = { name, text: form.dataset.draft, box: form.elements[name], base: form.elements[`${name}_base`] };
    one.clash = one.box.closest(".field").appendChild(document.createElement("div"));
    one.known = one.base.value;
    return one;
  });
  const back = fields.filter(restore).length;
  if (back) toast({ tone: "info", text: "Your earlier text is back." });
  const box = fields.find((one) => one.box.hasAttribute("autofocus")).box;
  box.focus({ preventScroll: Boolean(near) });
  if (near && box.name === "description") {
    const at = Math.max(box.value.indexOf(near.data), 0) + near.offset;
    box.setSelectionRange(at, at);
  }
  near = undefined;
}

/* Where the writing begins: a press on the words, or what lies in this browser. */
let near;
const begin = (which) => {
  const target = document.querySelector("#task-text[data-write]");
  if (!target) return;
  const url = `${target.getAttribute("hx-get")}&edit=${which}`;
  htmx.ajax("GET", url, { source: target, target, swap: "outerHTML" });
};
document.addEventListener("click", (event) => {
  const from = event.target.closest?.("[data-write]");
  if (!from || event.target.closest("a, button, input, summary, label, pre, img") || !getSelection().isCollapsed) return;
  const at = document.caretPositionFromPoint?.(event.clientX, event.clientY);
  if (from.id === "task-text" && at?.offsetNode.data) near = { data: at.offsetNode.data.trimEnd(), offset: at.offset };
  begin(from.dataset.write);
});
document.addEventListener("htmx:after:swap", open);

document.addEventListener("input", ({ target }) => {
  const one = fields.find(({ box }) => box === target);
  if (!one) return;
  finishing = undefined;
  hold(one);
  later(one, PAUSE);
  if (form.querySelector("[data-says]").textContent === "Saved") say("");
  if (document.getElementById("task-preview")?.hidden === false) show();
});

let drawing;
const show = () => {
  clearTimeout(drawing);
  drawing = setTimeout(() => document.getElementById("task-preview")?.dispatchEvent(new CustomEvent("hq:preview")), 300);
};
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button[data-preview]");
  if (!button) return;
  const box = document.getElementById("task-preview");
  box.hidden = !box.hidden;
  button.setAttribute("aria-pressed", String(!box.hidden));
  if (!box.hidden) box.dispatchEvent(new CustomEvent("hq:preview"));
});

/* Done: what is on its way arrives first, also when the connection has to come back for it; who must choose chooses. */
document.addEventListener(
  "submit",
  (event) => {
    if (event.target !== form) return;
    const choice = form.querySelector(".clash button");
    const under = fields.filter((one) => one.busy || one.sent !== undefined);
    finishing = choice || !under.length ? undefined : form;
    if (!choice && !finishing) return fields.forEach((one) => clearTimeout(one.timer));
    event.preventDefault();
    event.stopImmediatePropagation();
    if (choice) return choice.focus();
    under.forEach(store);
  },
  true,
);
document.addEventListener("htmx:after:swap", ({ detail }) => {
  // The page shows what is stored: nothing of it has to be kept.
  const by = detail.ctx?.sourceElement?.closest?.("form");
  if (!form || form.isConnected || by !== form || detail.ctx.response.status >= 400) return;
  for (const one of fields) drop(one.text, one.name);
  form = undefined;
  fields = [];
});

/* Enter in the title leads on; in a list it begins the next item. Escape ends the writing. */
function nextItem(box) {
  const at = box.selectionStart;
  const line = /[^\n]*$/.exec(box.value.slice(0, at))[0];
  const [begin, indent, sign] = /^(\s*)([-*+] \[[ xX]\] |[-*+] |> |\d{1,6}\. )/.exec(line) ?? [];
  if (!begin || at !== box.selectionEnd) return false;
  if (line === begin) box.setRangeText("", at - line.length, at, "end");
  else {
    const next = sign.replace(/\[.\]/, "[ ]").replace(/^\d+/, (n) => Number(n) + 1);
    box.setRangeText(`\n${indent}${next}`, at, at, "end");
  }
  box.dispatchEvent(new InputEvent("input", { bubbles: true }));
  return true;
}
document.addEventListener(
  "keydown",
  (event) => {
    const one = fields.find(({ box }) => box === event.target);
    if (!one || event.isComposing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") form.requestSubmit();
    else if (event.key !== "Enter" || event.shiftKey) return;
    else if (one.name === "title") fields[1].box.focus();
    else if (!nextItem(one.box)) return;
    event.preventDefault();
  },
  true,
);

/* Files: sent at once, and named in the text where the cursor is then. */
async function put(files) {
  const [, { box }] = fields;
  for (const file of files) {
    say(`Sending ${file.name}…`);
    try {
      const headers = { "content-type": "application/octet-stream" };
      const answer = await api(`/files?${new URLSearchParams({ name: file.name || "picture.png" })}`, { method: "POST", headers, body: file });
      const sent = await answer.json();
      if (!answer.ok) throw new Error(sent.detail);
      const name = sent.name.replace(/[\\[\]]/g, "\\$&");
      const url = `${home}files/${sent.id}`;
      const words = sent.media.startsWith("image/") ? `![${name}](${url}/content)` : `[${name}](${url})`;
      if (!box.isConnected) return toast({ text: `${file.name} is among the files of this task.` });
      const gap = /\S$/.test(box.value.slice(0, box.selectionStart)) ? " " : "";
      box.setRangeText(`${gap}${words} `, box.selectionStart, box.selectionEnd, "end");
      box.dispatchEvent(new InputEvent("input", { bubbles: true }));
    } catch (error) {
      const why = error instanceof TypeError ? "no connection." : error.message;
      toast({ tone: "danger", text: `${file.name} was not sent: ${why}` });
      say("");
    }
  }
}
const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files") && event.target.closest?.("form[data-writes='']");
document.addEventListener("change", ({ target }) => {
  if (!target.matches?.("[data-into]")) return;
  put([...target.files]);
  target.value = "";
});
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length || event.target !== fields[1]?.box || "rich" in event.target.dataset) return;
  event.preventDefault();
  put(files);
});
document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  put([...event.dataTransfer.files]);
});

/* Nothing is left behind: the last words go out with the page, or wait here for the next one. */
const flush = () => fields.filter((one) => isDirty(one) && !one.clash.firstChild).forEach((one) => form.isConnected && store(one));
addEventListener("online", flush);
addEventListener("focus", flush);
document.addEventListener("visibilitychange", () => document.hidden && flush());
addEventListener("pagehide", () => {
  for (const one of fields.filter(isDirty)) {
    clearTimeout(one.timer);
    if (one.busy) hold(one, true);
    else if (form.isConnected) send(one, true);
    one.again = 1;
  }
});
addEventListener("beforeunload", (event) => fields.some((one) => isDirty(one) && one.unkept) && event.preventDefault());

open();
addEventListener("load", () => {
  const here = document.querySelector("#task-text[data-draft]");
  if (here && left(here.dataset.draft).some(({ field }) => field in tidy)) begin("description");
});
