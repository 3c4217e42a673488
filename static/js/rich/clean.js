// HTML of other programs, before the schema takes what it knows of it: Word's lists are paragraphs, a table may have
// cells that span others, and pages wrap blocks in links.
import { documentOf } from "./read.js";

/* How deep a paragraph of Word's is in a list, and whether it is numbered. */
function listOf(paragraph) {
  const level = /mso-list:[^;"]*level(\d+)/i.exec(paragraph.getAttribute("style") ?? "")?.[1];
  if (!level) return undefined;
  const sign = [...paragraph.querySelectorAll("span")].find((one) => /mso-list:\s*ignore/i.test(one.getAttribute("style") ?? ""));
  const tag = /^\s*(?:\d+|[a-z]|[ivx]+)[.)]/i.test(sign?.textContent ?? "") ? "ol" : "ul";
  sign?.remove();
  return { level: Number(level), tag };
}

function wordLists(body) {
  let open = [];
  let last;
  for (const paragraph of body.querySelectorAll("p")) {
    const found = listOf(paragraph);
    if (!found) continue;
    if (paragraph.previousElementSibling !== last) open = [];
    open = open.slice(0, found.level);
    const { ownerDocument: page } = body;
    while (open.length < found.level) {
      const list = page.createElement(found.tag);
      if (open.length) open.at(-1).lastElementChild?.append(list);
      if (!list.parentNode && !open.length) paragraph.before(list);
      if (!list.parentNode) open.at(-1).append(page.createElement("li").appendChild(list).parentNode);
      open.push(list);
    }
    const item = page.createElement("li");
    item.append(...paragraph.childNodes);
    open.at(-1).append(item);
    [last] = open;
    paragraph.remove();
  }
}

/* A cell that spans others is followed by empty ones: Markdown has no other. */
function plainCells(body) {
  for (const cell of body.querySelectorAll("[colspan], [rowspan]")) {
    const more = Math.min(Number(cell.getAttribute("colspan") ?? 1), 50) - 1;
    for (let n = 0; n < more; n += 1) cell.after(body.ownerDocument.createElement(cell.tagName));
    cell.removeAttribute("colspan");
    cell.removeAttribute("rowspan");
  }
}

export function clean(html) {
  if (html.includes("data-pm-slice")) return html;
  const { body } = documentOf(html);
  for (const gone of body.querySelectorAll("style, script, meta, link, title, template, svg, button, input:not([type=checkbox])")) gone.remove();
  for (const office of [...body.querySelectorAll("*")].filter(({ tagName }) => tagName.includes(":"))) office.replaceWith(...office.childNodes);
  wordLists(body);
  plainCells(body);
  return body.innerHTML;
}
