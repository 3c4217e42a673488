// The page's one stream. It names what changed (`hq`), never what it says; regions that want to
// know listen on <body> and fetch themselves. Running text of a model call comes as `hq-run`.
const page = document.body.dataset;
const pill = document.getElementById("link-state");
const bytes = (text) => new TextEncoder().encode(text).length;
const fire = (name) => document.body.dispatchEvent(new CustomEvent(name));

let after = page.cursor;
let source;
let wait = 1000;
let retry;
let away;
let late;

function changed(event) {
  after = event.lastEventId || after;
  const names = new Set();
  for (const [table, id] of JSON.parse(event.data).t) {
    names.add(`hq:${table}`).add(`hq:${table}:${id ?? "any"}`);
  }
  names.forEach(fire);
}

function writing(event) {
  const { run, step, text, at } = JSON.parse(event.data);
  const boxes = document.querySelectorAll(`[data-run="${CSS.escape(run)}"]`);
  // Words begin where none were before, after thinking for example: whoever shows this run draws a box.
  if (at === 0 && !boxes.length) fire(`hq:runs:${run}`);
  for (const box of boxes) {
    const words = box.firstElementChild;
    if (box.dataset.step !== String(step) || at === 0) {
      Object.assign(box.dataset, { step, at: 0 });
      words.textContent = "";
    }
    const have = Number(box.dataset.at);
    if (at === have) {
      words.append(text);
      box.dataset.at = have + bytes(text);
    } else if (at > have) {
      fire(`hq:runs:${run}`);
    }
  }
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
  source.onopen = () => {
    wait = 1000;
    clearTimeout(late);
    late = undefined;
    if (pill) pill.hidden = true;
  };
  source.onerror = () => {
    source.close();
    late ??= setTimeout(() => pill && (pill.hidden = false), 3000);
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
  document.addEventListener("visibilitychange", () => {
    clearTimeout(away);
    if (document.hidden) away = setTimeout(close, 30000);
    else if (!source) open();
  });
}
