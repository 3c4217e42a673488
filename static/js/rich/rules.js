// Markdown that is typed becomes what it means at once; one Backspace takes that back.
import { InputRule, inputRules, textblockTypeInputRule, wrappingInputRule } from "prosemirror-inputrules";
import { TextSelection } from "prosemirror-state";
import { schema } from "./schema.js";

const { nodes, marks } = schema;

/* Words between signs get a mark; the signs go. */
const marked = (pattern, type) =>
  new InputRule(pattern, (state, found, start, end) => {
    const [whole, lead, words] = found;
    const from = start + lead.length;
    const sign = (whole.length - lead.length - words.length) / 2;
    const { tr } = state;
    // What is typed last is not in the text yet.
    tr.delete(from + sign + words.length, end).delete(from, from + sign);
    tr.addMark(from, from + words.length, type.create());
    return tr.removeStoredMark(type);
  });

const linked = new InputRule(/\[([^[\]]+)\]\(([^\s()]+)\)$/, (state, [, words, href], start, end) => {
  const mark = marks.link.create({ href });
  return state.tr.replaceWith(start, end, schema.text(words, [mark])).removeStoredMark(marks.link);
});

const divided = new InputRule(/^(?:---|\*\*\*|___)$/, (state, _, start, end) => {
  const { $from } = state.selection;
  if ($from.parent.type !== nodes.paragraph || $from.parent.content.size > end - start) return null;
  const tr = state.tr.replaceWith($from.before(), $from.after(), [nodes.horizontal_rule.create(), nodes.paragraph.create()]);
  return tr.setSelection(TextSelection.create(tr.doc, $from.before() + 2));
});

/* A box at the start of an item, or of words that become one. */
const ticked = new InputRule(/^\[([ x]?)\] $/i, (state, [, sign], start, end) => {
  const { $from } = state.selection;
  const checked = sign.toLowerCase() === "x";
  const tr = state.tr.delete(start, end);
  const item = $from.node(-1);
  if (item.type === nodes.list_item) return $from.index(-1) ? null : tr.setNodeAttribute($from.before(-1), "checked", checked);
  if ($from.parent.type !== nodes.paragraph || !item.canReplaceWith($from.index(-1), $from.index(-1) + 1, nodes.bullet_list)) return null;
  const range = tr.doc.resolve(start).blockRange();
  return tr.wrap(range, [{ type: nodes.bullet_list }, { type: nodes.list_item, attrs: { checked } }]);
});

const numbered = wrappingInputRule(
  /^(\d{1,9})[.)] $/,
  nodes.ordered_list,
  ([, first]) => ({ start: Number(first) }),
  ([, first], before) => before.childCount + before.attrs.start === Number(first),
);

export const rules = () =>
  inputRules({
    rules: [
      textblockTypeInputRule(/^(#{1,6}) $/, nodes.heading, ([, { length: level }]) => ({ level })),
      wrappingInputRule(/^> $/, nodes.blockquote),
      wrappingInputRule(/^[-+*] $/, nodes.bullet_list),
      numbered,
      ticked,
      divided,
      marked(/(^|[^*])\*\*([^*\s](?:[^*]*[^*\s])?)\*\*$/, marks.strong),
      marked(/(^|[^_\p{L}\p{N}])__([^_\s](?:[^_]*[^_\s])?)__$/u, marks.strong),
      marked(/(^|[^*])\*([^*\s](?:[^*]*[^*\s])?)\*$/, marks.em),
      marked(/(^|[^_\p{L}\p{N}])_([^_\s](?:[^_]*[^_\s])?)_$/u, marks.em),
      marked(/(^|[^~])~~([^~\s](?:[^~]*[^~\s])?)~~$/, marks.strike),
      marked(/(^|[^`])`([^`]+)`$/, marks.code),
      linked,
    ],
  });
