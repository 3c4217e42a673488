// HTML of other programs, before the schema takes what it knows of it: Word's lists are paragraphs, those of Google's
// documents stand beside the item that they belong to, and cells hold blocks or span others.
import { documentOf } from "./read.js";

const GONE = "script, meta, link, title, template, svg, button, input:not([type=checkbox])";
const styleOf = (one) => one.dataset.style ?? "";

/* A page takes no styles and no handlers from text, not even to look at them, and says so each time. */
const harmless = (html) =>
  html.replace(/<style[^]*?<\/style\s*>/gi, "").replace(/<[a-z](?:"[^"]*"|'[^']*'|[^'">])*>/gi, (tag) =>
    tag.replace(/\sstyle(?=\s*=)/gi, " data-style").replace(/\son[a-z]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)/gi, ""),
  );

const LOOKS = [
  ["strong", /font-weight:\s*(?:bold|[6-9]\d\d)/i],
  ["em", /font-style:\s*(?:italic|oblique)/i],
  ["s", /text-decoration[a-z-]*:[^;]*line-through/i],
];

/* What styles say of words becomes elements; a <b> that is not bold, as around Google's documents, goes. */
function looks(body) {
  for (const one of body.querySelectorAll("[data-style]")) {
    const style = styleOf(one);
    const align = /text-align:\s*(left|center|right)/i.exec(style)?.[1];
    if (align && one.matches("td, th")) one.setAttribute("align", align.toLowerCase());
    for (const [tag, pattern] of one.matches("span, font, a") ? LOOKS : []) {
      if (!pattern.test(style)) continue;
      const made = body.ownerDocument.createElement(tag);
      made.append(...one.childNodes);
      one.append(made);
    }
    if (one.matches("b, strong") && /font-weight:\s*(?:normal|[1-4]00)/i.test(style)) one.replaceWith(...one.childNodes);
    delete one.dataset.style;
  }
}

/* Which of Word's lists a paragraph is in, how deep, and whether it is numbered. */
function listOf(paragraph) {
  const [, name, level] = /mso-list:\s*(\S+)\s+level(\d+)/i.exec(styleOf(paragraph)) ?? [];
  if (!level) return undefined;
  const sign = [...paragraph.querySelectorAll("span")].find((one) => /mso-list:\s*ignore/i.test(styleOf(one)));
  const tag = /^\s*(?:\d+|[a-z]|[ivx]+)[.)]/i.test(sign?.textContent ?? "") ? "ol" : "ul";
  sign?.remove();
  return { name, level: Number(level), tag };
}

function wordLists(body) {
  const page = body.ownerDocument;
  let open = [];
  let last;
  for (const paragraph of body.querySelectorAll("p")) {
    const found = listOf(paragraph);
    if (!found) continue;
    if (paragraph.previousElementSibling !== open[0] || (found.level === 1 && found.name !== last)) open = [];
    open = open.slice(0, found.level);
    while (open.length < found.level) {
      const list = page.createElement(found.tag);
      const outer = open.at(-1);
      if (!outer) paragraph.before(list);
      else (outer.lastElementChild ?? outer.appendChild(page.createElement("li"))).append(list);
      open.push(list);
    }
    const item = page.createElement("li");
    item.append(...paragraph.childNodes);
    open.at(-1).append(item);
    last = found.name;
    paragraph.remove();
  }
}

function plainLists(body) {
  for (const list of body.querySelectorAll(":is(ul, ol) > :is(ul, ol)")) list.previousElementSibling?.append(list);
  // One paragraph an item is a list without gaps.
  for (const words of body.querySelectorAll("li > p:only-of-type")) words.replaceWith(...words.childNodes);
}

/* A cell holds words; one that spans others is followed by empty ones. */
function plainCells(body) {
  for (const block of body.querySelectorAll(":is(td, th) :is(p, div, h1, h2, h3, h4, h5, h6, ul, ol, li, pre, blockquote)")) {
    block.replaceWith(...block.childNodes, " ");
  }
  for (const cell of body.querySelectorAll("[colspan], [rowspan]")) {
    const more = Math.min(Number(cell.getAttribute("colspan") ?? 1), 50) - 1;
    for (let n = 0; n < more; n += 1) cell.after(body.ownerDocument.createElement(cell.tagName));
    cell.removeAttribute("colspan");
    cell.removeAttribute("rowspan");
  }
}

export function clean(html) {
  if (html.includes("data-pm-slice")) return html;
  const { body } = documentOf(harmless(html));
  for (const one of body.querySelectorAll(GONE)) one.remove();
  for (const one of body.querySelectorAll("*")) if (one.tagName.includes(":")) one.replaceWith(...one.childNodes);
  wordLists(body);
  looks(body);
  plainLists(body);
  plainCells(body);
  return body.innerHTML;
}
