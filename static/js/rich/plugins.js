// What an editor is put together from.
import { history } from "prosemirror-history";
import { Plugin } from "prosemirror-state";
import { Decoration, DecorationSet } from "prosemirror-view";
import { keys } from "./keys.js";
import { offers } from "./offers.js";
import { outline } from "./outline.js";
import { paste } from "./paste.js";
import { rules } from "./rules.js";
import { tables } from "./table.js";
import { tools } from "./tools.js";

/* An empty page says how it begins. */
const hint = ({ box }) =>
  new Plugin({
    props: {
      decorations({ doc }) {
        const [only] = doc.content.content;
        if (doc.childCount > 1 || only.type.name !== "paragraph" || only.content.size) return null;
        const words = box.dataset.richHint ?? "Start writing, or press / for blocks";
        return DecorationSet.create(doc, [Decoration.node(0, only.nodeSize, { class: "rich-hint", "data-hint": words })]);
      },
    },
  });

/* A link is words while one writes; with Ctrl it is followed. */
const follow = new Plugin({
  props: {
    handleClick(view, _, event) {
      const link = event.target.closest?.("a[href]");
      if (!link || !(event.ctrlKey || event.metaKey)) return false;
      window.open(link.href, "_blank", "noopener");
      return true;
    },
  },
});

export const plugins = (editor) => [
  offers(editor),
  rules(),
  ...keys(editor),
  tables(),
  ...tools(editor),
  ...paste(editor),
  outline(),
  history(),
  hint(editor),
  follow,
];
