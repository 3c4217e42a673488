// The table around the cursor. Widths of columns are signs of the row below the headings: 50 together, each of which is
// two percent. The server reads them too (src/web/md/table.rs).

/** A table: its node and place, its widths, its cells by rows, and which of them has the cursor. */
export function tableAt({ selection: { $head } }) {
  let { depth } = $head;
  while (depth && $head.node(depth).type.name !== "table") depth -= 1;
  if (!depth) return undefined;
  const table = $head.node(depth);
  const rows = table.content.content.map((row) => row.content.content);
  const { widths } = table.attrs;
  return { table, pos: $head.before(depth), widths, rows, row: $head.index(depth), column: $head.index(depth + 1) };
}
