// Tables as Markdown has them: a first row of headings, one alignment and perhaps one width a column, no cell that spans
// others.
import { Plugin, TextSelection } from "prosemirror-state";
import { tableAt } from "./cells.js";
import { schema } from "./schema.js";

const { table: tableType, table_row: rowType, table_cell: cellType, table_header: headType, paragraph } = schema.nodes;

const cellsOf = (type, old) => type.create(old.attrs, old.content, old.marks);
const build = (rows, widths = null) =>
  tableType.create({ widths }, rows.map((cells, n) => rowType.create(null, cells.map((one) => cellsOf(n ? cellType : headType, one)))));

/* The place at the start of a cell, in a page that holds the table at `pos`. */
function placeOf(table, pos, row, column) {
  const size = (node, until) => node.content.content.slice(0, until).reduce((sum, { nodeSize }) => sum + nodeSize, 0);
  return pos + 1 + size(table, row) + 1 + size(table.child(row), column) + 1;
}

/* Leads to the end of a cell, or selects what it holds. */
function go(tr, table, pos, row, column, selects = false) {
  const at = placeOf(table, pos, row, column);
  const end = at + table.child(row).child(column).content.size;
  return tr.setSelection(TextSelection.create(tr.doc, selects ? at : end, end)).scrollIntoView();
}

/* A command that makes other rows of the rows, and says where the cursor is then; no rows are no table. */
const change = (make) => (state, dispatch) => {
  const at = tableAt(state);
  if (!at) return false;
  const made = make(at);
  const end = at.pos + at.table.nodeSize;
  const { tr } = state;
  if (made.rows.length && made.rows[0].length) {
    const { widths = at.widths } = made;
    const table = build(made.rows, widths);
    tr.replaceWith(at.pos, end, table);
    go(tr, table, at.pos, Math.min(made.row, made.rows.length - 1), Math.min(made.column, made.rows[0].length - 1));
  } else {
    tr.replaceWith(at.pos, end, paragraph.create());
    tr.setSelection(TextSelection.create(tr.doc, at.pos + 1)).scrollIntoView();
  }
  dispatch?.(tr);
  return true;
};

const inserted = (list, at, one) => [...list.slice(0, at), one, ...list.slice(at)];
const without = (list, at) => list.filter((_, n) => n !== at);
const empty = ({ attrs: { align } }) => cellType.create({ align });

const addRow = (by) => change(({ rows, row, column }) => ({ rows: inserted(rows, row + by, rows[0].map(empty)), row: row + by, column }));
const addColumn = (by) =>
  change(({ rows, row, column, widths }) => {
    const at = column + by;
    // The new column takes half of the width.
    const halves = widths && widths.flatMap((one, n) => (n === column ? [Math.ceil(one / 2), Math.floor(one / 2)] : one));
    return { rows: rows.map((cells) => inserted(cells, at, cellType.create())), row, column: at, widths: halves };
  });
const align = (way) =>
  change(({ rows, row, column }) => ({
    rows: rows.map((cells) => cells.map((one, n) => (n === column ? cellType.create({ align: way }, one.content) : one))),
    row,
    column,
  }));
const deleteRow = change(({ rows, row, column }) => ({ rows: without(rows, row), row, column }));
const deleteColumn = change(({ rows, row, column, widths }) => ({
  rows: rows.map((cells) => without(cells, column)),
  row,
  column,
  // Its neighbour takes its width.
  widths: widths && without(widths.map((one, n) => (n === (column ? column - 1 : 1) ? one + widths[column] : one)), column),
}));
const deleteTable = change(() => ({ rows: [] }));

