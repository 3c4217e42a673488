// One editor over one field. The field stays the truth: what is changed here is written into it at once, as if it
// had been typed there, and what others put into it comes in here. Between the two lies the server, which reads
// Markdown; where it cannot be asked the field goes on alone.
import { EditorState } from "prosemirror-state";
import { EditorView } from "prosemirror-view";
import { become } from "./become.js";
import { compose, textOf } from "./compose.js";
import { transfer } from "./diff.js";
import { toast } from "./dom.js";
import { inserts } from "./inserts.js";
import { askLink } from "./link.js";
import { parse } from "./parse.js";
import { attach } from "./paste.js";
import { offsetOf, placeIn } from "./place.js";
import { plugins } from "./plugins.js";
import { covers, page, read } from "./read.js";
import { nodeViews } from "./views.js";

const READ_AFTER = 150;
const ASK_AGAIN = 5000;
const JUST_NOW = 100;
const OFFERS = ["names", "slash"];
const TAKEN = "taken";
const field = HTMLTextAreaElement.prototype;
const value = Object.getOwnPropertyDescriptor(field, "value");

/* What the page brought along, if it is about the text that stands in the field. */
function brought(box) {
  const said = box.form?.querySelector("script[data-rich-blocks]");
  if (!said) return undefined;
  const { blocks } = JSON.parse(said.textContent);
  said.remove();
  return covers(box.value, blocks) ? blocks : undefined;
}

export class Editor {
  constructor(box, blocks) {
    Object.assign(this, { box, turn: 0, isSource: false, left: -JUST_NOW, kept: {} });
    this.host = document.createElement("div");
    this.host.className = "rich";
    // A live region stays as it is while somebody may be writing in it.
    this.host.dataset.keep = "";
    box.after(this.host);
    this.shown = box.value;
    this.base = read(this.shown, blocks);
    const hadFocus = document.activeElement === box;
    const offset = box.selectionStart;
    const editor = this;
    this.view = new EditorView(this.host, {
      state: EditorState.create({ doc: page(this.base), plugins: plugins(this) }),
      nodeViews,
      attributes: {
        class: "md",
        role: "textbox",
        "aria-multiline": "true",
        "aria-label": box.labels?.[0]?.textContent.trim() || box.getAttribute("aria-label") || "Text",
      },
      dispatchTransaction(tr) {
        this.updateState(this.state.apply(tr));
        if (tr.docChanged && !tr.getMeta(TAKEN)) editor.changed();
      },
    });
    this.veil(true);
    this.listen();
    if (hadFocus) this.focusAt(offset);
    const { richMore } = box.dataset;
    if (richMore) import(richMore).then(({ more }) => more(this, inserts));
  }

  /* Who sets the text of the field, or gives it the focus, means the editor. */
  listen() {
    const { box } = this;
    const later = () => this.later();
    Object.defineProperty(box, "value", {
      configurable: true,
      get: () => value.get.call(box),
      set(text) {
        value.set.call(box, text);
        later();
      },
    });
    box.setRangeText = (...how) => {
      field.setRangeText.apply(box, how);
      later();
    };
    box.focus = (...how) => (this.isSource ? field.focus.apply(box, how) : this.view.focus());
    this.host.addEventListener("focusout", () => (this.left = performance.now()));
    this.online = () => this.later();
    addEventListener("online", this.online);
  }

  /** Hides the field behind the editor, or the other way round. */
  veil(hides) {
    const { box, host } = this;
    host.hidden = !hides;
    // A long text that nobody sees would be laid out anew with each letter.
    box.hidden = hides;
    // What is offered in a field while one types is offered here by the editor.
    for (const name of OFFERS) {
      if (hides && name in box.dataset) this.kept[name] = box.dataset[name];
      if (hides) delete box.dataset[name];
      else if (name in this.kept) box.dataset[name] = this.kept[name];
    }
  }

  /* Somebody has changed the page: the field says so, with the words that came into it meanwhile. */
  changed() {
    const mine = textOf(this.parts());
    const theirs = this.box.value;
    const isBehind = theirs !== this.shown;
    const text = isBehind ? transfer(this.shown, mine, theirs) : mine;
    this.shown = mine;
    if (text === theirs) return;
    value.set.call(this.box, text);
    if (isBehind) this.later();
    this.box.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }

  /* The text of the field has come from elsewhere: it is read once nobody changes it any more. */
  later(wait = READ_AFTER) {
    clearTimeout(this.timer);
    if (!this.isSource && !this.isGone) this.timer = setTimeout(() => this.take(), wait);
  }

  async take() {
    const text = this.box.value;
    if (text === this.shown || this.isSource) return;
    if (this.view.composing) return this.later();
    const turn = (this.turn += 1);
    let blocks;
    try {
      blocks = await parse(this.box, text);
    } catch {
      return this.later(ASK_AGAIN);
    }
    if (turn !== this.turn || this.isGone) return;
    // Who goes on writing is not disturbed: both are read together, in a moment.
    if (this.box.value !== text || this.view.composing) return this.later();
    this.adopt(text, blocks);
  }

  adopt(text, blocks) {
    this.base = read(text, blocks, this.base);
    this.shown = text;
    const tr = become(this.view.state, page(this.base));
    if (tr.docChanged) this.view.dispatch(tr.setMeta(TAKEN, true).setMeta("addToHistory", false));
  }

  focusAt(offset) {
    const { state } = this.view;
    this.view.dispatch(state.tr.setSelection(placeIn(state.doc, this.parts(), offset)).scrollIntoView());
    this.view.focus();
  }

  /** Whether somebody writes here, or did until the page was swapped a moment ago, which takes the focus away. */
  isWriting() {
    return this.view.hasFocus() || performance.now() - this.left < JUST_NOW;
  }

  /** The cursor as a place in the text, for the field and for an editor that comes after this one. */
  offset() {
    return offsetOf(this.view.state, this.parts());
  }

  parts() {
    return compose(this.view.state.doc, this.base);
  }

  /** Shows the text as it is, or the page again. */
  async toggleSource() {
    const { box } = this;
    if (!this.isSource) {
      const at = this.offset();
      this.isSource = true;
      this.veil(false);
      box.focus();
      return box.setSelectionRange(at, at);
    }
    const at = box.selectionStart;
    const text = box.value;
    if (text !== this.shown) {
      try {
        this.adopt(text, await parse(box, text));
      } catch {
        return toast("Can’t show the page: no connection.");
      }
    }
    this.isSource = false;
    this.veil(true);
    this.focusAt(at);
    return this.later();
  }

  link() {
    askLink(this.view);
    return true;
  }

  /** From the text to what can be done with it: the tools of the selection, or the menu of the table. */
  focusTools() {
    return this.bubble.focus() || this.tableMenu.focus();
  }

  pickFiles() {
    const picker = Object.assign(document.createElement("input"), { type: "file", multiple: true });
    picker.addEventListener("change", () => attach(this, [...picker.files]));
    picker.click();
  }

  destroy() {
    this.isGone = true;
    clearTimeout(this.timer);
    removeEventListener("online", this.online);
    for (const name of ["value", "setRangeText", "focus"]) delete this.box[name];
    this.view.destroy();
    this.host.remove();
    this.isSource = true;
    this.veil(false);
  }
}

/** The blocks of a field's text; what is typed while the server reads it is read as well. */
export async function blocksOf(box) {
  let text = box.value;
  let blocks = brought(box) ?? (await parse(box, text));
  while (text !== box.value) {
    text = box.value;
    blocks = await parse(box, text);
  }
  return blocks;
}
