// The dialog of a link: its address, and its words where none are selected.
import { TextSelection } from "prosemirror-state";
import { element } from "./dom.js";
import { schema } from "./schema.js";

const { link } = schema.marks;
// Markdown has no other way to run what a link says.
const SAFE = /^(?:https?:|mailto:|tel:|[/#?.]|[^:/?#]+(?:[/?#]|$))/i;

/* The link around the cursor, as far as it goes. */
function around({ selection: { $from, from, to, empty } }) {
  const mark = link.isInSet($from.marks()) ?? link.isInSet($from.nodeAfter?.marks ?? []);
  let found = { from, to };
  if (!mark || !empty) return { ...found, mark };
  let start;
  $from.parent.forEach((node, offset) => {
    const at = $from.start() + offset;
    start = mark.isInSet(node.marks) ? (start ?? at) : undefined;
    if (start <= from && from <= at + node.nodeSize) found = { from: start, to: at + node.nodeSize };
  });
  return { ...found, mark };
}

const MAIL = /^[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+$/;
const HOST = /^(?:[\w-]+\.)+[a-z]{2,}(?:[/?#]|$)/i;
const FILE = /^[^/]+\.(?:md|pdf|png|jpe?g|txt|csv)$/i;

/* What was typed as people say it: hosts and mail addresses. */
function addressOf(typed) {
  const text = typed.trim();
  if (MAIL.test(text)) return `mailto:${text}`;
  return HOST.test(text) && !FILE.test(text) ? `https://${text}` : text;
}

function field(label, name, value, more = {}) {
  const id = `rich-link-${name}`;
  const input = element("input", { class: "input", id, name, autocomplete: "off", ...more });
  input.value = value;
  return [element("div", { class: "field" }, element("label", { for: id }, label), input), input];
}

export function askLink(view) {
  const { state } = view;
  if (!state.selection.$from.parent.type.allowsMarkType(link)) return;
  const { from, to, mark } = around(state);
  const about = { required: true, spellcheck: "false", inputmode: "url" };
  const [addressField, address] = field("Address", "address", mark?.attrs.href ?? "", about);
  const [wordsField, words] = field("Text", "words", "");
  const button = (label, kind, more) => element("button", { class: "btn", "data-kind": kind, ...more }, label);
  const cancel = button("Cancel", "ghost", { type: "button" });
  const remove = button("Remove link", "ghost", { value: "remove", formnovalidate: true });
  const add = button(mark ? "Save link" : "Add link", "primary", { value: "save" });
  const dialog = element(
    "dialog",
    { class: "dialog", "data-size": "s", "aria-labelledby": "rich-link-title" },
    element("header", {}, element("h2", { id: "rich-link-title" }, "Link")),
    element(
      "form",
      { method: "dialog" },
      element("div", { class: "body" }, addressField, ...(from === to ? [wordsField] : [])),
      // Enter presses the first one: it stands before the one that removes.
      element("footer", { class: "rich-link" }, add, ...(mark ? [remove] : []), cancel),
    ),
  );
  cancel.addEventListener("click", () => dialog.close());
  address.addEventListener("input", () => {
    address.setCustomValidity(SAFE.test(addressOf(address.value)) ? "" : "This doesn’t look like a URL.");
  });
  dialog.addEventListener("close", () => {
    const { returnValue } = dialog;
    dialog.remove();
    view.focus();
    if (returnValue === "remove") view.dispatch(view.state.tr.removeMark(from, to, link));
    else if (returnValue === "save") save(view, { from, to }, addressOf(address.value), words.value.trim());
  });
  (document.getElementById("layer") ?? document.body).append(dialog);
  dialog.showModal();
  address.focus();
}

function save(view, { from, to }, href, typed) {
  const { tr } = view.state;
  const words = from === to ? typed || href.replace(/^mailto:/, "") : "";
  if (words) tr.insertText(words, from);
  const end = words ? from + words.length : to;
  tr.removeMark(from, end, link).addMark(from, end, link.create({ href }));
  view.dispatch(tr.setSelection(TextSelection.create(tr.doc, end)).removeStoredMark(link).scrollIntoView());
}
