// The service worker, served from the root so that its scope is the whole server: push notifications, and pages for
// reading offline, the latter only if it is registered as `/sw.js?pages`. `SHELL` and `SAVED` are set by
// scripts/assets.mjs.
import "./push.js";
import { forget, note, offline, prune, saved } from "./pages.js";

const STORES = new URL(self.location).searchParams.has("pages");
const FILES = "hq-files";
const ALONE = "/offline";
// A phone between two cells has a network that does not answer.
const PATIENCE_MS = 8000;

self.addEventListener("install", (event) => {
  const add = async () => {
    if (!STORES) return self.skipWaiting();
    const files = await caches.open(FILES);
    await files.addAll(SHELL);
    // The page has no content of anyone; it is renewed with each version.
    await files.add(new Request(ALONE, { cache: "reload" }));
    await self.skipWaiting();
  };
  event.waitUntil(add());
});

self.addEventListener("activate", (event) => {
  const begin = async () => {
    if (!STORES) {
      await forget();
      await caches.delete(FILES);
      return self.registration.navigationPreload?.disable();
    }
    await self.registration.navigationPreload?.enable();
    await self.clients.claim();
    await prune(await caches.open(FILES), [...SHELL, ALONE]);
  };
  event.waitUntil(begin());
});

/** Script, style and sprite have their content in their name. */
async function file(request) {
  const files = await caches.open(FILES);
  const kept = await files.match(request, { ignoreVary: true });
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) await files.put(request, answer.clone());
  return answer;
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
// A gateway that does not reach HQ answers in its place; HQ's own answers have an id.
const isGateway = ({ status, headers }) => (status === 502 || status === 504) && !headers.has("x-request-id");

/** HQ's answer; the browser has asked already while the worker was starting. */
const ask = async (event) => (await event.preloadResponse) ?? fetch(event.request);

async function askForPage(event) {
  const answer = await ask(event);
  if (isGateway(answer)) throw new Error(`the gateway answers ${answer.status}`);
  return answer;
}

async function page(event, url) {
  const asked = askForPage(event);
  // What comes late is stored all the same.
  event.waitUntil(asked.then((answer) => note(url, answer.clone())).catch(() => {}));
  try {
    const answer = await Promise.race([asked, after(PATIENCE_MS)]);
    return answer ?? (await saved(url)) ?? (await asked);
  } catch {
    const alone = await (await caches.open(FILES)).match(ALONE, { ignoreVary: true });
    return (await saved(url)) ?? (alone ? offline(alone) : Response.error());
  }
}

const isPage = (path) => path === "/" || path === "/login" || path === "/workspaces" || path.startsWith("/w/");
// Downloads and streams are no pages.
const isDownload = (path) => /\/(files|exports?|backups|download|events|raw)(\/|$)/.test(path);

if (STORES) self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin) return;
  if (request.method === "POST" && url.pathname === "/logout") event.waitUntil(forget());
  if (request.method !== "GET") return;
  if (url.pathname.startsWith("/s/")) event.respondWith(file(request));
  else if (request.mode === "navigate") {
    event.respondWith(isPage(url.pathname) && !isDownload(url.pathname) ? page(event, url) : ask(event));
  }
});
