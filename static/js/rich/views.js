// Blocks that are more than their words while they are written: boxes that are ticked, pictures from elsewhere, the
// language of code.
import { element } from "./dom.js";

const isElsewhere = (src) => {
  try {
    return new URL(src, location.href).origin !== location.origin;
  } catch {
    return true;
  }
};

function setAttribute(view, getPos, name, value) {
  const pos = getPos();
  if (pos !== undefined) view.dispatch(view.state.tr.setNodeAttribute(pos, name, value));
}

function item(node, view, getPos) {
  const { checked } = node.attrs;
  const dom = element("li", checked === null ? {} : { "data-checked": String(checked) });
  if (checked === null) return { dom, contentDOM: dom };
  const box = element("input", { type: "checkbox", class: "tick", "aria-label": "Done" });
  box.checked = checked;
  box.addEventListener("change", () => setAttribute(view, getPos, "checked", box.checked));
  const contentDOM = element("div");
  dom.append(element("span", { contenteditable: "false" }, box), contentDOM);
  return {
    dom,
    contentDOM,
    update: (next) => next.type === node.type && next.attrs.checked === checked,
    stopEvent: ({ target }) => target === box,
    ignoreMutation: (change) => !contentDOM.contains(change.target),
  };
}

/* A page loads nothing from a third party: such a picture is named and not shown. A width stands behind the words. */
function image({ type, attrs: first }, view, getPos) {
  const dom = element("span", { class: "rich-picture" });
  const draw = ({ src, alt, title }) => {
    const [, words, width] = /^([^]*?)\s*\|(\d{1,4}%?)$/.exec(alt) ?? [alt, alt];
    const shown = isElsewhere(src)
      ? element("span", { class: "rich-away", title: src }, `Picture: ${words || src}`)
      : element("img", { src, alt: words, width });
    dom.replaceChildren(shown, ...(title ? [element("small", {}, title)] : []));
  };
  let isSelected = false;
  let close;
  const select = (yes) => {
    isSelected = yes;
    dom.classList.toggle("ProseMirror-selectednode", yes);
    close = close?.();
    const { richPicture } = document.querySelector("[data-rich-picture]")?.dataset ?? {};
    if (yes && richPicture) import(richPicture).then(({ open }) => isSelected && (close ??= open(view, getPos, dom)));
  };
  draw(first);
  return {
    dom,
    update: (next) => next.type === type && (draw(next.attrs), true),
    selectNode: () => select(true),
    deselectNode: () => select(false),
    ignoreMutation: () => true,
    destroy: () => select(false),
  };
}

function code(node, view, getPos) {
  const contentDOM = element("code");
  const language = element("input", {
    "aria-label": "Language of the code",
    placeholder: "Language",
    autocapitalize: "none",
    autocomplete: "off",
    spellcheck: "false",
    size: "10",
  });
  const show = ({ attrs }) => language === document.activeElement || (language.value = attrs.info);
  show(node);
  language.addEventListener("input", () => setAttribute(view, getPos, "info", language.value.replace(/[`\n]/g, "").trim()));
  language.addEventListener("keydown", (event) => {
    if (!["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    view.focus();
  });
  const head = element("div", { contenteditable: "false" }, language);
  const dom = element("div", { class: "rich-code" }, head, element("pre", {}, contentDOM));
  return {
    dom,
    contentDOM,
    update(next) {
      if (next.type !== node.type) return false;
      show(next);
      return true;
    },
    stopEvent: ({ target }) => target === language,
    ignoreMutation: (change) => !contentDOM.contains(change.target),
  };
}

export const nodeViews = { list_item: item, image, code_block: code };
