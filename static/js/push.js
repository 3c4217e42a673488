// The switch that lets HQ tell this browser of what happens, also when no page is open.
import { isPhone } from "./install.js";
import { worker } from "./swap.js";

const box = document.getElementById("push");
const says = (text) => (box.querySelector("[data-says]").textContent = text);
const button = box?.querySelector("button");

const post = async (path, body) => {
  const headers = { "Content-Type": "application/json", "HX-Request": "true" };
  const answer = await fetch(`${box.dataset.push}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`HQ answered ${answer.status}`);
  return answer;
};

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const registered = () => navigator.serviceWorker.getRegistration("/");
const own = async () => (await registered())?.pushManager.getSubscription();

function why() {
  if (!window.isSecureContext) return "Push needs https or localhost. Open HQ at such an address.";
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return "This browser doesn’t support push. On an iPhone, add HQ to the home screen first.";
  if (Notification.permission === "denied") return "Notifications are blocked. Allow them for this page in your browser’s settings.";
  return "";
}

async function show() {
  const no = why();
  const on = !no && (await own());
  button.hidden = Boolean(no);
  button.querySelector("span").textContent = on ? "Turn off in this browser" : "Turn on in this browser";
  button.dataset.on = on ? "1" : "";
  says(no || (on ? "Push is on in this browser." : "Push is off in this browser."));
}

async function turnOn() {
  if ((await Notification.requestPermission()) !== "granted") return;
  // The installed app of this browser has a worker that also stores pages; it stays.
  const registration = (await registered()) ?? (await navigator.serviceWorker.register(worker(isPhone), { scope: "/" }));
  await navigator.serviceWorker.ready;
  const { key } = await (await post("/key", {})).json();
  const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
  const made = await registration.pushManager.subscribe(options);
  await post("", made.toJSON());
}

async function turnOff() {
  const made = await own();
  if (!made) return;
  await post("/remove", { endpoint: made.endpoint });
  await made.unsubscribe();
}

if (box) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await (button.dataset.on ? turnOff() : turnOn());
      await show();
    } catch (error) {
      says(`That didn’t work: ${error.message}`);
    }
    button.disabled = false;
  });
  show();
}
