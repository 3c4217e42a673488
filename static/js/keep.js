// What a page has come to be stays: rows that were scrolled in when a region renews itself, the focus when
// what had it is drawn anew, and place and state of a page to which somebody comes back.
import htmx from "htmx.org";
import { isRow, stand } from "./keys.js";
import { fresh } from "./swap.js";

const main = document.getElementById("main");
const isRegion = (one) => one.hasAttribute?.("data-region");

/* ── Rows that were scrolled in ── */
const lists = (region) => [region, ...region.querySelectorAll("[data-of]")].filter((one) => "of" in one.dataset);

/** How many rows the lists of a region are to show, as far as more than the first ones were asked for; what comes
    to a list that is there to its end is shown, too. */
function counts(region) {
  const count = (list) => list.querySelectorAll("li").length + (list.querySelector(".pager") ? 0 : 50);
  const grown = lists(region).filter((list) => "kept" in list.dataset);
  return Object.fromEntries(grown.map((list) => [list.dataset.of, Math.max(count(list), Number(list.dataset.kept))]));
}

document.addEventListener("htmx:before:swap", ({ detail }) => {
  // What is asked for is the pager itself, or its link where all is drawn anew.
  const list = detail.ctx?.sourceElement?.closest?.(".pager")?.closest("[data-of]");
  if (list) list.dataset.kept = "";
});
document.addEventListener("htmx:config:request", ({ target, detail }) => {
  if (!isRegion(target)) return;
  const have = counts(target);
  if (Object.keys(have).length) detail.ctx.request.body.set("have", JSON.stringify(have));
});

/* ── The focus ── */
// The way from an element with an id to what has the focus, and what comes after it if it goes.
let had;

function remember(region) {
  const focused = document.activeElement;
  if (!region.contains(focused) || focused === region) return;
  const row = focused.closest("li, tr, [data-record]") ?? focused;
  const base = focused.closest("[id]");
  const same = (one) => one.tagName === focused.tagName && one.className === focused.className;
  had = { base: base?.id, nth: [...(base?.querySelectorAll("*") ?? [])].filter(same).indexOf(focused), tag: focused.tagName, name: focused.className };
  had.region = region;
  had.next = [row.nextElementSibling, row.previousElementSibling].map((one) => one?.id).filter(Boolean);
}

function focusAgain() {
  const { base, nth, tag, name, next, region } = had;
  had = undefined;
  const lost = !document.activeElement || document.activeElement === document.body || document.activeElement === main;
  if (!lost) return;
  const box = base && document.getElementById(base);
  const same = (one) => one.tagName === tag && one.className === name;
  const found = box && (nth < 0 ? box : [...box.querySelectorAll("*")].filter(same)[nth]);
  const other = next.map((id) => document.getElementById(id)).find(Boolean);
  if (found) found.focus({ preventScroll: true });
  else if (other && isRow(other)) stand(other);
  else other?.querySelector("a, button")?.focus({ preventScroll: true });
  // Nothing is left that could have it, as after the last one of a list: it stays at the region.
  if (document.activeElement === document.body) document.getElementById(region.id)?.focus({ preventScroll: true });
}

document.addEventListener("htmx:before:swap", ({ target, detail, defaultPrevented }) => {
  const region = [target, detail.ctx?.target].find((one) => one && isRegion(one));
  if (region && !defaultPrevented) remember(region);
});
document.addEventListener("htmx:after:swap", () => had && focusAgain());

/* ── Coming back ── */
const groups = () => [...document.querySelectorAll("details[data-of]")];
const wide = () => document.querySelector(".board, .track");

// What is kept lies beside the entry of the history, by a name that the entry has.
const shelf = (name) => `hq:place:${name}`;
const entry = history.state?.entry ?? fresh();

/** What was looked at last: a row, or a control of its own. */
const left = (one) => main.contains(one) && (one.id ? one : one.closest("#main :is(li, tr)[id]"));

function put() {
  const region = document.querySelector("#main [data-region]:has([data-kept]), #main [data-region][data-kept]");
  const last = left(document.activeElement) || undefined;
  const place = {
    top: main.scrollTop,
    aside: wide()?.scrollLeft,
    at: last?.id,
    // Rows out of sight have a height that is guessed, so that a row may lie elsewhere at the same scroll.
    y: last?.getBoundingClientRect().top,
    have: region && counts(region),
    closed: groups().filter((group) => !group.open).map((group) => group.dataset.of),
  };
  try {
    sessionStorage.setItem(shelf(entry), JSON.stringify(place));
  } catch {
    // A browser that keeps nothing begins at the top.
  }
}

function taken() {
  try {
    return JSON.parse(sessionStorage.getItem(shelf(entry)));
  } catch {
    return undefined;
  }
}

async function comeBack({ top, aside, at, y, have, closed }) {
  for (const group of groups()) group.open = !closed.includes(group.dataset.of);
  const settle = () => {
    const row = at && document.getElementById(at);
    if (row) main.scrollTop += row.getBoundingClientRect().top - y;
  };
  const scroll = () => {
    if (aside && wide()) wide().scrollLeft = aside;
    main.scrollTop = top;
    settle();
    requestAnimationFrame(() => requestAnimationFrame(settle));
  };
  const region = have && document.querySelector("#main [data-region]:has([data-of]), #main [data-region][data-of]");
  if (region) {
    for (const list of lists(region)) if (have[list.dataset.of]) list.dataset.kept = have[list.dataset.of];
    // Not before all is there: at the end of a shorter list the next rows would be asked for, too.
    await htmx.ajax("GET", region.getAttribute("hx-get"), { source: region, target: region, swap: "outerMorph" });
  }
  scroll();
  const row = at && document.getElementById(at);
  if (!row || document.activeElement !== document.body) return;
  if (row.matches("li, tr")) row.setAttribute("data-cursor", "");
  const target = row.matches("li, tr") ? row.querySelector("a") : row.matches("a, button") && row;
  if (target) target.focus({ preventScroll: true });
}

if (main) {
  const how = performance.getEntriesByType("navigation")[0]?.type;
  const place = !location.hash && (how === "back_forward" || how === "reload") && taken();
  // Who loads a page again begins anew with the keys.
  if (place && how === "reload") place.at = undefined;
  addEventListener("pagehide", put);
  document.addEventListener("DOMContentLoaded", () => {
    history.replaceState({ htmx: true, ...history.state, entry }, "");
    if (place) comeBack(place);
  });
}
