// HQ as an app: on a phone, and in a window of its own, the worker stores pages for reading offline; and the button in
// the settings that installs.
import { worker } from "./swap.js";

const isApp = matchMedia("(display-mode: standalone)").matches;
export const isPhone = isApp || matchMedia("(pointer: coarse)").matches;
if (isPhone && document.body.dataset.stream) navigator.serviceWorker?.register(worker(true), { scope: "/" }).catch(() => {});

const box = document.getElementById("install");
const done = () => box && (box.querySelector("[data-done]").hidden = false);
if (isApp) done();

addEventListener("beforeinstallprompt", (event) => {
  // No bar of the browser: who wants the app finds the button.
  event.preventDefault();
  const button = box?.querySelector("button");
  if (!button) return;
  button.hidden = false;
  button.onclick = async () => {
    button.hidden = true;
    if ((await event.prompt()).outcome === "accepted") done();
  };
});
