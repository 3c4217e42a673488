// The live view of an agent's browser: pictures onto a canvas, and with the wheel mouse, fingers, keys and words back.
// A script of its own: only the page of a browser loads it.

const CODES = { Backspace: 8, Tab: 9, Enter: 13, Escape: 27, PageUp: 33, PageDown: 34, End: 35, Home: 36, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40, Delete: 46 };
const MOVES = 40;
// A touch that lasts longer, in milliseconds, or moves further, in pixels, is no tap.
const LONG = 300;
const TREMBLES = 8;
const AGAIN = 2_000;
const LARGEST = 4;
const STEP = 1.5;
// Where the picture lies: no element has a style attribute.
const laid = new CSSStyleSheet();
document.adoptedStyleSheets = [...document.adoptedStyleSheets, laid];

function begin(root) {
  const part = (name) => root.querySelector(`[data-b="${name}"]`);
  const canvas = part("canvas");
  const field = part("field");
  const ink = canvas.getContext("2d");
  const note = document.querySelector("[data-b-note]");
  let socket;
  let state = {};
  let page = { width: 1280, height: 720 };
  let frames = 0;
  let moved = 0;
  let composing = false;
  const paper = part("paper");
  let zoom = { by: 1, x: 0, y: 0 };
  laid.replaceSync("");
  let fingersOf;

  const say = (order) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(order));
  const tell = (words) => {
    part("says").textContent = words;
  };

  async function open() {
    if (!root.isConnected) return;
    try {
      const answer = await fetch(root.dataset.ticket, { method: "POST" });
      if (!answer.ok) throw new Error(answer.status);
      const { ticket } = await answer.json();
      const at = new URL(root.dataset.view, location.href);
      at.protocol = at.protocol.replace("http", "ws");
      at.searchParams.set("ticket", ticket);
      socket = new WebSocket(at);
    } catch {
      again();
      return;
    }
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => (typeof data === "string" ? heard(JSON.parse(data)) : draw(data)));
    socket.addEventListener("close", again);
  }

  function again() {
    root.removeAttribute("data-live");
    part("state").textContent = "Not connected, retrying";
    if (root.isConnected) setTimeout(open, AGAIN);
  }

  async function draw(data) {
    const head = new DataView(data, 0, 4);
    page = { width: head.getUint16(0), height: head.getUint16(2) };
    try {
      const picture = await createImageBitmap(new Blob([data.slice(4)], { type: "image/jpeg" }));
      if (canvas.width !== picture.width || canvas.height !== picture.height) [canvas.width, canvas.height] = [picture.width, picture.height];
      ink.drawImage(picture, 0, 0);
      picture.close();
      root.setAttribute("data-live", "");
      canvas.dataset.frames = frames += 1;
    } finally {
      say({ do: "ack" });
    }
  }

  function heard({ state: now, problem }) {
    if (problem) tell(problem);
    if (!now) return;
    const before = state;
    state = now;
    // The list beside the view renews itself at that word.
    if (before.tabs && before.came !== now.came) document.body.dispatchEvent(new Event("hq:browser_shots"));
    const hides = Boolean(now.dark) && !now.sees;
    root.toggleAttribute("data-mine", now.mine);
    root.toggleAttribute("data-dark", Boolean(now.dark));
    const name = root.dataset.name;
    part("who").textContent = now.dark && !now.mine ? now.dark : now.mine ? `You’re in control, ${name} waits` : now.driver ? `${now.driver} is in control` : `${name} is in control`;
    part("what").textContent = hides
      ? "The page is hidden until the form is sent."
      : now.mine
        ? now.dark
          ? "Only you see the page until the form is sent."
          : "Click and type in the page. Ctrl Alt Q leaves it. Control returns automatically after 5 minutes without input."
        : now.doing && `About to ${now.doing}`;
    const take = part("take");
    take.hidden = now.mine || !now.may || (Boolean(now.driver) && !now.over);
    take.disabled = hides;
    part("hand").hidden = !now.mine;
    part("hide").hidden = !now.mine;
    part("hide").textContent = now.asked ? "Show again" : "Hide from others";
    part("dark").hidden = !hides;
    part("why").textContent = now.dark;
    aim(hides || now.mine ? null : now.aim);
    // Its size stays: what stands below does not jump.
    if (hides) ink.clearRect(0, 0, canvas.width, canvas.height);
    note?.toggleAttribute("hidden", !now.mine);
    const shown = now.tabs.find((tab) => tab.number === now.tab);
    const address = part("url");
    if (document.activeElement !== address) address.value = shown?.url ?? "";
    address.readOnly = !now.mine;
    for (const one of root.querySelectorAll("[data-b-wheel]")) one.disabled = !now.mine;
    part("files").hidden = !now.chooser;
    part("pick").multiple = now.chooser === "many";
    tabs(now);
    part("state").textContent = !now.running ? "Browser is off" : hides ? "Picture off" : shown ? "Live" : now.tabs.length ? "This tab is part of a private conversation" : "No tab is open";
    if (now.mine && !before.mine) (matchMedia("(pointer: coarse)").matches ? canvas : field).focus();
    if (!now.mine && before.mine) {
      take.focus();
      if (now.driver) tell(`${now.driver} has taken control`);
    }
  }

  // What the agent is about to press, over the picture: in parts of ten thousand of it.
  function aim(spot) {
    const box = part("aim");
    box.hidden = !spot;
    if (spot) ["left", "top", "width", "height"].forEach((side, at) => (box.style[side] = `${spot[at] / 100}%`));
  }

  function tabs({ tabs: all, tab: shown, mine }) {
    const row = part("tabs");
    const made = all.map(({ number, title, url }) => {
      const one = document.createElement("button");
      one.type = "button";
      one.role = "tab";
      one.textContent = title || url;
      one.title = url;
      one.ariaSelected = String(number === shown);
      one.disabled = !mine && number !== shown;
      one.addEventListener("click", () => mine && say({ do: "tab", tab: number }));
      one.addEventListener("auxclick", () => mine && say({ do: "close", tab: number }));
      return one;
    });
    row.replaceChildren(...made);
  }

  const take = () => say({ do: "take", over: Boolean(state.driver) });
  const hand = () => {
    const words = note?.querySelector("textarea");
    say({ do: "hand", note: words?.value ?? "" });
    if (words) words.value = "";
  };
  part("take").addEventListener("click", take);
  part("hand").addEventListener("click", hand);
  part("hide").addEventListener("click", () => say({ do: state.asked ? "unhide" : "hide" }));
  part("back").addEventListener("click", () => say({ do: "back" }));
  part("reload").addEventListener("click", () => say({ do: "reload" }));
  part("open").addEventListener("click", () => say({ do: "open" }));
  part("close").addEventListener("click", () => say({ do: "close", tab: state.tab }));
  part("go").addEventListener("submit", (event) => {
    event.preventDefault();
    say({ do: "go", url: part("url").value });
    field.focus();
  });

  /* ── Files of this machine, for a field of the page ── */
  const pick = part("pick");
  pick.addEventListener("change", async () => {
    if (!pick.files.length) return;
    const body = new FormData();
    for (const file of pick.files) body.append("file", file);
    pick.value = "";
    tell("Sending…");
    try {
      const answer = await fetch(root.dataset.upload, { method: "POST", body });
      tell(answer.ok ? "" : (await answer.json()).detail);
    } catch {
      tell("The upload failed. Choose the file again.");
    }
    field.focus();
  });
  part("no-file").addEventListener("click", () => say({ do: "no_file" }));

  /* ── Mouse and fingers ── */
  const held = (event) => (event.altKey ? 1 : 0) | (event.ctrlKey ? 2 : 0) | (event.metaKey ? 4 : 0) | (event.shiftKey ? 8 : 0);
  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    const at = (from, length, size) => Math.min(Math.max(((from / length) * size), 0), size);
    return { x: at(clientX - box.left, box.width, page.width), y: at(clientY - box.top, box.height, page.height) };
  }
  const mouse = (act, event, more) => say({ do: "mouse", act, ...place(event), button: event.button, clicks: event.detail || 1, modifiers: held(event), ...more });
  const on = (kind, does) => canvas.addEventListener(kind, (event) => state.mine && does(event), { passive: false });
  on("mousedown", (event) => {
    event.preventDefault();
    field.focus({ preventScroll: true });
    mouse("down", event);
  });
  on("mouseup", (event) => mouse("up", event));
  on("mousemove", (event) => {
    if (event.timeStamp - moved < MOVES) return;
    moved = event.timeStamp;
    mouse("move", event, { button: event.buttons & 1 ? 0 : -1, clicks: 0 });
  });
  on("contextmenu", (event) => event.preventDefault());
  on("wheel", (event) => {
    event.preventDefault();
    const scale = event.deltaMode === 1 ? 40 : 1;
    mouse("wheel", event, { button: -1, clicks: 0, dx: event.deltaX * scale, dy: event.deltaY * scale });
  });
  const touches = (event) => [...event.touches].map((one) => ({ ...place(one), id: one.identifier & 15 }));
  // The first touch is held back until it is clear whether it is a tap. A tap goes out as one message: over a slow line its
  // two halves would be a long press.
  let heldBack;
  const dropTouch = () => {
    clearTimeout(heldBack?.timer);
    const was = heldBack;
    heldBack = undefined;
    return was;
  };
  // Whether the page has been sent a start without its end.
  let touching = false;
  const sayTouch = (act, points) => {
    touching = points.length > 0 && act !== "tap";
    say({ do: "touch", act, points });
  };
  const sendTouch = () => {
    const was = dropTouch();
    if (was) sayTouch("start", was.points);
  };
  const fingerDoes = {
    start(event) {
      sendTouch();
      const points = touches(event);
      if (points.length > 1) return sayTouch("start", points);
      const { clientX: x, clientY: y } = event.touches[0];
      heldBack = { points, x, y, timer: setTimeout(sendTouch, LONG) };
    },
    move(event) {
      const { clientX, clientY } = event.touches[0];
      if (heldBack && Math.hypot(clientX - heldBack.x, clientY - heldBack.y) < TREMBLES) return;
      sendTouch();
      if (event.timeStamp - moved < MOVES) return;
      moved = event.timeStamp;
      sayTouch("move", touches(event));
    },
    end(event) {
      // The keyboard of a phone comes up for a field that has the focus.
      field.focus({ preventScroll: true });
      const tap = dropTouch();
      if (tap) sayTouch("tap", tap.points);
      else sayTouch("end", touches(event));
    },
    cancel() {
      dropTouch();
      if (touching) sayTouch("cancel", []);
    },
  };
  for (const [act, does] of Object.entries(fingerDoes)) {
    const hears = (event) => {
      if (gesture(event) || !state.mine) return;
      event.preventDefault();
      does(event);
    };
    canvas.addEventListener(`touch${act}`, hears, { passive: false });
  }

  /* ── Zoom, whoever has the wheel: two fingers or the buttons. What is pressed is looked up in the picture as it lies ── */
  function lay(by, x, y) {
    const within = (at, length) => Math.min(0, Math.max(at, length * (1 - by)));
    zoom = { by, x: within(x, paper.offsetWidth), y: within(y, paper.offsetHeight) };
    laid.replaceSync(by === 1 ? "" : `.b-view > .b-paper { transform: translate(${zoom.x}px, ${zoom.y}px) scale(${by}); }`);
    paper.parentElement.toggleAttribute("data-zoomed", by > 1);
    part("smaller").disabled = by === 1;
    part("larger").disabled = by === LARGEST;
    part("zoom").textContent = `${Math.round(by * 100)} %`;
  }
  // What lies at one point comes to lie at the other.
  function grow(wanted, from, to = from) {
    const by = Math.min(Math.max(wanted, 1), LARGEST);
    lay(by, to.x - ((from.x - zoom.x) / zoom.by) * by, to.y - ((from.y - zoom.y) / zoom.by) * by);
  }
  const middle = () => ({ x: paper.offsetWidth / 2, y: paper.offsetHeight / 2 });
  part("smaller").addEventListener("click", () => grow(zoom.by / STEP < 1.1 ? 1 : zoom.by / STEP, middle()));
  part("larger").addEventListener("click", () => grow(zoom.by * STEP, middle()));
  addEventListener("resize", () => lay(zoom.by, zoom.x, zoom.y));
  // Two fingers zoom and move the picture, and so does one for those who only watch. They do nothing in the page.
  function gesture(event) {
    const fingers = [...event.touches];
    if (!fingers.length) {
      const was = Boolean(fingersOf);
      fingersOf = undefined;
      return was;
    }
    const moves = fingers.length > 1 || (!state.mine && zoom.by > 1);
    if (!moves && !fingersOf) return false;
    event.preventDefault();
    if (!fingersOf && state.mine) fingerDoes.cancel();
    const box = paper.parentElement.getBoundingClientRect();
    const mean = (key) => fingers.reduce((sum, one) => sum + one[key], 0) / fingers.length;
    const [one, two] = fingers;
    const apart = two ? Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) : 0;
    const now = { count: fingers.length, x: mean("clientX") - box.left, y: mean("clientY") - box.top, apart };
    if (fingersOf?.count === now.count) grow(apart && fingersOf.apart ? (zoom.by * apart) / fingersOf.apart : zoom.by, fingersOf, now);
    fingersOf = now;
    return true;
  }

  /* ── Keys and words: a field that nobody sees takes them, as an input method needs one ── */
  // Only letters and digits have the number of their sign; that of a dot is the number of Delete.
  const stroke = (event, text) => ({ key: event.key, code: event.code, text, number: CODES[event.key] ?? (/^[a-z0-9]$/i.test(event.key) ? event.key.toUpperCase().charCodeAt(0) : 0), modifiers: held(event), repeats: event.repeat });
  const isText = (event) => [...event.key].length === 1 && !event.metaKey && (event.ctrlKey ? event.altKey || event.getModifierState("AltGraph") : true);
  document.addEventListener(
    "keydown",
    (event) => {
      if (state.mine && event.ctrlKey && event.altKey && event.code === "KeyQ") {
        event.preventDefault();
        event.stopImmediatePropagation();
        hand();
      }
    },
    true,
  );
  field.addEventListener("keydown", (event) => {
    if (!state.mine || event.isComposing || event.key === "Process" || event.key === "Unidentified") return;
    event.stopPropagation();
    // Paste comes as words, through the field.
    if ((event.ctrlKey || event.metaKey) && event.code === "KeyV") return;
    event.preventDefault();
    say({ do: "down", ...stroke(event, event.key === "Enter" ? "\r" : isText(event) ? event.key : "") });
  });
  field.addEventListener("keyup", (event) => {
    if (state.mine && !event.isComposing) say({ do: "up", ...stroke(event, "") });
  });
  const words = () => {
    if (field.value) say({ do: "text", text: field.value.slice(0, 10_000) });
    field.value = "";
  };
  field.addEventListener("compositionstart", () => (composing = true));
  field.addEventListener("compositionend", () => {
    composing = false;
    words();
  });
  field.addEventListener("input", () => composing || words());
  canvas.addEventListener("focus", () => state.mine && !matchMedia("(pointer: coarse)").matches && field.focus());
  addEventListener("pagehide", () => socket?.close());

  root.removeAttribute("hidden");
  open();
}

document.querySelectorAll(".live[data-view]").forEach(begin);

/* ── Pages of a run: the arrow keys leaf ── */
const ways = { ArrowLeft: "prev", ArrowRight: "next" };
if (document.querySelector("[data-leaves]")) {
  document.querySelector(".b-strip [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.matches?.("input, textarea, select")) return;
    const link = ways[event.key] && document.querySelector(`[data-leaves] [rel="${ways[event.key]}"]`);
    if (!link) return;
    event.preventDefault();
    link.click();
  });
}
