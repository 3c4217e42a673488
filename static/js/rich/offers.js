// What is offered while one types: blocks behind a /, pages behind [[, people, agents and items behind an @. Chosen with
// the arrow keys and Enter or Tab; the names come from the server.
import { Plugin, PluginKey } from "prosemirror-state";
import { Decoration, DecorationSet } from "prosemirror-view";
import { element, icon, stand } from "./dom.js";
import { inserts } from "./inserts.js";
import { schema } from "./schema.js";

const TYPED = [
  { kind: "block", pattern: /(?:^|\s)(\/[\p{L}\d]{0,20})$/u, name: "Insert" },
  { kind: "name", pattern: /(\[\[[^[\]\n]{0,60})$/, name: "Pages" },
  { kind: "name", pattern: /(?:^|[\s(])(@[\p{L}\p{N}_-]{0,30})$/u, name: "People, agents and items" },
  { kind: "name", pattern: /(?:^|[\s(])(#[\p{L}\p{N}_-]{1,30})$/u, name: "Tasks", needs: "richTasks" },
];
const ASK_AFTER = 80;
const key = new PluginKey("offers");
let count = 0;

/* What is being typed before the cursor, and where. */
function typed({ selection: { $from, empty } }, { dataset }) {
  if (!empty || !$from.parent.isTextblock || $from.parent.type.spec.code) return undefined;
  if (schema.marks.code.isInSet($from.marks())) return undefined;
  const before = $from.parent.textBetween(Math.max(0, $from.parentOffset - 80), $from.parentOffset, "\n", "\n");
  for (const one of TYPED) {
    const query = (!one.needs || one.needs in dataset) && one.pattern.exec(before)?.[1];
    if (query) return { ...one, query, from: $from.pos - query.length, to: $from.pos };
  }
  return undefined;
}

/* An answer of the server is Markdown: words, or one link. */
function nodesFor(insert) {
  const [, words, href] = /^\[((?:[^\\\]]|\\.)+)\]\(([^\s()]+)\)$/.exec(insert) ?? [];
  const text = (words ?? insert).replace(/\\([[\]\\])/g, "$1");
  return [schema.text(text, href ? [schema.marks.link.create({ href })] : []), schema.text(" ")];
}

class Offers {
  constructor(editor, view) {
    Object.assign(this, { editor, view, turn: 0, lines: [], at: 0 });
    this.id = `rich-offers-${(count += 1)}`;
    this.list = element("div", { role: "listbox", id: this.id, tabindex: "0" });
    this.title = element("p", { class: "head", "aria-hidden": "true" });
    this.box = element("div", { class: "menu rich-offers", hidden: true }, this.title, this.list);
    // The text keeps the focus while a line is pressed.
    const press = (event) => {
      event.preventDefault();
      const n = [...this.list.children].indexOf(event.target.closest("[role=option]"));
      if (n < 0) return;
      if (event.type === "mousedown") this.take(n);
      else if (n !== this.at) this.mark(n);
    };
    for (const type of ["mousedown", "mousemove"]) this.box.addEventListener(type, press);
    editor.host.append(this.box);
  }

  update(view, old) {
    const { open } = key.getState(view.state);
    if (open === key.getState(old).open) return;
    clearTimeout(this.timer);
    this.turn += 1;
    if (!open) return this.close();
    if (open.kind === "block") return this.show(open, inserts(open.query.slice(1), view.state, this.editor.box));
    this.timer = setTimeout(() => this.ask(open), ASK_AFTER);
  }

  async ask(open) {
    const { richNames } = this.editor.box.dataset;
    const turn = this.turn;
    if (!richNames) return;
    const url = new URL(richNames, location);
    url.searchParams.set("q", open.query);
    try {
      const answer = await fetch(url, { headers: { accept: "application/json" } });
      const names = answer.ok ? await answer.json() : [];
      if (turn === this.turn) this.show(open, names.map(({ label, insert, kind, put, about }) => ({ label: label ?? put, about: kind ?? about, insert: insert ?? put })));
    } catch {
      if (turn === this.turn) this.close();
    }
  }

  show(open, lines) {
    this.lines = lines;
    if (!lines.length) return this.close();
    this.title.textContent = open.name;
    this.list.ariaLabel = open.name;
    this.list.replaceChildren(...lines.map((line, n) => this.line(line, n)));
    this.box.hidden = false;
    stand(this.box, this.editor, open.from);
    this.view.dom.setAttribute("aria-controls", this.id);
    this.mark(0);
  }

  line({ label, about, icon: symbol, hint }, n) {
    const parts = [symbol && icon(symbol), element("span", {}, label), hint && element("kbd", {}, hint)];
    if (about) parts.push(element("small", {}, about));
    return element("div", { role: "option", id: `${this.id}-${n}` }, ...parts.filter(Boolean));
  }

  mark(at) {
    this.at = (at + this.lines.length) % this.lines.length;
    [...this.list.children].forEach((line, n) => {
      line.toggleAttribute("data-active", n === this.at);
      line.ariaSelected = String(n === this.at);
    });
    const line = this.list.children[this.at];
    this.view.dom.setAttribute("aria-activedescendant", line.id);
    line.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.lines = [];
    this.box.hidden = true;
    this.view.dom.removeAttribute("aria-activedescendant");
    this.view.dom.removeAttribute("aria-controls");
  }

  take(n) {
    const { view } = this;
    const { from, to } = key.getState(view.state).open;
    const { run, insert } = this.lines[n];
    if (run) {
      view.dispatch(view.state.tr.delete(from, to));
      run(this.editor, view);
    } else view.dispatch(view.state.tr.replaceWith(from, to, nodesFor(insert)).scrollIntoView());
    view.focus();
  }

  press(event) {
    if (this.box.hidden || event.ctrlKey || event.metaKey || event.altKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.mark(this.at + step);
    else if (event.key === "Escape") this.view.dispatch(this.view.state.tr.setMeta(key, "close"));
    else if (!event.shiftKey && ["Enter", "Tab"].includes(event.key)) this.take(this.at);
    else return false;
    return true;
  }

  destroy() {
    clearTimeout(this.timer);
    this.box.remove();
  }
}

export function offers(editor) {
  let box;
  return new Plugin({
    key,
    state: {
      init: () => ({}),
      apply(tr, old, _, state) {
        const meta = tr.getMeta(key);
        if (meta === "close") return { closed: old.open?.from };
        if (!tr.docChanged && !tr.selectionSet) return old;
        const open = typed(state, editor.box);
        // What was closed stays closed, and walking through a text opens nothing.
        const isNew = tr.docChanged && tr.getMeta("taken") === undefined;
        if (!open || (!old.open && !isNew) || open.from === old.closed) return { closed: open && old.closed };
        return { open };
      },
    },
    view: (view) => (box = new Offers(editor, view)),
    props: {
      handleKeyDown: (_, event) => {
        const used = box.press(event);
        if (used) event.stopPropagation();
        return used;
      },
      handleDOMEvents: {
        blur(view) {
          if (key.getState(view.state).open) view.dispatch(view.state.tr.setMeta(key, "close"));
        },
      },
      decorations(state) {
        const { open } = key.getState(state);
        if (!open) return null;
        return DecorationSet.create(state.doc, [Decoration.inline(open.from, open.to, { class: "rich-query" })]);
      },
    },
  });
}
