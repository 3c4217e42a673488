// Where the cursor is in the text of a page. Signs and words are counted by letters and digits, which both have.
import { Selection, TextSelection } from "prosemirror-state";
import { isEmpty } from "./compose.js";

const LETTER = /[\p{L}\p{N}]/gu;
const count = (text) => text.match(LETTER)?.length ?? 0;

/* Behind which sign of a text so many letters have passed. */
function behind(text, letters) {
  let left = letters;
  for (const { index, 0: sign } of text.matchAll(LETTER)) {
    left -= 1;
    if (left === 0) return index + sign.length;
  }
  return left < 0 || !letters ? 0 : text.length;
}

const textTo = (node, at) => node.textBetween(0, at, "\n", (leaf) => leaf.type.spec.leafText?.(leaf) ?? "");

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
    if (!isEmpty(node)) seen += 1;
    if (seen !== n || isEmpty(node) || node.isAtom) return;
    const letters = count(all[n].source.slice(0, left));
    let at = 0;
    while (at < node.content.size && count(textTo(node, at)) < letters) at += 1;
    found = TextSelection.near(doc.resolve(from + 1 + at), -1);
  });
  return found;
}

/** The place in the text that stands for the cursor in the page. */
export function offsetOf({ doc, selection: { head } }, { lead, all }) {
  const $head = doc.resolve(head);
  const n = doc.content.content.slice(0, $head.index(0)).filter((node) => !isEmpty(node)).length;
  if (!all[n]) return lead.length + all.reduce((sum, { source, gap }) => sum + source.length + gap.length, 0);
  const before = all.slice(0, n).reduce((sum, { source, gap }) => sum + source.length + gap.length, lead.length);
  if (!$head.depth) return before;
  const letters = count(textTo($head.node(1), head - $head.before(1) - 1));
  return before + behind(all[n].source, letters);
}
