// The text that a page stands for. Blocks that nobody has touched keep their bytes, and so does what lies between them.
import { differences } from "./diff.js";
import { write } from "./write.js";

const PARTS = "\n\n";
const DEFINITION = /^[ \t>]*\[[^\]\n]+\]:/m;

const same = (a, b) => a === b || a.eq(b);
export const isEmpty = ({ type, content }) => type.name === "paragraph" && content.size === 0;

export function childrenOf(doc) {
  const all = [];
  doc.forEach((node) => isEmpty(node) || all.push(node));
  return all;
}

/* For each block of the page: which one of the base it is, or has been made of. */
function pairs(nodes, base) {
  const found = [];
  let shift = 0;
  const unchanged = (until) => {
    while (found.length < until) found.push({ at: found.length + shift, exact: true });
  };
  for (const { from, to, start, end } of differences(base, nodes, same)) {
    unchanged(start);
    // As many as before: each of the one before it. Otherwise the first ones, as long as they are alike.
    for (let n = start; n < end; n += 1) {
      const at = from + n - start;
      const isPair = at < to && (to - from === end - start || base[at].type === nodes[n].type);
      found.push({ at: isPair ? at : -1, exact: false });
    }
    shift = to - end;
  }
  unchanged(nodes.length);
  return found;
}

/* What lies between two blocks: as before, if that keeps them apart. */
function between(a, b, all) {
  const gap = a.pair.at + 1 === b.pair.at && 0 <= a.pair.at ? all[a.pair.at].gap : PARTS;
  if (/\n[ \t]*\n/.test(gap) || (a.pair.exact && b.pair.exact)) return gap;
  const isLike = ({ node, pair }) => all[pair.at].node.type === node.type;
  if (gap === PARTS || !isLike(a) || !isLike(b)) return PARTS;
  const ends = b.pair.exact || ["heading", "code_block", "horizontal_rule"].includes(a.node.type.name);
  return ends ? gap : PARTS;
}

/* Whether the bytes of a block would mean something else behind the block that is before it now. */
const turns = ({ node, source }, before) =>
  /^(?: {4}|\t)/.test(source) || (node.type === before.node.type && node.type.name.endsWith("_list"));

// What a block was written as last time, since with each letter only one is another.
const known = new WeakMap();

function written(node, about) {
  const last = known.get(node);
  const isSame = last && ["read", "hasNames", "before"].every((name) => last.about[name] === about[name]);
  const made = isSame ? last.made : write(node, about);
  if (!isSame) known.set(node, { about, made });
  return made;
}

/**
 * What a page is written as that was read as `base` and may have been changed since: `lead`, and each source with the
 * gap behind it.
 */
export function compose(doc, { lead, all }) {
  const nodes = childrenOf(doc);
  if (!nodes.length) return { lead: all.length ? "" : lead, all: [] };
  const found = pairs(nodes, all.map(({ node }) => node));
  const hasNames = nodes.some(({ type, textContent }) => type.name === "source" && DEFINITION.test(textContent));
  const made = { lead, all: [] };
  let before;
  nodes.forEach((node, n) => {
    const pair = found[n];
    const old = all[pair.at];
    const isKept = pair.exact && !(before && before.pair.at + 1 !== pair.at && turns(old, before));
    const beside = before?.node.type === node.type ? before.sign : undefined;
    const { text, sign } = isKept ? { text: old.source } : written(node, { read: old, hasNames, before: beside });
    if (before) made.all.at(-1).gap = between(before, { node, pair }, all);
    // Three dashes at the very beginning would be front matter.
    made.all.push({ node, source: !n && !isKept && text === "---" ? "***" : text, gap: "" });
    before = { node, pair, sign: sign ?? /^\s*\d*([-*+.)])/.exec(text)?.[1] };
  });
  made.all.at(-1).gap = all.at(-1)?.gap ?? "";
  return made;
}

export const textOf = ({ lead, all }) => lead + all.map(({ source, gap }) => source + gap).join("");
