// The tools above a selection, and the menu of the table that the cursor is in. Alt F10 leads to them, Escape back.
import { Plugin, TextSelection } from "prosemirror-state";
import * as commands from "./commands.js";
import { element, icon, stand } from "./dom.js";
import { schema } from "./schema.js";
import { ACTIONS, tableAt } from "./table.js";

const { marks, nodes } = schema;
const MAC = /Mac|iP/.test(navigator.platform);
const keyName = (name) => (MAC ? name.replace("Ctrl ", "⌘") : name);

const TOOLS = [
  { name: "Bold", key: "Ctrl B", letter: "B", run: commands.toggle("strong"), is: (state) => commands.hasMark(state, marks.strong) },
  { name: "Italic", key: "Ctrl I", letter: "I", run: commands.toggle("em"), is: (state) => commands.hasMark(state, marks.em) },
  { name: "Strikethrough", key: "Ctrl Shift X", letter: "S", run: commands.toggle("strike"), is: (state) => commands.hasMark(state, marks.strike) },
  { name: "Code", key: "Ctrl E", symbol: "code", run: commands.toggle("code"), is: (state) => commands.hasMark(state, marks.code) },
  { name: "Link", key: "Ctrl K", symbol: "link", run: null, is: (state) => commands.hasMark(state, marks.link) },
  { name: "Heading", key: "Ctrl Alt 2", symbol: "heading", run: commands.heading(2), is: ({ selection: { $from } }) => $from.parent.type === nodes.heading },
  { name: "Quote", key: "Ctrl Shift .", symbol: "quote", run: commands.quote, is: (state) => commands.isInside(state, nodes.blockquote) },
  { name: "List", key: "Ctrl Shift 8", symbol: "list", run: commands.list("bullet_list"), is: (state) => commands.isInside(state, nodes.bullet_list) },
];

/* One stop for Tab; the arrows lead from button to button. */
function walk(event, buttons, view) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  const at = buttons.indexOf(document.activeElement);
  if (event.key === "Escape") view.focus();
  else if (step && 0 <= at) buttons[(at + step + buttons.length) % buttons.length].focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

class Bubble {
  constructor(editor, view) {
    Object.assign(this, { editor, view });
    this.buttons = TOOLS.map((tool, n) => this.button(tool, n));
    this.box = element("div", { class: "menu rich-tools", role: "toolbar", "aria-label": "Selection", hidden: true }, ...this.buttons);
    this.box.addEventListener("keydown", (event) => walk(event, this.buttons, view));
    editor.host.append(this.box);
    // While words are being selected nothing stands in the way.
    this.down = () => (this.isPressed = true);
    this.up = () => {
      this.isPressed = false;
      this.update(view);
    };
    // The focus has arrived where it goes when the event is over.
    this.turn = () => setTimeout(() => view.isDestroyed || this.update(view));
    view.dom.addEventListener("pointerdown", this.down);
    addEventListener("pointerup", this.up);
    for (const name of ["focusin", "focusout"]) editor.host.addEventListener(name, this.turn);
  }

  button({ name, key, letter, symbol, run }, n) {
    const words = `${name} (${keyName(key)})`;
    const facts = { type: "button", class: "btn", "data-kind": "ghost", "data-size": "s", "data-icon": true, "aria-label": words, title: words, tabindex: n ? "-1" : "0" };
    const made = element("button", facts, letter ? element("span", { "data-letter": letter }, letter) : icon(symbol));
    made.addEventListener("mousedown", (event) => event.preventDefault());
    made.addEventListener("click", () => {
      const { view, editor } = this;
      if (!run) return editor.link();
      run(view.state, view.dispatch, view);
      if (document.activeElement !== made) view.focus();
    });
    return made;
  }

  update(view) {
    const { state } = view;
    const { selection } = state;
    const isMeant = view.hasFocus() || this.box.contains(document.activeElement);
    if (!isMeant || this.isPressed || !(selection instanceof TextSelection) || selection.empty || commands.isCode(state)) {
      this.box.hidden = true;
      return;
    }
    TOOLS.forEach(({ is }, n) => (this.buttons[n].ariaPressed = String(is(state))));
    const isNew = this.box.hidden;
    this.box.hidden = false;
    if (isNew || !this.box.contains(document.activeElement)) {
      const byFinger = matchMedia("(pointer: coarse)").matches;
      stand(this.box, this.editor, byFinger ? selection.to : selection.from, { isAbove: !byFinger });
    }
  }

  focus() {
    if (!this.box.hidden) this.buttons[0].focus();
    return !this.box.hidden;
  }

  destroy() {
    removeEventListener("pointerup", this.up);
    this.box.remove();
  }
}

let count = 0;

class TableMenu {
  constructor(editor, view) {
    Object.assign(this, { editor, view, bound: [] });
    const id = `rich-table-${(count += 1)}`;
    const words = "Edit table";
    this.opener = element("button", { type: "button", class: "btn rich-table", "data-size": "s", "data-icon": true, popovertarget: id, "aria-label": words, title: words, "aria-haspopup": "menu", hidden: true }, icon("more"));
    this.menu = element("div", { class: "menu", popover: true, id, role: "menu", "aria-label": words }, ...ACTIONS.flatMap((group, n) => [...(n ? [element("hr")] : []), ...group.map((one) => this.line(one))]));
    this.menu.addEventListener("beforetoggle", () => this.allow());
    this.menu.addEventListener("toggle", ({ newState }) => newState === "open" && this.lines()[0].focus());
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") walk(event, this.lines(), view);
    });
    editor.host.append(this.opener, this.menu);
  }

  line({ name, run, is }) {
    const made = element("button", { type: "button", role: "menuitem", tabindex: "-1", ...(name.startsWith("Delete") ? { "data-tone": "danger" } : {}) }, element("span", {}, name));
    if (is) this.bound.push({ made, is });
    made.addEventListener("click", () => {
      const { view } = this;
      this.menu.hidePopover();
      run(view.state, view.dispatch, view);
      view.focus();
    });
    return made;
  }

  lines() {
    return [...this.menu.querySelectorAll("button")].filter(({ disabled }) => !disabled);
  }

  allow() {
    const at = tableAt(this.view.state);
    for (const { made, is } of this.bound) made.disabled = Boolean(at && !is(at));
  }

  update(view) {
    const here = tableAt(view.state);
    this.opener.hidden = !here;
    if (!here) return;
    const at = view.nodeDOM(here.pos)?.getBoundingClientRect();
    const edge = this.editor.host.getBoundingClientRect();
    if (!at) return;
    this.opener.style.left = `${Math.min(at.right, edge.right) - edge.left - this.opener.offsetWidth}px`;
    this.opener.style.top = `${at.top - edge.top - this.opener.offsetHeight - 2}px`;
  }

  focus() {
    if (!this.opener.hidden) this.opener.focus();
    return !this.opener.hidden;
  }

  destroy() {
    this.opener.remove();
    this.menu.remove();
  }
}

export const tools = (editor) => [
  new Plugin({ view: (view) => (editor.bubble = new Bubble(editor, view)) }),
  new Plugin({ view: (view) => (editor.tableMenu = new TableMenu(editor, view)) }),
];
