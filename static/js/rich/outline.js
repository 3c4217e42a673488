// The headings of the page beside it, and which of them the cursor is below.
import { Plugin, TextSelection } from "prosemirror-state";
import { element } from "./dom.js";

const placeOf = () => document.querySelector("[data-rich-outline]");

function headingsOf(doc) {
  const all = [];
  doc.forEach((node, pos) => {
    const text = node.type.name === "heading" && node.textContent.trim();
    if (text) all.push({ text, level: node.attrs.level, pos });
  });
  return all;
}

class Outline {
  constructor(view) {
    this.view = view;
    this.draw();
  }

  update(view, old) {
    if (view.state.doc !== old.doc) this.draw();
    else if (view.state.selection !== old.selection) this.mark();
  }

  draw() {
    const place = placeOf();
    const all = (this.all = place ? headingsOf(this.view.state.doc) : []);
    if (!place) return;
    const key = JSON.stringify(all.map(({ text, level }) => [text, level]));
    if (place.dataset.shown !== key) {
      place.dataset.shown = key;
      const least = Math.min(...all.map(({ level }) => level));
      const links = all.map(({ text, level }, n) => this.link(text, Math.min(level - least + 2, 4), n));
      place.replaceChildren(...(links.length ? [element("p", { class: "meta" }, "On this page"), ...links] : []));
    }
    this.mark();
  }

  link(text, level, n) {
    const made = element("a", { href: `#heading-${n + 1}`, "data-l": level }, text);
    made.addEventListener("click", (event) => {
      event.preventDefault();
      const { view } = this;
      const at = this.all[n].pos;
      view.dispatch(view.state.tr.setSelection(TextSelection.near(view.state.doc.resolve(at + 1))));
      view.focus();
      const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      view.nodeDOM(at)?.scrollIntoView({ block: "start", behavior: isCalm ? "instant" : "smooth" });
    });
    return made;
  }

  mark() {
    const here = this.view.state.selection.from;
    const at = this.all.findLastIndex(({ pos }) => pos <= here);
    placeOf()?.querySelectorAll("a").forEach((link, n) => (link.ariaCurrent = n === at ? "true" : null));
  }
}

export const outline = () => new Plugin({ view: (view) => new Outline(view) });
