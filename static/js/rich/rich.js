// The editor of pages: Markdown in rich form. A bundle of its own, `rich.js` and `rich.css` of the manifest, fetched by
// the pages that have an editor.
//
// Such a page holds a form with a field that works without this script (a line end behind its tag is none of the text):
//
//   <textarea name="body" data-rich
//     data-rich-parse="<url>"   POST, the Markdown as text/markdown in UTF-8. Answers { "blocks": [ … ] }, see below
//     data-rich-names="<url>"   GET ?q=[[lea or ?q=@ad. Answers [ { "label", "insert", "kind" } ]; `insert` is put in
//                               the place of what was typed: words, or one Markdown link. May be left out
//     data-rich-files="<url>"   POST, multipart with the field `file`. Answers { "name", "url" }, or { "detail" } with
//                               a status of 400 and above. May be left out
//     data-rich-picture="<url>" the script for the caption and the width of a picture. May be left out
//     data-rich-more="<url>"    the script for the handle beside blocks and for widths of columns. May be left out
//     data-rich-tasks           the names may also be asked for #tasks, as [ { "put", "about" } ]. May be left out
//     data-rich-hint="<words>"  stands in an empty text. May be left out
//   >…</textarea>
//
// and, where it likes, in the same form `<script type="application/json" data-rich-blocks>` with the answer of the
// parse address for the text of the field, and anywhere on the page `<button type="button" data-rich-source hidden>`,
// which shows the text as it is, and an empty `[data-rich-outline]`, which gets the headings.
//
// A block is { "from", "to", "html", "source" }: a block at the top of the text, in order, by its bytes in UTF-8.
// - Line ends are counted as one byte, as fields of forms know them; nothing but spaces and empty lines may lie
//   between blocks (what does is shown as source).
// - `html` is as GFM has it (tables with `align` and, where they have widths, `<col width="40%">`, `<input type="checkbox">` in items, `<del>`, bare links), with tags
//   of the text escaped to words, headings as `<h1>` to `<h6>` of the text's own levels, ends of lines as they are
//   (no `hardbreaks`), `language-…` and `data-meta` on code, addresses of pictures as in the text. Names such as
//   [[page]] and @name stay words. References to footnotes are `<sup class="footnote-ref">`, or words.
// - `source: true` (and no `html`) stands for what has no such form, or holds something that has none: HTML blocks,
//   definitions of links and footnotes, formulas, front matter. A paragraph behind definitions begins behind them.
//
// The field stays the truth. Each change is written into it and told by a bubbling `input` event; who sets its
// `value`, uses `setRangeText` or focuses it, as writer.js does, means the editor. The live region around it stays as
// it is (`data-keep`). Of trusted types the editor needs the policies `rich` and `ProseMirrorClipboard`.
import { follow } from "./diff.js";
import { blocksOf, Editor } from "./editor.js";

const AGAIN = 5000;
const MOST = 60_000;
// The fields of the page, each with its editor once it has one.
const editors = new Map();
// Where somebody was writing when the page was swapped.
let last;
let tries = 0;

const sourceButtons = () => document.querySelectorAll("button[data-rich-source]");

function showState(editor) {
  for (const button of sourceButtons()) {
    button.hidden = false;
    button.ariaPressed = String(editor.isSource);
  }
}

const toggle = (editor) => editor.toggleSource().then(() => showState(editor));

/* The field is there and can be written in; the server is asked again. */
function askAgain(box) {
  const again = () => {
    clearTimeout(timer);
    removeEventListener("online", again);
    editors.delete(box);
    look();
  };
  const timer = setTimeout(again, Math.min(AGAIN * 2 ** tries, MOST));
  addEventListener("online", again);
  tries += 1;
}

async function begin(box) {
  editors.set(box, undefined);
  let blocks;
  try {
    blocks = await blocksOf(box);
  } catch {
    return askAgain(box);
  }
  if (!box.isConnected) return void editors.delete(box);
  const editor = new Editor(box, blocks);
  editors.set(box, editor);
  tries = 0;
  showState(editor);
  // A page that was swapped while somebody was writing goes on where it was.
  if (last?.name === box.name && document.activeElement === document.body) {
    editor.focusAt(follow(last.text, box.value)(last.offset));
  }
  last = undefined;
  return undefined;
}

function look() {
  for (const [box, editor] of editors) {
    if (box.isConnected || !editor) continue;
    if (editor.isWriting()) last = { name: box.name, text: box.value, offset: editor.offset() };
    editor.destroy();
    editors.delete(box);
  }
  for (const box of document.querySelectorAll("textarea[data-rich]")) {
    if (editors.has(box) && editors.get(box)?.host.isConnected === false) {
      editors.get(box).destroy();
      editors.delete(box);
    }
    if (!editors.has(box)) begin(box);
  }
}

const editorOf = (target) => [...editors].find(([box, editor]) => editor && (box === target || editor.host.contains(target)))?.[1];

document.addEventListener("htmx:after:swap", look);
document.addEventListener("click", ({ target }) => {
  if (!target.closest?.("button[data-rich-source]")) return;
  const editor = [...editors.values()].find(Boolean);
  if (editor) toggle(editor);
});
document.addEventListener(
  "keydown",
  (event) => {
    if (!(event.ctrlKey || event.metaKey) || !event.shiftKey || event.altKey || event.key.toLowerCase() !== "m") return;
    const editor = editorOf(event.target);
    if (!editor) return;
    event.preventDefault();
    event.stopPropagation();
    toggle(editor);
  },
  true,
);
look();
