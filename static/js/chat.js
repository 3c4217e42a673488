// The field of a chat: commands behind "/", files (attached.js), and a text that leaves the field when it is
// sent and comes back when it was not taken. Without this script the form sends what is typed and chosen.
import { attach, filesOf } from "./attached.js";
import { fresh } from "./swap.js";
const list = () => document.getElementById("commands");
const shown = () => [...list().children].filter((one) => !one.hidden);

/* Commands */

function choose(field, option) {
  for (const one of list().children) one.setAttribute("aria-selected", String(one === option));
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}

function close(field) {
  list().hidden = true;
  choose(field);
}

// A "/" and the beginning of a name, and nothing else.
function offer(field) {
  const typed = /^\/([a-z_-]*)$/i.exec(field.value)?.[1].toLowerCase();
  if (typed === undefined || field !== document.activeElement) return close(field);
  for (const one of list().children) {
    one.hidden = ![one.dataset.name, one.dataset.alias ?? ""].some((name) => name.startsWith(typed) && name);
  }
  const all = shown();
  list().hidden = !all.length;
  choose(field, all[0]);
}

function take(field, option) {
  field.value = `/${option.dataset.name}${"more" in option.dataset ? " " : ""}`;
  field.setSelectionRange(field.value.length, field.value.length);
  close(field);
}

document.addEventListener("input", ({ target }) => {
  if (target.matches?.("[data-chat] textarea")) offer(target);
});
document.addEventListener("focusout", ({ target }) => {
  if (target.matches?.("[data-chat] textarea")) close(target);
});

document.addEventListener(
  "keydown",
  (event) => {
    const field = event.target;
    if (!field.matches?.("[data-chat] textarea") || list().hidden || event.isComposing) return;
    const all = shown();
    const at = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const whole = all[at] && field.value.toLowerCase() === `/${all[at].dataset.name}`;
    if (step) choose(field, all.at((at + step) % all.length));
    else if (event.key === "Escape") close(field);
    else if (event.key === "Tab" || (event.key === "Enter" && !whole)) take(field, all[at]);
    else {
      // A name that is typed to its end is sent.
      if (event.key === "Enter") close(field);
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);

document.addEventListener("mousedown", (event) => {
  const option = event.target.closest?.("#commands > li");
  if (!option) return;
  event.preventDefault();
  take(document.getElementById("say-body"), option);
});

/* Sending */

document.addEventListener("htmx:config:request", ({ target, detail }) => {
  if (!target.matches?.("form[data-chat]")) return;
  const field = target.elements.body;
  // A message that was not taken goes once more under the same key: should the first one have
  // arrived after all, it is not said twice.
  const key = field.dataset.key ?? fresh();
  delete field.dataset.key;
  detail.ctx.sent = { text: field.value, files: filesOf(target), key };
  close(field);
  target.reset();
  attach(target, []);
});

// What is sent behind another message has seen that one.
document.addEventListener("htmx:before:request", ({ target, detail }) => {
  if (!target.matches?.("form[data-chat]")) return;
  const leaf = document.getElementById("talk-leaf");
  if (leaf) detail.ctx.request.body?.set("leaf", leaf.value);
  if (detail.ctx.sent) detail.ctx.request.body?.set("key", detail.ctx.sent.key);
});

document.addEventListener("htmx:finally:request", ({ target, detail }) => {
  const { sent, response } = detail.ctx;
  if (!sent || (response && response.status < 400) || !target.isConnected) return;
  const field = target.elements.body;
  if (!field.value) field.dataset.key = sent.key;
  field.value = [sent.text, field.value].filter(Boolean).join("\n");
  attach(target, [...sent.files, ...filesOf(target)]);
  field.focus();
});

// An answer goes when the next message is written down.
document.addEventListener("htmx:after:swap", ({ detail }) => {
  const { sent, response, hx } = detail.ctx ?? {};
  if (!sent || response?.status >= 400 || hx?.retarget) return;
  document.querySelector("#chat-answer > .banner")?.remove();
});
