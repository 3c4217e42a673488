// The pages that were opened last, for reading offline. HQ decides which pages may be stored: their answers have the
// header `HQ-Offline` with the sign-in that may read them and for how many seconds (src/server/installed.rs). Pages of
// one sign-in are one cache. It is deleted as soon as HQ answers to another sign-in, or to none at all.
import { when } from "./when.js";

const PAGES = "hq-pages-";
const MOST = 50;
const MAX_LENGTH = 2_000_000;
// Headers of a stored page: until when it may be read, when it was stored, its title.
const UNTIL = "hq-until";
const AT = "hq-at";
const TITLE = "hq-title";
// What no longer applies to a stored page.
const DROPPED = ["vary", "content-encoding", "content-length", "speculation-rules", "etag", "hq-offline"];

const names = async () => (await caches.keys()).filter((name) => name.startsWith(PAGES));
const addressOf = (url) => url.origin + url.pathname + url.search;

/** Deletes the stored pages of all sign-ins but one. */
export async function forget(but) {
  for (const name of await names()) if (name !== but) await caches.delete(name);
}

// One answer after the other, so that what is counted is so.
let last = Promise.resolve();
/** Stores an answer if HQ allows it, and deletes what is not to be read any longer. */
export function note(url, answer) {
  last = last.then(() => keep(url, answer)).catch(() => {});
  return last;
}

/** Deletes what is stored of a workspace. */
async function leave({ origin, pathname }) {
  const start = `${origin}/w/${pathname.split("/")[2]}/`;
  for (const name of await names()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) if (request.url.startsWith(start)) await cache.delete(request);
  }
}

async function keep(url, answer) {
  const [key, seconds] = answer.headers.get("hq-offline")?.split(" ") ?? [];
  if (key === "none") return forget();
  const address = addressOf(url);
  if (!key) {
    const { status, headers } = answer;
    // HQ gives its members the header also with a page that is missing. Who gets none is no member any more.
    if ((status === 403 || status === 404) && headers.has("x-request-id") && url.pathname.startsWith("/w/")) return leave(url);
    for (const name of await names()) if (status >= 400 && status < 500) await (await caches.open(name)).delete(address);
    return;
  }
  await forget(PAGES + key);
  const cache = await caches.open(PAGES + key);
  // Put anew, the page is the last one.
  await cache.delete(address);
  if (!seconds || answer.status !== 200 || answer.redirected) return;
  const text = await answer.text();
  if (text.length > MAX_LENGTH) return;
  const headers = new Headers(answer.headers);
  for (const name of DROPPED) headers.delete(name);
  headers.set(AT, Date.now());
  headers.set(UNTIL, Date.now() + seconds * 1000);
  headers.set(TITLE, encodeURIComponent(text.match(/<title>([^<]*?)(?: · HQ)?</)?.[1] ?? url.pathname));
  await cache.put(address, new Response(text, { headers }));
  const all = await cache.keys();
  for (const old of all.slice(0, -MOST)) await cache.delete(old);
}

/** All pages that may be read, the last one first, with their requests. */
async function all() {
  const found = [];
  for (const name of await names()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const page = await cache.match(request);
      if (page && Date.now() < page.headers.get(UNTIL)) found.unshift({ request, page });
      else await cache.delete(request);
    }
  }
  return found;
}

const answer = (text, { headers }) => new Response(text, { headers });

/** A stored page, if there is one; its script says from when it is. */
export async function saved(url) {
  const address = addressOf(url);
  const { page } = (await all()).find(({ request }) => request.url === address) ?? {};
  if (!page) return undefined;
  const script = `<script src="${SAVED}" data-at="${Number(page.headers.get(AT))}" defer></script></head>`;
  return answer((await page.text()).replace("</head>", () => script), page);
}

/** The page that says that there is no connection, with links to the pages that can be read. */
export async function offline(alone) {
  const lines = (await all()).map(({ request, page }) => {
    const href = request.url.slice(self.location.origin.length).replace(/"/g, "%22").replace(/&/g, "&amp;");
    // The title is HTML already, as the page has it.
    const title = decodeURIComponent(page.headers.get(TITLE)).replace(/</g, "&lt;");
    const [, name, place] = title.match(/^(.*) · ([^·]*)$/) ?? [undefined, title, ""];
    const about = [place, when(new Date(Number(page.headers.get(AT))))].filter(Boolean).join(" · ");
    return `<li><a href="${href}"><span><b>${name}</b><small>${about}</small></span></a></li>`;
  });
  const headers = new Headers(alone.headers);
  for (const name of DROPPED) headers.delete(name);
  const list = lines.length ? `data-copies>${lines.join("")}</ul>` : "data-copies hidden></ul>";
  return answer((await alone.text()).replace(/data-copies>\s*<\/ul>/, () => list), { headers });
}

/** Deletes files that neither this version nor a stored page asks for. */
export async function prune(files, shell) {
  const asked = new Set(shell);
  for (const { page } of await all()) for (const [file] of (await page.text()).matchAll(/\/s\/[\w.-]+/g)) asked.add(file);
  for (const { url } of await files.keys()) {
    const { pathname } = new URL(url);
    if (!asked.has(pathname)) await files.delete(url);
  }
}
