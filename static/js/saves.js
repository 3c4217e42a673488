// A form with data-saves has no button: each field is saved when it changes. The form is sent as a plain one and its
// page is read from the answer, so that its handler is the same with and without script. The form takes over how it is
// there now, and so do the elements that it names in data-also. What is refused stays typed, with the reason beside it.
// A form that was changed elsewhere since it was drawn (HQ knows by its `rev`) is sent again as it is there now, with
// what was changed here: two tabs never undo each other.
// With hx-post, htmx sends the form.
import htmx from "htmx.org";
import { proveFirst } from "./prove.js";
import { asPage } from "./swap.js";
import { toast } from "./toast.js";

const SHOWN_MS = 2500;
const TAKEN = "Someone else changed this meanwhile.";
// The field that changed last, by form; what is being sent, and what has to be sent again.
const changed = new WeakMap();
const sending = new WeakMap();
const unsent = new Set();
// What is wrong with a field that was refused, and the hint that stood in its place.
const refused = new WeakMap();

const boxOf = (field) => field.closest(".field") ?? field.closest(".seg, label, td") ?? field.parentElement;
const isTick = (field) => /^(checkbox|radio)$/.test(field.type);
const refusedOf = (form) => [...form.elements].filter((field) => refused.has(field));

/** Says it to those who do not see it. */
function announce(words) {
  let box = document.getElementById("saves-says");
  if (!box) {
    box = Object.assign(document.createElement("p"), { id: "saves-says", className: "vh" });
    box.setAttribute("role", "status");
    document.getElementById("main").append(box);
  }
  box.textContent = "";
  setTimeout(() => (box.textContent = words), 50);
}

/** Shows beside a field how far it is: `busy`, `done`, or nothing. */
function show(field, state) {
  const { dataset } = boxOf(field);
  if (state) dataset.saved = state;
  else delete dataset.saved;
  if (state === "done") setTimeout(() => dataset.saved === "done" && delete dataset.saved, SHOWN_MS);
}

/** The line below a field: its hint, or what is wrong with it. */
function lineOf(field) {
  const id = field.getAttribute("aria-describedby") ?? `f-${field.name}-says`;
  const found = document.getElementById(id);
  if (found) return found;
  const line = Object.assign(document.createElement("p"), { id, className: "hint" });
  const box = boxOf(field);
  if (box.matches("label")) box.after(line);
  else box.append(line);
  field.setAttribute("aria-describedby", id);
  return line;
}

function refuse(field, words) {
  show(field);
  const line = lineOf(field);
  if (!refused.has(field)) refused.set(field, { hint: [...line.childNodes].map((node) => node.cloneNode(true)) });
  refused.get(field).words = words;
  const icon = document.getElementById("toast-blank").content.querySelector("svg").cloneNode(true);
  const use = icon.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#i-warn"));
  icon.dataset.size = "s";
  line.className = "error";
  line.replaceChildren(icon, words);
  field.setAttribute("aria-invalid", "true");
  boxOf(field).dataset.keep = "";
}

function accept(field) {
  if (!refused.has(field)) return;
  const line = lineOf(field);
  line.className = "hint";
  line.replaceChildren(...refused.get(field).hint);
  refused.delete(field);
  field.removeAttribute("aria-invalid");
  delete boxOf(field).dataset.keep;
}

/** The option of a select that HQ has. */
const usual = ({ options }) => [...options].find((one) => one.defaultSelected) ?? options[0];

/** What a form sends. Of fields that were refused HQ keeps what it has. */
function bodyOf(form, without) {
  const body = new URLSearchParams(new FormData(form));
  for (const field of without) {
    if (isTick(field)) {
      const had = [...form.elements].filter((one) => one.name === field.name && one.defaultChecked);
      body.delete(field.name);
      for (const { name, value } of had) body.append(name, value);
    } else if (field.matches("select")) body.set(field.name, usual(field)?.value ?? "");
    else body.set(field.name, field.defaultValue);
  }
  return body;
}

/** What is wrong, by the name of its field; under "" what concerns no field. */
function wrongs(page, next, isOk) {
  const found = new Map();
  for (const field of next?.querySelectorAll('[aria-invalid="true"]') ?? []) {
    found.set(field.name, page.getElementById(field.getAttribute("aria-describedby"))?.textContent.trim() ?? "Not saved");
  }
  const whole = next?.querySelector('[role="alert"]') ?? page.querySelector('#toasts [data-tone="danger"] p, .trouble p');
  if (whole) found.set("", whole.textContent.trim());
  if (!isOk && !found.size) found.set("", "HQ rejected the change.");
  return found;
}

/** The look of the whole page may be what was changed: attributes of <html>, and the colours of the workspace. */
function dress(page) {
  const { dataset } = document.documentElement;
  for (const name of ["theme", "density", "date", "time", "number"]) {
    const word = page.documentElement.dataset[name];
    if (word) dataset[name] = word;
    else delete dataset[name];
  }
  const [was, is] = [document, page].map((one) => one.querySelector("link[data-brand]"));
  if (was?.getAttribute("href") === is?.getAttribute("href")) return;
  was?.remove();
  if (is) document.head.append(is);
}

