// The tools above a selection, and the menu of the table that the cursor is in. Alt F10 leads to them, Escape back.
import { Plugin, TextSelection } from "prosemirror-state";
import * as commands from "./commands.js";
import { element, icon, stand } from "./dom.js";
import { schema } from "./schema.js";
import { TableMenu } from "./tablemenu.js";
import { walk } from "./walk.js";

const { marks, nodes } = schema;
const MAC = /Mac|iP/.test(navigator.platform);
const keyName = (name) => (MAC ? name.replace("Ctrl ", "⌘") : name);

const marked = (name) => ({ run: commands.toggle(name), is: (state) => commands.hasMark(state, marks[name]) });
const inside = (name, run) => ({ run, is: (state) => commands.isInside(state, nodes[name]) });

const TOOLS = [
  { name: "Bold", key: "Ctrl B", letter: "B", ...marked("strong") },
  { name: "Italic", key: "Ctrl I", letter: "I", ...marked("em") },
  { name: "Strikethrough", key: "Ctrl Shift X", letter: "S", ...marked("strike") },
  { name: "Code", key: "Ctrl E", symbol: "code", ...marked("code") },
  { name: "Link", key: "Ctrl K", symbol: "link", ...marked("link"), run: null },
  { name: "Heading", key: "Ctrl Alt 2", symbol: "heading", ...inside("heading", commands.heading(2)) },
  { name: "Quote", key: "Ctrl Shift .", symbol: "quote", ...inside("blockquote", commands.quote) },
  { name: "List", key: "Ctrl Shift 8", symbol: "list", ...inside("bullet_list", commands.list("bullet_list")) },
];

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
    const looks = { class: "btn", "data-kind": "ghost", "data-size": "s", "data-icon": true };
    const facts = { type: "button", "aria-label": words, title: words, tabindex: n ? "-1" : "0" };
    const sign = letter ? element("span", { class: "letter", "data-letter": letter }, letter) : icon(symbol);
    const made = element("button", { ...looks, ...facts }, sign);
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
    const isText = selection instanceof TextSelection && !selection.empty && !commands.isCode(state);
    if (!isMeant || this.isPressed || !isText) {
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

export const tools = (editor) => [
  new Plugin({ view: (view) => (editor.bubble = new Bubble(editor, view)) }),
  new Plugin({ view: (view) => (editor.tableMenu = new TableMenu(editor, view)) }),
];
