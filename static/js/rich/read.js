// What the server says of a Markdown text, as blocks of the page: each with the piece of text that it was read from.
import { DOMParser as Reader } from "prosemirror-model";
import { isEmpty } from "./compose.js";
import { schema } from "./schema.js";

// HTML of our own server goes into a document of its own, where nothing of it runs or loads.
const policy = window.trustedTypes?.createPolicy("rich", { createHTML: (html) => html });
const reader = Reader.fromSchema(schema);

export const documentOf = (html) => new DOMParser().parseFromString(policy?.createHTML(html) ?? html, "text/html");

const BLOCKS = "p, h1, h2, h3, h4, h5, h6, ul, ol, pre, blockquote, table, hr, div";
const HOLDERS = "ul, ol, table, thead, tbody, tr, blockquote, body, div";

/* The box of an item of a checklist becomes a fact of the item. */
function readBox(box) {
  const item = box.closest("li");
  const next = box.nextSibling;
  if (next?.nodeType === Node.TEXT_NODE) next.data = next.data.trimStart();
  box.remove();
  if (item) item.dataset.checked = String(box.hasAttribute("checked"));
}

/* A note in the text is written as in the text; where it leads is a block of source. */
function readNote(note) {
  const name = note.querySelector("a")?.getAttribute("href")?.replace(/^#fn[-:]?/, "");
  note.replaceWith(`[^${decodeURIComponent(name ?? "1")}]`);
}

/* Ends of lines in running text are breaks; between blocks they are nothing. */
function readLines(text) {
  const { parentElement: parent, previousSibling: before, nextSibling: after } = text;
  if (parent.closest("pre")) return;
  const isEdge = (one) => !one || one.matches?.(BLOCKS);
  const holds = parent.matches(HOLDERS) || (parent.matches("li") && isEdge(before) && isEdge(after));
  if (holds && !text.data.trim()) return text.remove();
  let { data } = text;
  if (isEdge(before) || before.matches?.("br")) data = data.replace(/^\n+/, "");
  if (isEdge(after)) data = data.replace(/\n+$/, "");
  const made = data.split("\n").flatMap((part, n) => {
    if (!n) return [part];
    const end = text.ownerDocument.createElement("br");
    end.dataset.soft = "";
    return [end, part];
  });
  text.replaceWith(...made.filter((one) => one !== ""));
}

function nodesOf(html) {
  const { body } = documentOf(html);
  body.querySelectorAll("li input[type=checkbox]").forEach(readBox);
  body.querySelectorAll("sup.footnote-ref").forEach(readNote);
  const walker = body.ownerDocument.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  texts.forEach(readLines);
  for (const end of body.querySelectorAll("pre > code")) end.textContent = end.textContent.replace(/\n$/, "");
  return reader.parse(body, { preserveWhitespace: true }).content;
}

const sourceOf = (text) => schema.node("source", null, text ? schema.text(text) : []);

// Definitions and formulas that stand inside of a block would be lost when the block is written anew.
const LOST = [/^(?:[ \t>]|[-*+] |\d+[.)] )*\[(?:[^\]\\\n]|\\.)+\]:/m, /\$(?=\S)[^$\n]*\\[^\w\s$][^$\n]*(?<=\S)\$(?!\d)/];

function nodeOf(html, source, isSource) {
  if (isSource || (!/^\s*<pre/.test(html) && LOST.some((one) => one.test(source)))) return sourceOf(source);
  const found = nodesOf(html);
  // What can be seen nowhere, such as a link without words, would be lost.
  return found.childCount === 1 && !isEmpty(found.firstChild) ? found.firstChild : sourceOf(source);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const keyOf = ({ source, html }) => `${html ?? ""}\n\n${source}`;

/**
 * Blocks of a text: { lead, all: [{ node, source, gap }] }, where `lead`, and each source with the gap behind it, are
 * the text again. What the server has left out and is not empty becomes a block of source. A block that is in
 * `before`, which was read earlier, is not read again.
 */
export function read(text, blocks, before = { all: [] }) {
  const known = new Map(before.all.map((one) => [keyOf(one), one.node]));
  const bytes = encoder.encode(text);
  const cut = (from, to) => decoder.decode(bytes.subarray(from, to));
  const pieces = [];
  let at = 0;
  for (const { from, to, html, source } of blocks) {
    if (from < at || to < from || bytes.length < to) continue;
    pieces.push({ text: cut(at, from) }, { text: cut(from, to), html, isSource: source, isBlock: true });
    at = to;
  }
  pieces.push({ text: cut(at, bytes.length) });

  const base = { lead: "", all: [] };
  const gap = (words) => {
    if (base.all.length) base.all.at(-1).gap += words;
    else base.lead += words;
  };
  let indent = "";
  const block = (source, html, isSource = html === undefined) => {
    const node = known.get(keyOf({ source, html })) ?? nodeOf(html, source, isSource);
    base.all.push({ node, source, html, gap: "" });
  };
  for (const one of pieces) {
    if (!one.isBlock && one.text.trim()) {
      const [, before, words, after] = /^((?:[ \t]*\n)*)([^]*?)(\s*)$/.exec(one.text);
      gap(before);
      block(indent + words);
      [indent, one.text] = ["", after];
    }
    // A block begins with its line and ends with its last word.
    const [, words, edge] = (one.isBlock ? /^([^]*?)(\s*)$/ : /^([^]*?)([ \t]*)$/).exec(one.text);
    if (one.isBlock) {
      block(indent + words, one.html, one.isSource);
      gap(edge);
      indent = "";
    } else {
      gap(words);
      indent = edge;
    }
  }
  gap(indent);
  return base;
}

/* Whether the server's blocks are about this text: between them lies nothing. */
export function covers(text, blocks) {
  const bytes = encoder.encode(text);
  let at = 0;
  const rest = [...blocks.map(({ from, to }) => [from, to]), [bytes.length, bytes.length]];
  return rest.every(([from, to]) => {
    const isGap = at <= from && to <= bytes.length && !decoder.decode(bytes.subarray(at, from)).trim();
    at = to;
    return isGap;
  });
}

/** The page that blocks make; an empty text is one empty paragraph. */
export function page({ all }) {
  return schema.node("doc", null, all.length ? all.map(({ node }) => node) : [schema.node("paragraph")]);
}

/** Blocks of pasted Markdown. */
export const slice = (text, blocks) => page(read(text, blocks)).content;
