// Small help in forms: Enter sends a message, secrets can be looked at
// while they are typed, and the first wrong field has the focus.
import { toast } from "./toast.js";

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  const field = event.target;
  const send = field.dataset?.send;
  const mod = event.ctrlKey || event.metaKey;
  if (!field.form || !(mod || (send === "enter" && !event.shiftKey))) return;
  if (!field.matches("textarea") && !(mod && field.matches("input, select"))) return;
  event.preventDefault();
  const files = field.form.querySelector("input[type=file]")?.files.length;
  if (!send || files || field.value.trim()) field.form.requestSubmit(field.form.querySelector("[data-default]"));
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-reveal], [data-copy], [data-copy-code]");
  if (!button) return;
  if (button.dataset.reveal) {
    const field = document.getElementById(button.dataset.reveal);
    field.type = field.type === "password" ? "text" : "password";
    button.setAttribute("aria-pressed", String(field.type === "text"));
    return;
  }
  try {
    await navigator.clipboard.writeText(button.dataset.copy ?? button.previousElementSibling.innerText);
    toast({ text: "Copied" });
  } catch {
    toast({ tone: "danger", text: "Your browser blocked copying." });
  }
});

// A plain form is sent once, however often it is pressed; the page that answers takes the mark away. Where none
// comes, because the person has stopped it, it can be sent again after a while.
const again = 3000;
const under = new WeakMap();
document.addEventListener("submit", (event) => {
  const { target, submitter, defaultPrevented, timeStamp } = event;
  if (defaultPrevented || target.method !== "post") return;
  if (timeStamp - under.get(target) < again) return event.preventDefault();
  under.set(target, timeStamp);
  submitter?.setAttribute("aria-busy", "true");
});
/** A form has not been sent after all. */
export const letGo = (form) => under.delete(form);
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  document.querySelectorAll("form").forEach(letGo);
  document.querySelectorAll(".btn[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
});

document.querySelector("[aria-invalid=true], [role=alert][tabindex]")?.focus();
