// Keys of the editor. Tab moves items of lists and from cell to cell; anywhere else it leaves the editor, as does
// Escape everywhere.
import { baseKeymap, chainCommands, exitCode, setBlockType } from "prosemirror-commands";
import { redo, undo } from "prosemirror-history";
import { undoInputRule } from "prosemirror-inputrules";
import { keymap } from "prosemirror-keymap";
import { liftListItem, sinkListItem, splitListItem } from "prosemirror-schema-list";
import { before, behind, codeBlock, heading, isInside, list, paragraph, quote, toggle } from "./commands.js";
import { schema } from "./schema.js";
import { nextCell, nextRow, tableFromLine } from "./table.js";

const { nodes } = schema;

const isAtStart = ({ selection: { empty, $head } }) => empty && !$head.parentOffset;

const lineBreak = (state, dispatch) => {
  if (isInside(state, nodes.table)) return true;
  dispatch?.(state.tr.replaceSelectionWith(nodes.hard_break.create()).scrollIntoView());
  return true;
};

const splitItem = (state, dispatch) => {
  const { $from } = state.selection;
  const isTask = ($from.node(-1)?.attrs.checked ?? null) !== null;
  return splitListItem(nodes.list_item, isTask ? { checked: false } : undefined)(state, dispatch);
};

/** Three backticks and a language at the start of a line. */
const codeFromLine = (state, dispatch) => {
  const { $from, empty } = state.selection;
  const found = /^(?:```|~~~)([\w+#.-]*)$/.exec($from.parent.textContent);
  if (!found || !empty || $from.parent.type !== nodes.paragraph) return false;
  const { tr } = state;
  tr.delete($from.start(), $from.end()).setBlockType($from.start(), $from.start(), nodes.code_block, { info: found[1] });
  dispatch?.(tr.scrollIntoView());
  return true;
};

/* At the start of words that are more than a paragraph: first they become one. Source does when it is empty. */
const plainFirst = (state, dispatch) => {
  const { parent } = state.selection.$head;
  const isMore = [nodes.heading, nodes.code_block].includes(parent.type) || (parent.type === nodes.source && !parent.content.size);
  if (!isAtStart(state) || !isMore) return false;
  return setBlockType(nodes.paragraph)(state, dispatch);
};

const liftFirst = (state, dispatch) =>
  isAtStart(state) && state.selection.$head.index(-1) === 0 && liftListItem(nodes.list_item)(state, dispatch);

const leave = (state, dispatch, view) => {
  view.dom.blur();
  return true;
};

const submit = ({ form }) => () => {
  form?.requestSubmit(form.querySelector("[data-default]"));
  return !!form;
};

export const keys = (editor) => [
  keymap({
    "Mod-b": toggle("strong"),
    "Mod-i": toggle("em"),
    "Mod-Shift-x": toggle("strike"),
    "Mod-e": toggle("code"),
    "Mod-k": () => editor.link(),
    "Mod-Alt-0": paragraph,
    "Mod-Alt-1": heading(1),
    "Mod-Alt-2": heading(2),
    "Mod-Alt-3": heading(3),
    "Mod-Alt-c": codeBlock,
    "Mod-Shift-7": list("ordered_list"),
    "Mod-Shift-8": list("bullet_list"),
    "Mod-Shift-9": list("bullet_list", false),
    "Mod-Shift-.": quote,
    "Mod-z": undo,
    "Mod-y": redo,
    "Mod-Shift-z": redo,
    "Mod-Enter": chainCommands(exitCode, submit(editor.box)),
    "Shift-Enter": chainCommands(exitCode, lineBreak),
    Enter: chainCommands(nextRow, tableFromLine, codeFromLine, splitItem),
    Tab: chainCommands(nextCell(1), sinkListItem(nodes.list_item)),
    "Shift-Tab": chainCommands(nextCell(-1), liftListItem(nodes.list_item)),
    Backspace: chainCommands(undoInputRule, plainFirst, liftFirst),
    ArrowDown: behind,
    ArrowUp: before,
    "Alt-F10": () => editor.focusTools(),
    Escape: leave,
  }),
  keymap(baseKeymap),
];