/**
 * The form as HQ shows it now. What was typed stands in HQ's spelling; what is refused, or was changed since it was
 * sent, stays. `mine` is what stood in the form then.
 */
async function take(form, page, mine) {
  for (const id of [form.id, ...(form.dataset.also ?? "").split(" ")]) {
    const [target, next] = [document.getElementById(id), page.getElementById(id)];
    if (target && next) await htmx.swap({ sourceElement: target, target, text: next.outerHTML, swap: "outerMorph" });
  }
  dress(page);
  for (const field of form.elements) {
    if (refused.has(field)) refuse(field, refused.get(field).words);
    else if (isTick(field)) {
      if (mine.getAll(field.name).includes(field.value) === field.checked) field.checked = field.defaultChecked;
    } else if (field.value !== mine.get(field.name)) continue;
    else if (field.matches("input, textarea")) field.value = field.defaultValue;
    else if (field.matches("select") && usual(field)) usual(field).selected = true;
  }
}

async function post(form, body) {
  const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" }, keepalive: true });
  const page = asPage(await answer.text());
  const next = page.getElementById(form.id);
  return { ok: answer.ok, url: answer.url, page, next, isStale: answer.status === 412, wrong: wrongs(page, next, answer.ok) };
}

/** Their form with what was changed here; nothing if both have changed the same field. */
function merged(form, sent, theirs) {
  const fields = [...form.elements].filter((one) => one.name && one.matches("input, select, textarea"));
  const [was, body] = [bodyOf(form, fields), new URLSearchParams(new FormData(theirs))];
  const at = (one, name) => one.getAll(name).join("\n");
  for (const name of new Set([...was.keys(), ...sent.keys()])) {
    if (at(sent, name) === at(was, name)) continue;
    if (![at(was, name), at(sent, name)].includes(at(body, name))) return;
    body.delete(name);
    for (const value of sent.getAll(name)) body.append(name, value);
  }
  return body;
}

/** Sends the form, and sends it again if it was changed elsewhere. */
async function send(form, body) {
  let answer = await post(form, body);
  for (let tries = 0; answer.isStale && tries < 3; tries++) {
    const page = asPage(await (await fetch(location.href, { headers: { accept: "text/html" } })).text());
    const theirs = page.getElementById(form.id);
    const next = theirs && merged(form, body, theirs);
    if (!next) return { ...answer, theirs: theirs && page };
    answer = await post(form, next);
  }
  return answer;
}

async function save(form) {
  const field = changed.get(form);
  if (!field?.isConnected) return;
  show(field, "busy");
  const others = refusedOf(form).filter((one) => one !== field && one.name !== field.name);
  const mine = bodyOf(form, []);
  let answer;
  try {
    answer = await send(form, mine);
    if (!answer.wrong.size) others.forEach(accept);
    // It may be right, and only what was refused before is still wrong.
    else if (others.length) answer = await send(form, bodyOf(form, others));
  } catch {
    show(field);
    if (!unsent.size) toast({ tone: "warn", text: "You’re offline. Your change will be sent when you reconnect." });
    unsent.add(form);
    return;
  }
  if (new URL(answer.url).pathname.endsWith("/settings/prove")) {
    show(field);
    return proveFirst(form);
  }
  if (answer.isStale) {
    // Theirs is shown, so that no later change of another field replaces it.
    const words = field.matches("input, textarea") && !isTick(field) ? `${TAKEN} You entered “${field.value}”.` : TAKEN;
    accept(field);
    if (answer.theirs) await take(form, answer.theirs, mine);
    refuse(field, words);
    return announce(words);
  }
  if (!answer.next && answer.ok) return location.assign(answer.url);
  if (answer.wrong.size) {
    for (const { name, value } of answer.next?.querySelectorAll("input[type=hidden]") ?? []) {
      if (form.elements[name]) form.elements[name].value = value;
    }
    for (const [name, words] of answer.wrong) {
      const own = form.elements[name];
      refuse(own instanceof Element ? own : field, words);
    }
    return announce([...answer.wrong.values()].join(" "));
  }
  accept(field);
  await take(form, answer.page, mine);
  show(field, "done");
  announce("Saved");
}

/** Saves one after the other, so that each is sent with what the one before has changed. */
const begin = (form) => sending.set(form, (sending.get(form) ?? Promise.resolve()).then(() => save(form)));

document.addEventListener("change", ({ target }) => {
  const { form } = target;
  if (!form?.matches("[data-saves]")) return;
  if (!form.hasAttribute("hx-post")) {
    changed.set(form, target);
    form.noValidate = true;
  }
  form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.matches("[data-saves]:not([hx-post])")) return;
  event.preventDefault();
  if (changed.has(form)) begin(form);
});
document.addEventListener("hq:unproved", ({ target }) => changed.has(target) && refuse(changed.get(target), "Confirm that it’s you to save this."));
function again() {
  const forms = [...unsent];
  unsent.clear();
  forms.forEach(begin);
}
document.addEventListener("hq:back", again);
addEventListener("online", again);
