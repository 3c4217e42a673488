// Words with their marks as Markdown: as few signs and escapes as mean the same again.

const SPACE = /^\s*$/;
const WORD = /[\p{L}\p{N}]/u;
const PUNCTUATION = /[\p{P}\p{S}]/u;
// Tags are words on HQ's pages: they stay as they were typed.
const TAG = /^<(?:\/?[a-z][\w-]*(?:\s[^<>]*)?\/?>|!--[^]*?-->)/i;
const ENTITY = /^&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});/i;
const LINK_LIKE = /\][([:]/;
const KEPT = /^(?:\[\[[^[\]\n]+\]\]|\[\^[^\s[\]]+\](?!:))/;

/* One sign of a text, escaped where it would be read as something else. */
function sign(text, at, { hasLinks, tildes }) {
  const c = text[at];
  // At its edges a sign of a mark may follow.
  const [before, after] = [text[at - 1] ?? "!", text[at + 1] ?? "!"];
  const alone = SPACE.test(before) && SPACE.test(after);
  const isRisky =
    c === "`" ||
    (c === "\\" && /[!-/:-@[-`{-~\n]/.test(after)) ||
    (c === "*" && !alone) ||
    (c === "_" && !alone && !(WORD.test(before) && WORD.test(after))) ||
    (c === "~" && tildes) ||
    (c === "<" && /^<(?:[a-z][a-z\d+.-]+:|[^\s<>@]+@)[^\s<>]*>/i.test(text.slice(at))) ||
    (c === "&" && ENTITY.test(text.slice(at))) ||
    ((c === "[" || c === "]") && hasLinks);
  return isRisky ? `\\${c}` : c;
}

function words(text, about) {
  let out = "";
  for (let at = 0; at < text.length; at += 1) {
    const rest = text.slice(at);
    const whole = (text[at] === "<" && TAG.exec(rest)) || (text[at] === "[" && KEPT.exec(rest));
    out += whole ? whole[0] : sign(text, at, about);
    if (whole) at += whole[0].length - 1;
  }
  return out;
}

function codeSpan(text) {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const ticks = "`".repeat(longest === 1 ? 2 : longest > 1 && !/(?<!`)`(?!`)/.test(text) ? 1 : longest + 1);
  const pad = /^`|`$|^ .*\S.* $/.test(text) ? " " : "";
  return ticks + pad + text + pad + ticks;
}

/* An address as it was written, where the text that it came from is known. */
function address(href, from) {
  let own = href;
  try {
    const read = decodeURI(href);
    if (from.includes(read)) own = read;
  } catch {
    // It is no text that was encoded.
  }
  const depth = [...own].reduce((sum, c) => (sum < 0 ? sum : sum + (c === "(") - (c === ")")), 0);
  const isBare = own && !/[\s<>]/.test(own) && depth === 0;
  return isBare ? own.replace(/\\(?=[!-/:-@[-`{-~])/g, "\\\\") : `<${own.replace(/[\\<>]/g, "\\$&").replace(/\n/g, "%0A")}>`;
}

function target({ href, src, title }, from) {
  const name = title && ` "${title.replace(/[\\"]/g, "\\$&")}"`;
  return `(${address(href ?? src, from)}${name})`;
}

/* A link whose words are its address needs no brackets. */
function bare(text, href, from, around) {
  const named = { [text]: true, [`mailto:${text}`]: /^[^\s@]+@[^\s@]+$/.test(text), [`http://${text}`]: text.startsWith("www.") };
  let isSame = named[href];
  try {
    isSame ||= named[decodeURI(href)];
  } catch {
    // It is not the same.
  }
  if (!isSame || /[\s<>]/.test(text)) return undefined;
  const inBrackets = `<${text}>`;
  const isPlain = /^(?:https?:\/\/|www\.)[a-z\d][^\s<>*_~`[\]&\\]*[\w/]$|^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$/.test(text);
  if (isPlain && !from.includes(inBrackets) && /^[\s(]?$/.test(around.before) && /^[\s).,;:!?]?$/.test(around.after)) return text;
  return text.startsWith("www.") ? undefined : inBrackets;
}

/* Text and breaks with their marks; spaces at the edge of a mark stand outside of it. */
function piecesOf(parent) {
  const all = [];
  parent.forEach((node) => {
    const marks = node.marks.filter(({ type }) => type.name !== "code");
    const isCode = marks.length < node.marks.length;
    const halves = node.isText && !isCode ? /^(\s*)([^]*?)(\s*)$/.exec(node.text).slice(1) : [node.text ?? ""];
    for (const text of halves) if (text || !node.isText) all.push({ node, text, isCode, marks });
  });
  const isGap = ({ node, text, isCode }) => (node.isText ? !isCode && SPACE.test(text) : node.type.name.endsWith("_break"));
  const solid = all.map((one) => !isGap(one));
  const shared = (marks, others) => marks.filter((mark) => others?.some((one) => one.eq(mark)));
  return all.map((one, n) => {
    if (solid[n]) return one;
    // A mark goes on through a gap when it is on all of it, and on both sides.
    const from = solid.lastIndexOf(true, n);
    const to = solid.indexOf(true, n);
    const around = from < 0 || to < 0 ? [] : all.slice(from, to + 1);
    return { ...one, isGap: true, marks: around.length ? around.reduce((marks, each) => shared(marks, each.marks), one.marks) : [] };
  });
}

/* How far a mark goes on from a piece. */
function reach(pieces, from, mark) {
  let at = from;
  while (at < pieces.length && pieces[at].marks.some((one) => one.eq(mark))) at += 1;
  return at;
}

class Line {
  constructor(from, about) {
    Object.assign(this, { from, about, out: "", open: [], encodes: false });
  }

  /* A letter beside a sign of a mark that the sign would belong to is written by its number. */
  add(text) {
    if (this.encodes && WORD.test(text[0] ?? "")) {
      const [first] = text;
      this.out += `&#x${first.codePointAt(0).toString(16)};${text.slice(first.length).replace(/^_/, "\\_")}`;
    } else this.out += text;
    this.encodes = false;
  }

  sign({ type }, next) {
    if (type.name === "strike") return "~~";
    if (type.name === "link") return "[";
    const last = this.out.at(-1) ?? " ";
    const [long, line] = type.name === "strong" ? ["**", "__"] : ["*", "_"];
    const inWord = WORD.test(next.before) || WORD.test(next.after);
    const isHabit = this.from.includes(line) && !this.from.includes(long);
    // Behind another mark of stars there are none, whatever follows.
    const isForced = last === "*" && next.before === "*";
    return isForced || ((isHabit || last === "*") && !inWord && last !== "_") ? line : long;
  }

  begin(mark, next) {
    const sign = this.sign(mark, next);
    const last = [...this.out].at(-1) ?? " ";
    if (mark.type.name !== "link" && PUNCTUATION.test(next.first) && WORD.test(last)) {
      this.out = `${this.out.slice(0, -last.length)}&#x${last.codePointAt(0).toString(16)};`;
    }
    if (sign === "[" && /(?<!\\)!$/.test(this.out)) this.out = `${this.out.slice(0, -1)}\\!`;
    this.open.push({ mark, sign });
    this.add(sign);
  }

  end() {
    const { mark, sign } = this.open.pop();
    if (sign === "[") return this.add(`]${target(mark.attrs, this.from)}`);
    // Signs of one kind that stand together are one.
    const inner = [...this.out.slice(0, this.out.length - /([*_~]*)$/.exec(this.out)[1].length)].at(-1) ?? "";
    const isOne = this.out.at(-1) === sign[0];
    const isClose = sign[0] === "_" || PUNCTUATION.test(isOne ? inner : ([...this.out].at(-1) ?? ""));
    this.add(sign);
    this.encodes = isClose;
    return undefined;
  }
}

/* Where a whole link is one text that names itself. */
function bareLink(pieces, n, line) {
  const { node, text, marks, isCode } = pieces[n];
  const link = marks.find(({ type }) => type.name === "link");
  if (!link || isCode || !node.isText || link.attrs.title || reach(pieces, n, link) !== n + 1) return undefined;
  if (n > 0 && pieces[n - 1].marks.some((one) => one.eq(link))) return undefined;
  const after = pieces[n + 1];
  const around = { before: line.out.at(-1) ?? "", after: after?.text?.[0] ?? "" };
  return bare(text, link.attrs.href, line.from, around);
}

function written(one, about, from) {
  const { node, text, isCode } = one;
  if (isCode) return codeSpan(node.text ?? " ");
  if (node.isText) return words(text, about);
  if (node.type.name === "image") {
    const alt = node.attrs.alt.replace(/[\\[\]`*_<&]/g, "\\$&").replace(/\n+/g, " ");
    return `![${alt}]${target(node.attrs, from)}`;
  }
  return node.type.name === "hard_break" ? (/ {2}\n/.test(from) ? "  \n" : "\\\n") : "\n";
}

/* Spaces and breaks at the edges are none in Markdown; lines begin with words, and an empty one would end the block. */
const trimmed = (text) =>
  text
    .replace(/^(?:\\?\n|[ \t])+/, "")
    .replace(/(?:(?<!\\)\\\n|[ \t\n])+$/, "")
    .replace(/\n[ \t\n]+/g, "\n");

/**
 * The words of a paragraph, heading or cell. `from` is the Markdown that they were read from, for its habits;
 * `hasNames` says that the page has definitions, which make a link of any brackets.
 */
export function inline(parent, { from = "", hasNames = false } = {}) {
  const pieces = piecesOf(parent);
  const text = parent.textContent;
  const has = (name) => pieces.some(({ marks }) => marks.some(({ type }) => type.name === name));
  const hasLinks = hasNames || LINK_LIKE.test(text) || has("link");
  const line = new Line(from, { hasLinks, tildes: has("strike") || /~.*~/s.test(text) });
  pieces.forEach((one, n) => {
    const self = bareLink(pieces, n, line);
    const marks = self ? one.marks.filter(({ type }) => type.name !== "link") : one.marks;
    const kept = line.open.findIndex(({ mark }) => !marks.some((each) => each.eq(mark)));
    while (0 <= kept && kept < line.open.length) line.end();
    const isOpen = (mark) => line.open.some((each) => each.mark.eq(mark));
    // No mark begins with a gap.
    const begun = one.isGap ? [] : marks.filter((mark) => !isOpen(mark));
    begun.sort((a, b) => reach(pieces, n, b) - reach(pieces, n, a));
    const own = self ?? written(one, line.about, from);
    const before = line.out.at(-1) ?? " ";
    begun.forEach((mark, k) => {
      const isApart = k + 1 < begun.length && [mark, begun[k + 1]].some(({ type }) => !["strong", "em"].includes(type.name));
      const after = pieces[reach(pieces, n, mark)]?.text[0] ?? " ";
      line.begin(mark, { before, first: isApart ? "[" : [...own][0] ?? " ", after });
    });
    line.add(own);
  });
  while (line.open.length) line.end();
  return trimmed(line.out);
}
