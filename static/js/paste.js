// Cells of a spreadsheet that are pasted into a table (table[data-paste]) go to the cells from the one with the focus on.
// HQ says first what would change and what would not, in a dialog over the page.
import htmx from "htmx.org";

document.addEventListener("paste", (event) => {
  const stop = document.activeElement;
  const box = stop?.closest("table[data-paste] tbody :is(td, th)");
  const text = event.clipboardData?.getData("text/plain");
  if (!box || !text || stop.matches("input:not([type=checkbox]), textarea, select")) return;
  event.preventDefault();
  const [table, row, layer] = [box.closest("table"), box.parentElement, document.getElementById("layer")];
  const rows = [...table.tBodies[0].rows].filter((one) => one.dataset.record);
  const fields = [...row.cells].slice(box.cellIndex).filter((one) => one.querySelector(".cell, .who"));
  const values = {
    rows: rows.slice(rows.indexOf(row)).map((one) => one.dataset.record).join(),
    fields: fields.map((one) => one.dataset.col ?? "name").join(),
    text,
  };
  htmx.ajax("POST", table.dataset.paste, { source: layer, target: layer, swap: "innerHTML", values });
});
