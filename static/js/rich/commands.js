// What can be done with the selection, by key, menu or button; and whether it is the case there already.
import { lift, setBlockType, toggleMark, wrapIn } from "prosemirror-commands";
import { liftListItem, wrapInList } from "prosemirror-schema-list";
import { TextSelection } from "prosemirror-state";
import { schema } from "./schema.js";

const { nodes, marks } = schema;

const depthOf = ({ $from }, type) => {
  for (let depth = $from.depth; depth > 0; depth -= 1) if ($from.node(depth).type === type) return depth;
  return 0;
};
export const isInside = (state, type) => depthOf(state.selection, type) > 0;
export const isCode = ({ selection: { $from } }) => Boolean($from.parent.type.spec.code);

export function hasMark({ selection, doc, storedMarks }, type) {
  const { from, to, empty, $from } = selection;
  return empty ? Boolean(type.isInSet(storedMarks ?? $from.marks())) : doc.rangeHasMark(from, to, type);
}

export const toggle = (name) => toggleMark(marks[name]);

/** A heading, or plain words again where it is one of that level. */
export const heading = (level) => (state, dispatch) => {
  const { parent } = state.selection.$from;
  const isOne = parent.type === nodes.heading && parent.attrs.level === level;
  return setBlockType(isOne ? nodes.paragraph : nodes.heading, isOne ? null : { level })(state, dispatch);
};

export const paragraph = setBlockType(nodes.paragraph);

export const quote = (state, dispatch) =>
  isInside(state, nodes.blockquote) ? lift(state, dispatch) : wrapIn(nodes.blockquote)(state, dispatch);

export const codeBlock = (state, dispatch) =>
  setBlockType(state.selection.$from.parent.type === nodes.code_block ? nodes.paragraph : nodes.code_block)(state, dispatch);

/* Ticks on the items that are selected, or none. */
function tick(tr, checked) {
  const { from, to } = tr.selection;
  tr.doc.nodesBetween(from, to, (node, pos) => {
    if (node.type === nodes.list_item && (node.attrs.checked === null) !== (checked === null)) tr.setNodeAttribute(pos, "checked", checked);
  });
  return tr;
}

/** A list of a kind: from words, from a list of another kind, or words again. */
export const list = (name, checked = null) => (state, dispatch) => {
  const type = nodes[name];
  const { selection } = state;
  const depth = Math.max(depthOf(selection, nodes.bullet_list), depthOf(selection, nodes.ordered_list));
  if (!depth) {
    return wrapInList(type)(state, dispatch && ((tr) => dispatch(checked === null ? tr : tick(tr, checked))));
  }
  const { $from } = selection;
  const isTask = $from.node(depth + 1)?.attrs.checked !== null;
  if ($from.node(depth).type === type && isTask === (checked !== null)) return liftListItem(nodes.list_item)(state, dispatch);
  if (dispatch) {
    const { tr } = state;
    if ($from.node(depth).type !== type) tr.setNodeMarkup($from.before(depth), type, { tight: $from.node(depth).attrs.tight });
    dispatch(tick(tr, checked));
  }
  return true;
};

/* Blocks in the place of an empty paragraph, or behind the block of the cursor. */
function insert(state, dispatch, made, inside) {
  if (!dispatch) return true;
  const { $from } = state.selection;
  const { tr } = state;
  const isFree = $from.parent.type === nodes.paragraph && !$from.parent.content.size;
  const at = isFree ? $from.before() : $from.after();
  tr.replaceWith(at, isFree ? $from.after() : at, made);
  const end = at + made.reduce((sum, { nodeSize }) => sum + nodeSize, 0);
  const cursor = inside ? at + 1 : end;
  dispatch(tr.setSelection(TextSelection.near(tr.doc.resolve(cursor), inside ? 1 : -1)).scrollIntoView());
  return true;
}

export const rule = (state, dispatch) =>
  insert(state, dispatch, [nodes.horizontal_rule.create(), nodes.paragraph.create()], false);

export const table = (state, dispatch) => {
  const row = (type) => nodes.table_row.create(null, [0, 1].map(() => type.create()));
  const made = [row(nodes.table_header), row(nodes.table_cell), row(nodes.table_cell)];
  return insert(state, dispatch, [nodes.table.create(null, made)], true);
};

/* A new paragraph at an edge of the page, and the cursor in it. */
function paragraphAt({ tr }, dispatch, at) {
  tr.insert(at, nodes.paragraph.create());
  dispatch?.(tr.setSelection(TextSelection.create(tr.doc, at + 1)).scrollIntoView());
  return true;
}

const isText = ({ parent, depth }) => depth === 1 && !parent.type.spec.code;

/** An arrow leads out of code, a table, a list or a quote that the page ends with. */
export const behind = (state, dispatch) => {
  const { $head, empty } = state.selection;
  const { size } = state.doc.content;
  if (!empty || !$head.depth || isText($head) || $head.pos !== size - $head.depth) return false;
  return paragraphAt(state, dispatch, size);
};

/** And of one that it begins with. */
export const before = (state, dispatch) => {
  const { $head, empty } = state.selection;
  if (!empty || !$head.depth || isText($head) || $head.pos !== $head.depth) return false;
  return paragraphAt(state, dispatch, 0);
};
