// A form with data-prove is sent only when its person has proved lately that it is still them; with
// data-prove="role=owner" only when it sends that. Without this script HQ leads to a page that asks.
import { sure } from "./layers.js";
import { hasPasskeys, use, why } from "./passkeys.js";
import { toast } from "./toast.js";

const dialog = document.getElementById("prove");
const at = `${document.body.dataset.home}settings/prove`;
const says = document.getElementById("prove-says");
const sender = dialog?.querySelector("[type=submit]");
const proven = new WeakSet();
// The form that is to be sent; none once the dialog is closed.
let waiting;

function needs(form, button) {
  const rule = form.dataset.prove;
  if (rule === undefined || proven.has(form)) return false;
  const [name, value] = rule.split("=");
  return !name || new FormData(form, button).get(name) === value;
}

// Sends what waited. Its region may have been drawn anew meanwhile.
function go() {
  let { form, button } = waiting;
  waiting = undefined;
  if (!form.isConnected) form = document.querySelector(`form[action="${CSS.escape(form.getAttribute("action"))}"]`);
  if (!form) return toast({ tone: "danger", text: "The page has changed. Try again." });
  const same = (one) => one.type === "submit" && one.name === button.name && one.value === button.value;
  if (button && !form.contains(button)) button = [...form.elements].find(same);
  proven.add(form);
  sure.add(form);
  form.requestSubmit(button);
  sure.delete(form);
  proven.delete(form);
}

// What was wrong, and back to where it can be mended.
function tell(text) {
  says.querySelector("span").textContent = text;
  says.hidden = !text;
  const fields = [...dialog.querySelectorAll("[data-way]:not([hidden]) input")];
  for (const field of fields) field.removeAttribute("aria-invalid");
  if (!text || !fields.length) return;
  const typed = fields.find((field) => field.value) ?? fields[0];
  typed.setAttribute("aria-invalid", "true");
  typed.focus();
  typed.select();
}

async function ask() {
  const answer = await fetch(`${at}/state`, { headers: { accept: "application/json" } });
  if (answer.redirected || !answer.ok) return location.reload();
  const state = await answer.json();
  if (state.fresh) return go();
  state.passkey &&= hasPasskeys;
  for (const part of dialog.querySelectorAll("[data-way]")) part.hidden = !state[part.dataset.way];
  dialog.querySelector("form").reset();
  tell("");
  dialog.showModal();
  dialog.querySelector("[data-way]:not([hidden]) input, [data-way]:not([hidden])")?.focus();
}

// One proof at a time, since the browser's next cookie comes with the answer. Who closes the dialog
// meanwhile wants nothing sent any more.
async function give(proof) {
  if (sender.ariaBusy === "true") return;
  const act = waiting;
  sender.ariaBusy = "true";
  try {
    const body = new URLSearchParams(await proof());
    const answer = await fetch(at, { method: "POST", headers: { "hx-request": "true" }, body });
    const wrong = answer.ok ? "" : await answer.text();
    if (!act || act !== waiting) return;
    if (wrong) return tell(wrong);
    dialog.close();
    go();
  } catch (error) {
    if (act === waiting) tell(error instanceof TypeError ? "No connection. Try again." : why(error));
  } finally {
    sender.ariaBusy = null;
  }
}

const askFor = (act) => {
  waiting = act;
  ask().catch(() => {
    waiting = undefined;
    toast({ tone: "danger", text: "Not saved: no connection. What you typed is still here." });
  });
};

/** Asks for a proof without which HQ has refused a form, and sends the form again. */
export const proveFirst = (form) => dialog && !waiting && askFor({ form });

document.addEventListener(
  "submit",
  (event) => {
    const { target: form, submitter: button } = event;
    if (!dialog || !needs(form, button)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!waiting) askFor({ form, button });
  },
  true,
);

dialog?.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation();
  give(() => new FormData(event.target));
});

dialog?.querySelector("button[data-way]").addEventListener("click", () => give(() => use(`${at}/passkey`)));

dialog?.addEventListener("close", () => {
  waiting?.form.dispatchEvent(new Event("hq:unproved", { bubbles: true }));
  waiting = undefined;
  dialog.querySelector("form").reset();
});
