// One way to send a change that the page shows already. HQ's answer is carried out as htmx would; a refusal
// takes the change back and says HQ's words; without a connection it is kept, and sent when HQ is back.
import { toast } from "./toast.js";

const headers = { "hx-request": "true", "hx-request-type": "partial", accept: "text/html, application/problem+json" };
const kept = [];
// Forms that HQ knows again by their key: sent once more, they are done once.
const forms = new Map();
let told = new WeakSet();
let going = 0;
let flushing = false;
let answered = 0;
let wait = 2000;
let timer;

/** Whether the page shows what HQ has not answered yet: nothing is drawn over it meanwhile. */
export const isAhead = () => going + kept.length > 0;
/** When HQ last answered a change: what was asked before may show how it was before. */
export const lastAnswer = () => answered;

const raise = (name, detail) => document.body.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));

function eventsOf(answer) {
  try {
    return JSON.parse(answer.headers.get("hx-trigger") ?? "{}");
  } catch {
    return {};
  }
}

async function post({ url, body, undo, refused }) {
  going += 1;
  let answer;
  try {
    answer = await fetch(url, { method: "POST", headers, body });
  } finally {
    going -= 1;
    answered = performance.now();
  }
  const asked = eventsOf(answer);
  const place = answer.headers.get("hx-redirect");
  if (place) {
    undo();
    location.assign(place);
  } else if (answer.ok) {
    for (const [name, detail] of Object.entries(asked)) raise(name, detail);
  } else {
    undo();
    const why = asked["hq:toast"]?.text ?? "HQ rejected the change.";
    if (!refused?.(answer.status, why)) toast({ tone: "danger", text: why });
  }
  raise("hq:settled");
}

/** How much waits stands in the banner. */
function count() {
  const place = document.getElementById("offline-waits");
  if (place) place.textContent = kept.length ? `${kept.length} ${kept.length === 1 ? "change" : "changes"} will be sent when you reconnect.` : "";
}

/** Keeps a change that did not arrive, and sends it when HQ is back. */
export function keep(change) {
  kept.push(change);
  count();
  if (kept.length === 1) toast({ tone: "warn", text: "You’re offline. Your change will be sent when you reconnect." });
  later();
}

/** Sends a change: `url`, `body` (URLSearchParams), `undo`, and `refused(status, words)`, which may deal with it. */
export async function send(change) {
  if (kept.length) return keep(change);
  try {
    await post(change);
  } catch {
    keep(change);
  }
}

/** Sends a form again when HQ is back; whether it is the first time that it has to wait. */
export function again(form, button) {
  const first = !told.has(form);
  told.add(form);
  forms.set(form, button);
  later();
  return first;
}

/** A form has arrived after all. */
export const arrived = (form) => forms.delete(form);

function later() {
  clearTimeout(timer);
  timer = setTimeout(flush, wait);
  wait = Math.min(wait * 2, 30000);
}

/** Sends what waits, in the order in which it was done. */
async function flush() {
  clearTimeout(timer);
  if (flushing) return;
  flushing = true;
  try {
    while (kept.length) {
      await post(kept[0]);
      kept.shift();
      count();
    }
    wait = 2000;
    for (const [form, button] of [...forms]) {
      forms.delete(form);
      const words = form.elements.body ?? form.elements.title;
      if (form.isConnected && words?.value.trim() !== "") form.requestSubmit(button?.isConnected ? button : undefined);
    }
  } catch {
    later();
  }
  flushing = false;
  raise("hq:settled");
}

document.addEventListener("hq:back", () => {
  told = new WeakSet();
  flush();
});
addEventListener("online", flush);
addEventListener("beforeunload", (event) => kept.length && event.preventDefault());
