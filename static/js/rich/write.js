// Blocks as Markdown. A block that was read from Markdown is written with its habits, and lines of it that say the
// same as before stay as they are.
import { matches } from "./diff.js";
import { inline } from "./inline.js";

const TAGS =
  "address article aside base basefont blockquote body caption center col colgroup dd details dialog dir div dl " +
  "dt fieldset figcaption figure footer form frame frameset h[1-6] head header hr html iframe legend li link " +
  "main menu menuitem nav noframes ol optgroup option p param pre script search section style summary table " +
  "tbody td textarea tfoot th thead title tr track ul";
// A tag that begins a block of HTML: one of those, a comment and the like, or any that has a line of its own.
const BLOCK_TAG = new RegExp(
  `^<(?:!--|\\?|![a-z]|!\\[CDATA\\[|/?(?:${TAGS.replaceAll(" ", "|")})(?:[\\s/>]|$)|/?[a-z][\\w-]*(?:\\s[^<>]*)?/?>\\s*$)`,
  "i",
);
// What begins a block at the start of a line, up to the sign that is escaped.
const BEGINS = [
  /^()#{1,6}(?:\s|$)/,
  /^()>/,
  /^()[-+*](?:\s|$)/,
  /^(\d{1,9})[.)](?:\s|$)/,
  /^()(?:=+|-+)\s*$/,
  /^()([*_-])(?:[ \t]*\2){2,}[ \t]*$/,
  /^()~~~/,
  /^()\[[ x]\](?:\s|$)/i,
  /^(\|?\s*:?)-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/,
  BLOCK_TAG,
];

function safeLine(line) {
  for (const pattern of BEGINS) {
    const found = pattern.exec(line);
    if (!found) continue;
    const at = (found[1] ?? "").length;
    return `${line.slice(0, at)}\\${line.slice(at)}`;
  }
  return line;
}

const safe = (text) => text.split("\n").map(safeLine).join("\n");
const indent = (text, by, first = by) => text.split("\n").map((line, n) => (n && !line ? "" : (n ? by : first) + line)).join("\n");

