// A Markdown text as blocks, as the editor of pages asks for them (static/js/rich/rich.js): what HQ itself does with
// comrak, done here with another parser, so that the editor is tested without HQ.

import { toHtml } from 'hast-util-to-html';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { toHast } from 'mdast-util-to-hast';
import { gfm } from 'micromark-extension-gfm';

const NONE = new Set(['html', 'definition', 'footnoteDefinition']);
const bytes = (text) => Buffer.byteLength(text, 'utf8');

/** Whether something without a rich form stands in a block. */
function holdsNone(node) {
  if (NONE.has(node.type)) return true;
  const isRun = node.children?.some(({ type }) => type === 'text' || type === 'html') && node.type !== 'root';
  // Tags in running text are words.
  return !['paragraph', 'heading', 'tableCell'].includes(node.type) && !isRun && (node.children ?? []).some(holdsNone);
}

function asWords(node) {
  if (node.type === 'html') return { type: 'text', value: node.value };
  if (node.type === 'footnoteReference') return { type: 'text', value: `[^${node.label ?? node.identifier}]` };
  return node.children ? { ...node, children: node.children.map(asWords) } : node;
}

function definitions(node, found = []) {
  if (node.type === 'definition') found.push(node);
  for (const child of node.children ?? []) definitions(child, found);
  return found;
}

/** The widths of a table's columns, as HQ reads them in the row below the headings (src/web/md/table.rs). */
function widthsOf(line = '') {
  const row = /[|:\- \t]*$/.exec(line)[0].trim().replace(/^\||\|$/g, '');
  const signs = row.split('|').map((cell) => cell.trim().length);
  const isStated = signs.length > 1 && signs.every((count) => count >= 3) && signs.reduce((a, b) => a + b) === 50;
  return isStated ? `<colgroup>${signs.map((count) => `<col width="${count * 2}%">`).join('')}</colgroup>` : '';
}

/** The same of all tables of a block, in their order. */
function allWidths(node, lines) {
  if (node.type === 'table') return [widthsOf(lines[node.position.start.line])];
  return (node.children ?? []).flatMap((child) => allWidths(child, lines));
}

export function blocks(text) {
  const root = fromMarkdown(text, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] });
  const known = definitions(root);
  const lines = text.split(/\r\n|\n|\r/);
  return root.children.map((node) => {
    const [from, to] = [node.position.start.offset, node.position.end.offset].map((at) => bytes(text.slice(0, at)));
    if (holdsNone(node)) return { from, to, source: true };
    const html = toHtml(toHast({ type: 'root', children: [...known, asWords(node)] }));
    const widths = allWidths(node, lines);
    return { from, to, html: html.replace(/<table>/g, (tag) => tag + widths.shift()), source: false };
  });
}
