// One page becomes another by the smallest changes, so that the cursor stays between the same words.
import { Fragment } from "prosemirror-model";
import { childrenOf, isEmpty } from "./compose.js";
import { differences } from "./diff.js";

const same = (a, b) => a === b || a.eq(b);

/* Where the blocks of a page stand; empty paragraphs are in no text, so they stay where they are. */
function placesOf(doc) {
  const all = [];
  doc.forEach((node, from) => isEmpty(node) || all.push({ node, from, to: from + node.nodeSize }));
  return all;
}

function put(tr, begin, finish, content, isNarrow) {
  const was = tr.doc.slice(begin, finish).content;
  const start = isNarrow ? was.findDiffStart(content, begin) : begin;
  if (start === null) return;
  if (!isNarrow) return void tr.replaceWith(begin, finish, content);
  const ends = was.findDiffEnd(content, finish, begin + content.size);
  const over = Math.max(0, start - Math.min(ends.a, ends.b));
  const whole = tr.doc.type.create(null, content);
  tr.replace(start, ends.a + over, whole.slice(start - begin, ends.b + over - begin));
}

function changes(state, next, isNarrow) {
  const { doc, tr } = state;
  const old = placesOf(doc);
  const now = childrenOf(next);
  if (!old.length || !now.length) return same(doc, next) ? tr : tr.replaceWith(0, doc.content.size, next.content);
  const found = differences(old.map(({ node }) => node), now, same);
  for (const { from, to, start, end } of found.reverse()) {
    const begin = old[from]?.from ?? doc.content.size;
    put(tr, begin, from < to ? old[to - 1].to : begin, Fragment.from(now.slice(start, end)), isNarrow);
  }
  return tr;
}

export function become(state, next) {
  const tr = changes(state, next, true);
  const now = childrenOf(next);
  const made = childrenOf(tr.doc);
  const isRight = made.length === now.length && made.every((node, n) => same(node, now[n]));
  return isRight ? tr : changes(state, next, false);
}
