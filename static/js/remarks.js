// Remarks in a delivered text: the words that are marked become the place of the next remark. There is
// always an empty line for one more; without script there is one.
const rows = () => [...document.querySelectorAll("#remarks .note-row")];

function spare() {
  const last = rows().at(-1);
  if (!last || ![...last.children].some((field) => field.value)) return last;
  const row = last.cloneNode(true);
  for (const field of row.children) field.value = "";
  last.after(row);
  return row;
}

document.addEventListener("input", ({ target }) => target.closest?.("#remarks") && spare());
// The selection stays while the button is pressed.
document.addEventListener("mousedown", (event) => event.target.closest?.("[data-remark]") && event.preventDefault());
document.addEventListener("click", ({ target }) => {
  if (!target.closest?.("[data-remark]")) return;
  const chosen = getSelection();
  const inText = chosen.anchorNode?.parentElement?.closest(".piece > :is(.md, .diff)");
  document.getElementById("remarks").open = true;
  const row = spare();
  const [quote, remark] = row.children;
  if (inText && !chosen.isCollapsed) quote.value = chosen.toString().trim().slice(0, 300);
  (quote.value ? remark : quote).focus();
});
