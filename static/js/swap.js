// htmx, with evaluation switched off and with manners: it neither runs text as code nor takes a
// region away from somebody who is typing in it.
import htmx from "htmx.org";
import { again, arrived, isAhead, keep, lastAnswer } from "./send.js";
import { toast } from "./toast.js";

/* A key under which a form is sent: sent once more with it, it is done once. */
export const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const pass = (text) => text;
const OWN = ["/sw.js", "/sw.js?pages"];
const EDITOR = /^\/s\/rich\.\w+\.js$/;
let trusted;
/* The address of our one worker or of the editor, vouched for where browsers ask for that. */
export const vouched = (url) => trusted?.createScriptURL?.(url) ?? url;
/* With pages it also stores them for reading offline. A browser has one of the two. */
export const worker = (withPages) => vouched(OWN[Number(withPages)]);
/* A page that HQ has answered; nothing in it runs. */
export const asPage = (text) => new DOMParser().parseFromString(trusted?.createHTML?.(text) ?? text, "text/html");
const noCode = function () {
  throw new Error("pages run no text as code");
};

htmx.registerExtension("hq", {
  init: (api) => {
    const createScriptURL = (url) => (OWN.includes(url) || EDITOR.test(url) ? url : "");
    const policy = { createHTML: pass, createScript: pass, createScriptURL };
    trusted = window.trustedTypes?.createPolicy("htmx", policy) ?? policy;
    api.initSecurity(trusted, noCode, noCode);
  },
  // What somebody folded stays so (`open` is not taken over). What is new, which has no attribute yet, begins as
  // HQ draws it: a group whose first row has come from another one is open.
  htmx_before_morph_node: (old, { newNode }) => {
    if (old.tagName === "DETAILS" && !old.attributes.length) old.open = newNode.open;
  },
});

/* A region keeps still while somebody types in it, and while it holds a form that is open on purpose. */
const isTyping = (region) => {
  const field = document.activeElement;
  return (
    region.querySelector("[data-keep]") ||
    (region.contains(field) &&
      field.matches("input, textarea, select") &&
      (field.matches("select") || field.value !== field.defaultValue))
  );
};

/* What a region has missed, once it may change again. */
function catchUp(region) {
  delete region.dataset.stale;
  const source = region;
  setTimeout(() => {
    const url = region.getAttribute("hx-get");
    if (region.isConnected) htmx.ajax("GET", url, { source, target: region, swap: "outerMorph" });
  });
}

const catchAllUp = () => {
  if (!isAhead()) document.querySelectorAll("[data-stale]").forEach((region) => isTyping(region) || catchUp(region));
};
document.addEventListener("hq:settled", catchAllUp);

// A page that has sent a form by itself is on its way out: what the form does, the next page shows.
const LEAVING_MS = 5000;
let left = -LEAVING_MS;
const isLeaving = () => performance.now() - left < LEAVING_MS;
document.addEventListener("submit", (event) =>
  setTimeout(() => {
    if (event.defaultPrevented || event.target.matches("[method=dialog i], [target]")) return;
    left = performance.now();
    setTimeout(catchAllUp, LEAVING_MS);
  }),
);
addEventListener("pageshow", () => (left = -LEAVING_MS));

const isRegion = ({ target }) => target.hasAttribute?.("data-region");
/* What HQ's last answer drew of a region, by its tag: an answer that would draw the same again comes empty. What else
   changes the page, of which this tells nothing, ends all tags. */
const tags = new WeakMap();
let round = 0;
const tagOf = (region) => {
  const { tag, begun, at } = tags.get(region) ?? {};
  return at === round && lastAnswer() < begun && !region.querySelector(".writing") && tag;
};

document.addEventListener("htmx:after:swap", (event) => {
  const { target: region, detail } = event;
  const { response, begun } = detail.ctx ?? {};
  if (response?.status === 204) return;
  if (!isRegion(event)) {
    round += 1;
    return;
  }
  // The buttons of a form may be a region: it says where what is typed goes by now.
  const form = region.dataset.to && region.closest("form");
  if (form) {
    form.action = region.dataset.to;
    form.setAttribute("hx-post", region.dataset.to);
  }
  for (const other of document.querySelectorAll("[data-region]")) {
    if (other.contains(region) || region.contains(other)) tags.delete(other);
  }
  // Words that are being written stay as they are, so the region is not all that the answer says.
  if (region.querySelector(".writing")) tags.delete(region);
  else tags.set(region, { tag: response?.headers.get("etag"), begun, at: round });
});

const putOff = (event) => {
  event.target.dataset.stale = "";
  event.preventDefault();
};

document.addEventListener("htmx:before:request", (event) => {
  if (!isRegion(event)) return;
  if (isAhead() || isLeaving() || isTyping(event.target)) return putOff(event);
  const { ctx } = event.detail;
  const tag = tagOf(event.target);
  Object.assign(ctx, { begun: performance.now(), round, asks: event.target.getAttribute("hx-get") });
  if (tag) ctx.request.headers["If-None-Match"] = tag;
});

// What was asked before a change was answered, or before somebody opened a part of the page, may show how it was before.
document.addEventListener("htmx:before:swap", (event) => {
  const { begun, round: asked, asks } = event.detail.ctx;
  const isLate = () => isAhead() || begun < lastAnswer() || asked !== round || asks !== event.target.getAttribute("hx-get");
  if (!isRegion(event) || !isLate()) return;
  putOff(event);
  catchAllUp();
});

document.addEventListener("focusout", (event) => {
  const region = event.target.closest?.("[data-stale]");
  if (region && !isAhead()) catchUp(region);
});

document.addEventListener("htmx:error", ({ detail }) => {
  if (detail.ctx?.request.method !== "POST" || detail.ctx.sourceElement?.matches?.("[data-quiet]")) return;
  const { form, submitter } = detail.ctx.request;
  const own = form && detail.ctx.sourceElement === form;
  if (own && form.matches(".quick")) {
    // One line after the other is written here: the next one is not to take the place of this one.
    const { title, once } = form.elements;
    const words = title.value;
    keep({ url: form.action, body: new URLSearchParams(new FormData(form)), undo: () => (title.value ||= words) });
    once.value = fresh();
    title.value = "";
  } else if (own && (form.elements.key || form.elements.once)) {
    if (again(form, submitter)) toast({ tone: "warn", text: "Not sent: no connection. It will be sent when you reconnect." });
  } else toast({ tone: "danger", text: "Not saved: no connection. What you typed is still here." });
});

document.addEventListener("htmx:after:swap", ({ detail }) => {
  const form = detail.ctx?.sourceElement?.closest?.("form");
  if (detail.ctx?.response?.status < 400) {
    arrived(form);
    if (form?.elements.key && !form.matches("[data-chat]")) form.elements.key.value = fresh();
    if (form?.matches("[data-reset]")) form.reset();
  }
  catchAllUp();
  const layer = document.querySelector("#layer > dialog:not([open])");
  layer?.showModal();
  // Until here htmx has gone to the field in which one begins; what was refused stands at another one.
  const wrong = detail.ctx?.response?.status >= 400 && (form ?? document).querySelector("[aria-invalid=true], [role=alert][tabindex]");
  if (!wrong) return;
  wrong.focus();
  wrong.scrollIntoView({ block: "center" });
});
