// Where the cursor is in the text of a page. Signs and words are counted by letters and digits, which both have.
import { Selection, TextSelection } from "prosemirror-state";
import { isEmpty } from "./compose.js";

const LETTER = /[\p{L}\p{N}]/gu;
const count = (text) => text.match(LETTER)?.length ?? 0;
const textTo = (node, at) => node.textBetween(0, at, "\n", (leaf) => leaf.type.spec.leafText?.(leaf) ?? "");

/* Behind which sign of a text so many letters have passed, and then what else there is of `tail`. */
function behind(text, letters, tail) {
  let left = letters;
  let at = 0;
  for (const { index, 0: sign } of text.matchAll(LETTER)) {
    if (!left) break;
    left -= 1;
    at = index + sign.length;
  }
  for (const sign of tail) {
    if (text[at] !== sign) break;
    at += 1;
  }
  return at;
}

const tailOf = (text) => /[^\p{L}\p{N}]*$/u.exec(text)[0];

/** The place in the page that stands for a place in its text. */
export function placeIn(doc, { lead, all }, offset) {
  let left = Math.max(0, offset - lead.length);
  let n = 0;
  while (n + 1 < all.length && all[n].source.length + all[n].gap.length <= left) {
    left -= all[n].source.length + all[n].gap.length;
    n += 1;
  }
  let found = Selection.atStart(doc);
  let seen = -1;
  doc.forEach((node, from) => {
    if (isEmpty(node)) return;
    seen += 1;
    if (seen !== n || node.isAtom) return;
    const before = all[n].source.slice(0, left);
    const own = textTo(node, node.content.size);
    const until = behind(own, count(before), tailOf(before));
    let at = 0;
    while (at < node.content.size && textTo(node, at).length < until) at += 1;
    found = TextSelection.near(doc.resolve(from + 1 + at), -1);
  });
  return found;
}

/** The place in the text that stands for the cursor in the page. */
export function offsetOf({ doc, selection: { head } }, { lead, all }) {
  const $head = doc.resolve(head);
  const n = doc.content.content.slice(0, $head.index(0)).filter((node) => !isEmpty(node)).length;
  const before = all.slice(0, n).reduce((sum, { source, gap }) => sum + source.length + gap.length, lead.length);
  if (!all[n] || !$head.depth) return before;
  const own = textTo($head.node(1), head - $head.before(1) - 1);
  return before + behind(all[n].source, count(own), tailOf(own));
}
