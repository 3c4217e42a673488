// Only in a stored page (worker/pages.js): says from when it is, and loads the page again when HQ is back.
import { when } from "./worker/when.js";

const banner = document.getElementById("offline");
const waits = document.getElementById("offline-waits");
const time = document.getElementById("saved-at");
const at = new Date(Number(document.currentScript.dataset.at));

time.dateTime = at.toISOString();
time.textContent = when(at, document.documentElement.lang);
time.parentElement.hidden = false;
time.parentElement.previousElementSibling.hidden = true;
banner.hidden = false;

/* What was said once is not said again. */
for (const one of document.querySelectorAll("#toasts > .toast")) one.remove();

/* Each form of this page may have been sent already with the key that it was stored with. */
const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
for (const field of document.querySelectorAll("input[type=hidden]:is([name=once], [name=key])")) field.value = fresh();

const isTyped = () => [...document.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue);
function back() {
  if (banner.hidden && !waits.textContent && !isTyped()) location.reload();
}
new MutationObserver(back).observe(banner, { attributeFilter: ["hidden"] });
document.addEventListener("hq:settled", back);