/* A heading of several lines can only be underlined. */
function heading(node, about) {
  const text = inline(node, about);
  const { level } = node.attrs;
  const sign = ["=", "-"][level - 1];
  const under = /\n {0,3}(=+|-+)[ \t]*$/.exec(about.from)?.[1] ?? (text.includes("\n") ? sign?.repeat(3) : undefined);
  if (under && text && under[0] === sign) return `${safe(text)}\n${under}`;
  const line = text.replace(/\\?\n/g, " ").replace(/(^|\s)(#+)$/, "$1\\$2");
  return `${"#".repeat(level)} ${line}`.trimEnd();
}

function code({ textContent: text, attrs: { info } }, { from }) {
  const c = /^ {0,3}~~~/.test(from) || info.includes("`") ? "~" : "`";
  const own = /^ {0,3}([`~]{3,})/.exec(from)?.[1].length ?? 3;
  const runs = text.match(c === "~" ? /^ {0,3}~{3,}/gm : /^ {0,3}`{3,}/gm) ?? [];
  const fence = c.repeat(Math.max(own, ...runs.map((run) => run.trim().length + 1)));
  return `${fence}${info}\n${text}${text ? "\n" : ""}${fence}`;
}

function table(node, about) {
  const rows = [];
  node.forEach((row) => {
    const cells = [];
    row.forEach((one) => cells.push(inline(one, about).replace(/\\?\n/g, " ").replace(/\|/g, "\\|")));
    rows.push(cells);
  });
  const ways = { left: ":--", center: ":-:", right: "--:" };
  const { widths } = node.attrs;
  const under = [];
  node.firstChild.forEach(({ attrs: { align } }, _, n) => {
    under.push((ways[align] ?? "---").replace("-", "-".repeat(Math.max(1, (widths?.[n] ?? 3) - 2))));
  });
  return [rows[0], under, ...rows.slice(1)].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/* A list beside another of its kind, which has taken a sign, has another one, or they would be one. */
function signOf(node, taken, about) {
  const isOrdered = node.type.name === "ordered_list";
  const own = (isOrdered ? /^\s*\d+([.)])/ : /^\s*([-*+])/).exec(about.from)?.[1];
  const sign = own ?? (isOrdered ? "." : "-");
  if (taken !== sign) return sign;
  if (isOrdered) return sign === "." ? ")" : ".";
  return sign === "-" ? "*" : "-";
}

function list(node, about, taken) {
  const sign = signOf(node, taken, about);
  const { start, tight } = node.attrs;
  const wide = /^\s*(?:[-*+]|\d+[.)])( {1,4})\S/.exec(about.from)?.[1] ?? " ";
  const items = [];
  node.forEach((item, _, n) => {
    const { checked } = item.attrs;
    const mark = (start === undefined ? sign : `${start + n}${sign}`) + wide;
    const box = item.firstChild.type.name === "paragraph" && { true: "[x] ", false: "[ ] " }[checked];
    const text = (box || "") + blocks(item, { ...about, inList: true }, tight);
    items.push(text ? indent(text, " ".repeat(mark.length), mark) : mark.trimEnd());
  });
  return { text: items.join(tight ? "\n" : "\n\n"), sign };
}

const isList = ({ type }) => type.name.endsWith("_list");

const CLOSED = ["heading", "code_block", "horizontal_rule"];

/* Whether two blocks of a tight item stay apart without an empty line. */
function standsAlone(before, node) {
  if (CLOSED.includes(before.type.name)) return true;
  if (before.type.name === "source" || before.type.name === "table") return false;
  if (CLOSED.includes(node.type.name)) return true;
  if (before.type.name !== "paragraph") return false;
  if (isList(node)) return (node.attrs.start ?? 1) === 1 && node.firstChild.textContent.trim() !== "";
  return node.type.name === "blockquote";
}

function block(node, about) {
  switch (node.type.name) {
    case "paragraph":
      return safe(inline(node, about));
    case "heading":
      return heading(node, about);
    case "code_block":
      return code(node, about);
    case "source":
      return node.textContent;
    case "blockquote":
      return blocks(node, about).split("\n").map((line) => (line ? `> ${line}` : ">")).join("\n");
    case "horizontal_rule":
      return about.inList ? "___" : "---";
    case "table":
      return table(node, about);
    default:
      return list(node, about).text;
  }
}

const made = (node, about, taken) => (isList(node) ? list(node, about, taken) : { text: block(node, about) });

function blocks(parent, about, tight = false) {
  let out = "";
  let before;
  parent.forEach((node) => {
    const { text, sign } = made(node, about, before?.node.type === node.type ? before.sign : undefined);
    if (before) out += tight && standsAlone(before.node, node) ? "\n" : "\n\n";
    out += text;
    before = { node, sign };
  });
  return out;
}

// What gives a line its place: signs of quotes, lists and fences before its words.
const PLACE = /^[\s>]*(?:(?:[-*+]|\d+[.)])\s+)*(?:`{3,}|~{3,})?/;
const BLANK = /^[\s>]*$/;
const ITEM = /^[\s>]*(?:[-*+]|\d+[.)])(?:\s|$)/;

/* Lines that belong together: the words of an item or a paragraph; a row. */
function units(lines, isTable) {
  const found = [];
  lines.forEach((line, n) => {
    const begins = !n || isTable || ITEM.test(line) || BLANK.test(line) || BLANK.test(lines[n - 1]);
    if (begins) found.push(line);
    else found.push(`${found.pop()}\n${line}`);
  });
  return found;
}

/* `now` with the lines of `from` where it says the same as `old`, which HQ itself would have written for `from`. */
function kept(from, old, now, isTable) {
  const [own, was] = [from, old].map((text) => text.split("\n"));
  const place = (line) => (isTable ? "" : PLACE.exec(line)[0]);
  if (own.length !== was.length || own.some((line, n) => place(line) !== place(was[n]))) return now;
  const before = units(was, isTable);
  let at = 0;
  const source = before.map((unit) => own.slice(at, (at += unit.split("\n").length)).join("\n"));
  const after = units(now.split("\n"), isTable);
  return matches(before, after).map((n, k) => (n < 0 ? after[k] : source[n])).join("\n");
}

/**
 * A block of the page. `read` is { node, source }, what stood in its place and the Markdown of that; `before` is the
 * sign of the list before it, if that is one of its kind. Gives { text, sign }.
 */
export function write(node, { read, hasNames, before }) {
  const isPair = read?.node.type === node.type;
  const about = { from: isPair ? read.source : "", hasNames };
  const now = made(node, about, before);
  if (!isPair || !(isList(node) || ["table", "blockquote"].includes(node.type.name))) return now;
  const old = made(read.node, about).text;
  return { ...now, text: kept(read.source, old, now.text, node.type.name === "table") };
}
