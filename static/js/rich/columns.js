// The widths of a table's columns: a handle on the border between two of them, Alt with an arrow in a cell (with Ctrl on a
// Mac, where Alt moves by words), and lines of the table's menu.
import { tableAt } from "./cells.js";
import { element } from "./dom.js";

// How far before a border the handle begins; the words of the next column begin at it.
const NEAR = 8;
const SIGNS = 50;
const LEAST = 3;
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const isMac = /Mac|iP/.test(navigator.platform);

const cellsOf = (table) => [...table.rows[0].cells];
const measure = (table) => cellsOf(table).map(({ offsetWidth }) => offsetWidth);

const sum = (all) => all.reduce((a, b) => a + b);

/* Widths in the proportion of some numbers; none for one column, and for more columns than there is room for. */
function fit(shares) {
  if (shares.length < 2 || SIGNS < shares.length * LEAST) return null;
  const made = shares.map((one) => Math.max(LEAST, Math.round((one * SIGNS) / sum(shares))));
  // What rounding leaves goes to the widest.
  for (let rest = SIGNS - sum(made); rest; rest -= Math.sign(rest)) made[made.indexOf(Math.max(...made))] += Math.sign(rest);
  return made;
}

/** Adds to an editor what sets widths; `tableMenu` is its menu of a table; `report` tells a screen reader what happened. */
export function columns(tableMenu, report) {
  const { editor, view, menu } = tableMenu;
  const { host } = editor;
  const handle = element("div", { class: "rich-column", hidden: true, "aria-hidden": "true" });
  host.append(handle);

  const set = ({ pos }, widths) => view.dispatch(view.state.tr.setNodeAttribute(pos, "widths", widths));

  /* Moves the border behind the column `left` by so many signs; what is said is about the column `said`. */
  const move = (at, left, by, said = left) => {
    const widths = fit(at.widths ?? measure(view.nodeDOM(at.pos)));
    if (!widths) return;
    const step = Math.max(LEAST - widths[left], Math.min(by, widths[left + 1] - LEAST));
    widths[left] += step;
    widths[left + 1] -= step;
    set(at, widths);
    report(`Column ${said + 1}: ${(widths[said] * 100) / SIGNS}%`);
  };

  /* Makes the column of the cursor wider, the last one at the cost of the one before it. */
  const widen = (by) => {
    const at = tableAt(view.state);
    if (!at) return false;
    const isLast = at.column + 1 === at.rows[0].length;
    move(at, isLast ? at.column - 1 : at.column, isLast ? -by : by, at.column);
    return true;
  };

  const bySteps = (event) => {
    const by = STEPS[event.key];
    if (!by || !event.altKey || event.ctrlKey !== isMac || event.metaKey || event.shiftKey || !widen(by)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  let border;
  let from;
  const lay = (x) => {
    const edge = host.getBoundingClientRect();
    const at = border.table.getBoundingClientRect();
    handle.style.left = `${x - edge.left}px`;
    handle.style.top = `${at.top - edge.top}px`;
    handle.style.height = `${at.height}px`;
  };
  const rightOf = (cell) => cell.getBoundingClientRect().right;
  const seek = ({ target, clientX, buttons, pointerType }) => {
    if (buttons || pointerType === "touch") return;
    const table = target.closest("table");
    const cells = table ? cellsOf(table).slice(0, -1) : [];
    const left = cells.findIndex((cell) => -1 <= rightOf(cell) - clientX && rightOf(cell) - clientX < NEAR);
    handle.hidden = left < 0;
    if (left < 0) return;
    border = { table, left };
    lay(rightOf(cells[left]));
  };
  const grab = (event) => {
    handle.setPointerCapture(event.pointerId);
    from = event.clientX;
  };
  const drop = ({ clientX }) => {
    const { table, left } = border;
    const way = clientX - from;
    leave();
    if (!way || !table.isConnected) return;
    const cell = view.state.doc.resolve(view.posAtDOM(cellsOf(table)[left], 0));
    move(tableAt({ selection: { $head: cell } }), left, Math.round((way * SIGNS) / sum(measure(table))));
  };
  const leave = () => {
    from = undefined;
    handle.hidden = true;
  };

  view.dom.addEventListener("keydown", bySteps, true);
  view.dom.addEventListener("pointermove", seek);
  // The cursor stays where it is.
  handle.addEventListener("mousedown", (event) => event.preventDefault());
  handle.addEventListener("pointerdown", grab);
  handle.addEventListener("pointermove", ({ clientX }) => from !== undefined && lay(clientX));
  handle.addEventListener("pointerup", (event) => from !== undefined && drop(event));
  handle.addEventListener("pointercancel", leave);
  handle.addEventListener("pointerleave", () => from === undefined && leave());

  const may = ({ rows: [{ length }] }) => 1 < length && length * LEAST <= SIGNS;
  const lines = [
    { name: "Widen column", run: () => widen(5), is: may },
    { name: "Narrow column", run: () => widen(-5), is: may },
    { name: "Reset widths", run: (state) => set(tableAt(state), null), is: ({ widths }) => widths },
  ];
  const made = lines.map((one) => tableMenu.line(one));
  [...menu.querySelectorAll("hr")].at(-1).before(element("hr"), ...made);
}
