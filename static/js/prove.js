// A form with data-prove is sent only when its person has proved lately that it is still them; with
// data-prove="role=owner" only when it sends that. Without this script HQ leads to a page that asks.
import { sure } from "./layers.js";
import { hasPasskeys, use, why } from "./passkeys.js";
import { toast } from "./toast.js";

const dialog = document.getElementById("prove");
const at = `${document.body.dataset.home}settings/prove`;
const says = document.getElementById("prove-says");
const proven = new WeakSet();
let waiting;

function needs(form, button) {
  const rule = form.dataset.prove;
  if (rule === undefined || proven.has(form)) return false;
  const [name, value] = rule.split("=");
  return !name || new FormData(form, button).get(name) === value;
}

// Sends what waited. Its region may have been drawn anew meanwhile.
function go() {
  const { button } = waiting;
  let { form } = waiting;
  waiting = undefined;
  if (!form.isConnected) form = document.querySelector(`form[action="${CSS.escape(form.getAttribute("action"))}"]`);
  if (!form) return toast({ tone: "danger", text: "The page has changed meanwhile; try once more." });
  proven.add(form);
  sure.add(form);
  form.requestSubmit(button?.isConnected ? button : undefined);
  sure.delete(form);
  proven.delete(form);
}

function tell(text) {
  says.textContent = text;
  says.hidden = !text;
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

async function give(fields) {
  const answer = await fetch(at, { method: "POST", headers: { "hx-request": "true" }, body: new URLSearchParams(fields) });
  if (!answer.ok) return tell(await answer.text());
  dialog.close();
  go();
}

document.addEventListener(
  "submit",
  (event) => {
    const { target: form, submitter: button } = event;
    if (!dialog || !needs(form, button)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    waiting = { form, button };
    ask().catch(() => toast({ tone: "danger", text: "Not saved: no connection. What you typed is still here." }));
  },
  true,
);

dialog?.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation();
  give(new FormData(event.target)).catch((error) => tell(error.message));
});

dialog?.querySelector("button[data-way]").addEventListener("click", async () => {
  try {
    await give(await use(`${at}/passkey`));
  } catch (error) {
    tell(why(error));
  }
});
