// Shows what HQ tells this browser, also when no page of HQ is open, and sends the answer that is pressed there.

const ACTIONS = [
  { action: "allow", title: "Allow" },
  { action: "deny", title: "Deny" },
];

const show = (title, { body, tag, url, answers }) => {
  const actions = answers ? ACTIONS : [];
  return self.registration.showNotification(title, { body, tag, renotify: Boolean(tag), actions, data: { url, answers } });
};

self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data?.json() ?? {};
  } catch {
    // A message that cannot be read still says that there is something.
  }
  const { title = "HQ", body = "", url = "/", tag, answers } = told;
  event.waitUntil(show(title, { body, tag, url, answers }));
});

// The page of something, if it is one of HQ's own.
const own = (path) => {
  const url = new URL(path ?? "/", self.location.origin);
  return url.origin === self.location.origin ? url : undefined;
};

// What became of the answer stands where the question stood. One that did not arrive can be sent again: its key sees to
// it that it counts once.
async function answer({ title, tag, data: { url, answers } }, word) {
  const at = own(answers.at);
  if (!at) return;
  const body = new URLSearchParams({ answer: word, how: "once", once: answers.key });
  let sent;
  try {
    sent = await fetch(at, { method: "POST", headers: { "HX-Request": "true" }, body });
  } catch {
    return show(title, { body: "Can’t reach HQ. Try again.", tag, url, answers });
  }
  let says = "Couldn’t send your answer. Open HQ to answer there.";
  try {
    says = JSON.parse(sent.headers.get("HX-Trigger"))["hq:toast"].text;
  } catch {
    // Signed out, or no longer allowed: the page says which.
  }
  return show(title, { body: says, tag, url });
}

async function open(path) {
  const url = own(path);
  if (!url) return;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((page) => new URL(page.url).pathname === url.pathname);
  return page ? page.focus() : self.clients.openWindow(url.href);
}

self.addEventListener("notificationclick", (event) => {
  const { notification, action } = event;
  notification.close();
  const data = notification.data ?? {};
  const answers = data.answers && ACTIONS.some((one) => one.action === action);
  event.waitUntil(answers ? answer(notification, action) : open(data.url));
});
