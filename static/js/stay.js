// Without a connection a page stays as it is, and so does what is typed in it: a link or a plain form would
// lead to an error of the browser. Each press is a try; HQ may be back already. Comes last, so that what others
// have dealt with is left alone.
import { letGo } from "./forms.js";
import { sure } from "./layers.js";
import { toast } from "./toast.js";

const isAlone = () => document.getElementById("offline")?.hidden === false;
const passed = new WeakSet();

async function isThere() {
  try {
    const { ok } = await fetch("/healthz", { cache: "no-store" });
    if (ok) document.querySelector("[data-reconnect]").click();
    return ok;
  } catch {
    return false;
  }
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || !isAlone() || link.origin !== location.origin || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  // A page that was stored can be read (worker/pages.js); the cache is there with https only.
  if ((await isThere()) || (await window.caches?.match(link.href))) location.assign(link.href);
  else toast({ tone: "warn", text: "You’re offline. This page stays open until you reconnect." });
});

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || form.method === "dialog" || passed.has(form) || !isAlone()) return;
  event.preventDefault();
  letGo(form);
  if (await isThere()) {
    for (const forms of [passed, sure]) forms.add(form);
    form.requestSubmit(submitter);
    for (const forms of [passed, sure]) forms.delete(form);
    return;
  }
  submitter?.removeAttribute("aria-busy");
  toast({ tone: "danger", text: "Not sent: no connection. What you typed is still here." });
});
