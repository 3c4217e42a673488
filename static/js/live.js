// The page's one stream. It names what changed (`hq`), never what it says; regions that want to
// know listen on <body> and fetch themselves. Running text of a model call comes as `hq-run`.
const page = document.body.dataset;
const pill = document.getElementById("link-state");
const banner = document.getElementById("offline");
const bytes = (text) => new TextEncoder().encode(text).length;
const fire = (name) => document.body.dispatchEvent(new CustomEvent(name));

let after = page.cursor;
let source;
let wait = 1000;
let retry;
let away;
let late;
let gone;

function changed(event) {
  after = event.lastEventId || after;
  const names = new Set();
  for (const [table, id] of JSON.parse(event.data).t) {
    names.add(`hq:${table}`).add(`hq:${table}:${id ?? "any"}`);
  }
  names.forEach(fire);
}

// What runs are writing, piece by piece: the server draws it as Markdown now and then, and what came
// since is added to that.
const heard = new Map();
const drawing = new Set();
const BLOCKS = "p,ul,ol,li,pre,pre > code,blockquote,table,thead,tbody,tr,td,th,h1,h2,h3,h4,h5,h6,div";

/** The innermost block at the end of a box: there the text goes on. */
function end(box) {
  const last = [...box.childNodes].filter((node) => node.nodeType === 1 || node.data?.trim()).at(-1);
  return last?.nodeType === 1 && last.matches(BLOCKS) ? end(last) : box;
}

/** Adds what a box does not show yet. */
function goOn(box) {
  const { step, pieces } = heard.get(box.dataset.run) ?? {};
  if (box.dataset.step !== String(step)) return;
  let have = Number(box.dataset.at);
  for (const { at, text } of pieces) {
    const raw = new TextEncoder().encode(text);
    if (have < at || at + raw.length <= have) continue;
    const fresh = box.querySelector("[data-fresh]") ?? end(box).appendChild(document.createElement("span"));
    fresh.dataset.fresh = "";
    fresh.append(new TextDecoder().decode(raw.slice(have - at)));
    have = at + raw.length;
  }
  box.dataset.at = have;
}

/** Asks for the text as the server draws it, not more often than it can be read. */
function draw(run) {
  if (drawing.has(run)) return;
  drawing.add(run);
  setTimeout(() => {
    drawing.delete(run);
    fire(`hq:text:${run}`);
  }, 500);
}

function writing(event) {
  const { run, step, kind, text, at } = JSON.parse(event.data);
  if (at === 0 || heard.get(run)?.step !== step) heard.set(run, { step, pieces: [] });
  heard.get(run).pieces.push({ at, text });
  const boxes = document.querySelectorAll(`.writing[data-run="${CSS.escape(run)}"]`);
  // Words begin where none were before, after thinking for example: whoever shows this run draws a box.
  if (at === 0 && !boxes.length) fire(`hq:runs:${run}`);
  for (const box of boxes) {
    // A page that comes late is told all of the block once more, of which it has drawn a part.
    const isText = (box.dataset.kind ?? (box.querySelector(":scope > .md") && "text")) === "text";
    const goesOn = box.dataset.step === String(step) && isText === (kind === "text");
    if (!goesOn || (at === 0 && bytes(text) < Number(box.dataset.at))) {
      Object.assign(box.dataset, { step, kind, at: 0 });
      box.replaceChildren(document.createElement("p"));
    }
    goOn(box);
    if (Number(box.dataset.at) < at || (kind === "text" && /[\n*`|]/.test(text))) draw(run);
  }
}

document.addEventListener("htmx:after:swap", () => document.querySelectorAll(".writing[data-run]").forEach(goOn));

/** Without a connection: a word in the bar after three seconds; a banner when the machine has none, or it lasts. */
function lost() {
  const show = (part) => part && (part.hidden = false);
  late ??= setTimeout(show, 3000, pill);
  gone ??= setTimeout(show, 10000, banner);
  if (!navigator.onLine) show(banner);
}

function found() {
  wait = 1000;
  clearTimeout(late);
  clearTimeout(gone);
  const was = late !== undefined;
  late = gone = undefined;
  if (pill) pill.hidden = true;
  if (banner) banner.hidden = true;
  if (was) document.body.dispatchEvent(new CustomEvent("hq:back", { bubbles: true }));
}

function open() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(`${page.stream}?after=${encodeURIComponent(after)}`);
  source.addEventListener("hq", changed);
  source.addEventListener("hq-run", writing);
  source.addEventListener("hq-resync", (event) => {
    after = event.lastEventId || after;
    fire("hq:resync");
  });
  source.onopen = found;
  source.onerror = () => {
    source.close();
    lost();
    retry = setTimeout(open, wait * (0.7 + Math.random() * 0.6));
    wait = Math.min(wait * 2, 30000);
  };
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

if (page.stream) {
  open();
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  addEventListener("online", open);
  // HQ may run on this very machine, so that only a try can tell.
  addEventListener("offline", open);
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("[data-reconnect]")) open();
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(away);
    if (document.hidden) away = setTimeout(close, 30000);
    else if (!source) open();
  });
}