/** What the menu of a table does, by groups; above the headings there is no row. */
export const ACTIONS = [
  [
    { name: "Insert row above", run: addRow(0), is: ({ row }) => row > 0 },
    { name: "Insert row below", run: addRow(1) },
    { name: "Insert column left", run: addColumn(0) },
    { name: "Insert column right", run: addColumn(1) },
  ],
  [
    { name: "Align left", run: align("left") },
    { name: "Align centre", run: align("center") },
    { name: "Align right", run: align("right") },
  ],
  [
    { name: "Delete row", run: deleteRow },
    { name: "Delete column", run: deleteColumn },
    { name: "Delete table", run: deleteTable },
  ],
];

const nextFirst = change(({ rows, row }) => ({ rows: [...rows, rows[0].map(empty)], row: row + 1, column: 0 }));

/** Tab leads to the next cell; behind the last one to a new row. */
export const nextCell = (step) => (state, dispatch) => {
  const at = tableAt(state);
  if (!at) return false;
  const width = at.rows[0].length;
  const next = at.row * width + at.column + step;
  if (next >= width * at.rows.length) return nextFirst(state, dispatch);
  if (0 <= next) dispatch?.(go(state.tr, at.table, at.pos, Math.floor(next / width), next % width, true));
  return true;
};

/** Enter leads to the row below, from the last one to a new one, and from one that was left empty out of the table. */
export const nextRow = (state, dispatch) => {
  const at = tableAt(state);
  if (!at) return false;
  const { table, pos, rows, row, column } = at;
  if (row + 1 < rows.length) {
    dispatch?.(go(state.tr, table, pos, row + 1, column, true));
    return true;
  }
  if (row < 2 || table.lastChild.textContent) return addRow(1)(state, dispatch);
  const end = pos + table.nodeSize;
  const tr = state.tr.insert(end, paragraph.create()).delete(end - 1 - table.lastChild.nodeSize, end - 1);
  dispatch?.(tr.setSelection(TextSelection.create(tr.doc, tr.mapping.map(end) - 1)).scrollIntoView());
  return true;
};

/** A line of `|a|b|` is the heading of a table. */
export const tableFromLine = (state, dispatch) => {
  const { $from, empty: isCursor } = state.selection;
  const line = $from.parent.textContent;
  if (!isCursor || $from.parent.type !== paragraph || !/^\|(?:[^|]+\|)+$/.test(line)) return false;
  const names = line.slice(1, -1).split("|").map((name) => name.trim());
  const heads = names.map((name) => cellType.create(null, name ? schema.text(name) : []));
  const table = build([heads, heads.map(empty)]);
  const tr = state.tr.replaceWith($from.before(), $from.after(), table);
  dispatch?.(go(tr, table, $from.before(), 1, 0));
  return true;
};

/* Whether a table is as Markdown can have it: rows of one length, headings in the first one, columns of one alignment. */
function isRight(rows) {
  const [heads] = rows;
  return rows.every(
    (cells, n) =>
      cells.length === heads.length &&
      cells.every(({ type, attrs }, column) => type === (n ? cellType : headType) && attrs.align === heads[column].attrs.align),
  );
}

function righted(rows) {
  const width = Math.max(1, ...rows.map(({ length }) => length));
  return build(
    rows.map((cells) =>
      Array.from({ length: width }, (_, n) => cellType.create({ align: rows[0][n]?.attrs.align ?? null }, cells[n]?.content)),
    ),
  );
}

/** What was pasted, or cut in two, becomes a table again. */
export const tables = () =>
  new Plugin({
    appendTransaction(_, old, { doc, tr, selection }) {
      if (old.doc === doc) return null;
      doc.descendants((node, pos) => {
        if (node.type !== tableType) return !node.isTextblock;
        const rows = node.content.content.map((row) => row.content.content);
        if (!isRight(rows)) tr.replaceWith(tr.mapping.map(pos), tr.mapping.map(pos + node.nodeSize), righted(rows));
        return false;
      });
      if (!tr.docChanged) return null;
      return tr.setSelection(TextSelection.near(tr.doc.resolve(Math.min(selection.head, tr.doc.content.size))));
    },
  });
