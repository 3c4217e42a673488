// What a page can hold in rich form. What has no such form is a block of source: shown and written as it is.
import { Schema } from "prosemirror-model";

const plain = { default: null };
const ALIGNS = ["left", "center", "right"];
const RUNS = /^\s*(?:javascript|vbscript|data):/i;

const cell = (tag) => ({
  content: "inline*",
  isolating: true,
  attrs: { align: plain },
  parseDOM: [
    {
      tag,
      getAttrs: (dom) => {
        const align = dom.getAttribute("align");
        return { align: ALIGNS.includes(align) ? align : null };
      },
    },
  ],
  toDOM: ({ attrs: { align } }) => [tag, align ? { align } : {}, 0],
});

/* Widths of columns are signs of two percent each. */
const widthsOf = (dom) => {
  const cols = [...dom.querySelectorAll("col[width$='%']")];
  return cols.length ? cols.map(({ width }) => parseInt(width, 10) / 2) : null;
};
const columns = (widths) => ["colgroup", ...widths.map((one) => ["col", { width: `${one * 2}%` }])];

/* A box that is ticked stands before the words of its item. */
const item = {
  content: "block+",
  defining: true,
  attrs: { checked: plain },
  parseDOM: [
    {
      tag: "li",
      getAttrs: ({ dataset: { checked } }) => ({ checked: checked === undefined ? null : checked === "true" }),
    },
  ],
  toDOM: ({ attrs: { checked } }) => ["li", checked === null ? {} : { "data-checked": String(checked) }, 0],
};

// Pages have one first heading, their title: what is `#` in the text is a second one on the page.
const heading = {
  content: "inline*",
  group: "block",
  defining: true,
  attrs: { level: { default: 1 } },
  parseDOM: [1, 2, 3, 4, 5, 6].map((level) => ({
    tag: `h${level}`,
    getAttrs: ({ dataset }) => ({ level: Number(dataset.level ?? level) }),
  })),
  toDOM: ({ attrs: { level } }) => [`h${Math.min(level + 1, 6)}`, { "data-level": level }, 0],
};

const isTight = (dom) => ![...dom.children].some((one) => [...one.children].some(({ tagName }) => tagName === "P"));

const nodes = {
  doc: { content: "block+" },
  paragraph: { content: "inline*", group: "block", parseDOM: [{ tag: "p" }], toDOM: () => ["p", 0] },
  heading,
  blockquote: {
    content: "block+",
    group: "block",
    defining: true,
    parseDOM: [{ tag: "blockquote" }],
    toDOM: () => ["blockquote", 0],
  },
  code_block: {
    content: "text*",
    marks: "",
    group: "block",
    code: true,
    defining: true,
    attrs: { info: { default: "" } },
    parseDOM: [
      {
        tag: "pre",
        preserveWhitespace: "full",
        getAttrs: (dom) => {
          const inner = dom.querySelector("code");
          const language = /(?:^| )language-(\S+)/.exec(inner?.className ?? "")?.[1] ?? "";
          return { info: [language, inner?.dataset.meta].filter(Boolean).join(" ") };
        },
      },
    ],
    toDOM: ({ attrs: { info } }) => ["pre", info ? { "data-info": info } : {}, ["code", 0]],
  },
  source: {
    content: "text*",
    marks: "",
    group: "block",
    code: true,
    defining: true,
    parseDOM: [{ tag: "pre[data-source]", priority: 60, preserveWhitespace: "full" }],
    toDOM: () => ["pre", { "data-source": "", "aria-label": "Markdown source", role: "group" }, ["code", 0]],
  },
  horizontal_rule: { group: "block", parseDOM: [{ tag: "hr" }], toDOM: () => ["hr"] },
  bullet_list: {
    content: "list_item+",
    group: "block",
    attrs: { tight: { default: true } },
    parseDOM: [{ tag: "ul", getAttrs: (dom) => ({ tight: isTight(dom) }) }],
    toDOM: () => ["ul", 0],
  },
  ordered_list: {
    content: "list_item+",
    group: "block",
    attrs: { start: { default: 1 }, tight: { default: true } },
    parseDOM: [{ tag: "ol", getAttrs: (dom) => ({ start: Number(dom.getAttribute("start") ?? 1), tight: isTight(dom) }) }],
    toDOM: ({ attrs: { start } }) => ["ol", start === 1 ? {} : { start }, 0],
  },
  list_item: item,
  table: {
    content: "table_row+",
    group: "block",
    isolating: true,
    attrs: { widths: plain },
    parseDOM: [{ tag: "table", getAttrs: (dom) => ({ widths: widthsOf(dom) }) }],
    toDOM: ({ attrs: { widths } }) => ["table", ...(widths ? [columns(widths)] : []), ["tbody", 0]],
  },
  table_row: { content: "(table_cell | table_header)*", parseDOM: [{ tag: "tr" }], toDOM: () => ["tr", 0] },
  table_cell: cell("td"),
  table_header: cell("th"),
  text: { group: "inline" },
  image: {
    inline: true,
    group: "inline",
    draggable: true,
    attrs: { src: {}, alt: { default: "" }, title: { default: "" } },
    parseDOM: [
      {
        tag: "img[src]",
        getAttrs: (dom) => {
          const src = dom.getAttribute("src");
          // A picture that lies in the clipboard alone has no address.
          return !/^(data|file|blob):/i.test(src) && { src, alt: dom.alt, title: dom.title };
        },
      },
    ],
    toDOM: ({ attrs }) => ["img", attrs],
  },
  // HQ shows the end of a line as one; in the text it stays what it is.
  soft_break: {
    inline: true,
    group: "inline",
    selectable: false,
    parseDOM: [{ tag: "br[data-soft]", priority: 60 }],
    toDOM: () => ["br", { "data-soft": "" }],
    leafText: () => "\n",
  },
  hard_break: {
    inline: true,
    group: "inline",
    selectable: false,
    parseDOM: [{ tag: "br" }],
    toDOM: () => ["br"],
    leafText: () => "\n",
  },
};

const marks = {
  link: {
    attrs: { href: {}, title: { default: "" } },
    inclusive: false,
    parseDOM: [
      {
        tag: "a[href]",
        getAttrs: (dom) => {
          const href = dom.getAttribute("href");
          return !RUNS.test(href) && { href, title: dom.title };
        },
      },
    ],
    toDOM: ({ attrs: { href, title } }) => ["a", title ? { href, title } : { href }],
  },
  strong: { parseDOM: [{ tag: "strong" }, { tag: "b" }], toDOM: () => ["strong", 0] },
  em: { parseDOM: [{ tag: "em" }, { tag: "i" }], toDOM: () => ["em", 0] },
  strike: { parseDOM: [{ tag: "del" }, { tag: "s" }, { tag: "strike" }], toDOM: () => ["del", 0] },
  code: { code: true, parseDOM: [{ tag: "code" }, { tag: "tt" }], toDOM: () => ["code", 0] },
};

export const schema = new Schema({ nodes, marks });
