// What comes in from outside: formatted text is cleaned, Markdown is read by the server, files are sent to it and
// named where they were dropped. What goes out as plain text is Markdown.
import { Fragment, Slice } from "prosemirror-model";
import { Plugin, PluginKey } from "prosemirror-state";
import { Decoration, DecorationSet } from "prosemirror-view";
import { clean } from "./clean.js";
import { isCode } from "./commands.js";
import { compose, textOf } from "./compose.js";
import { element, toast } from "./dom.js";
import { parse } from "./parse.js";
import { slice } from "./read.js";
import { schema } from "./schema.js";

const MARKDOWN = /(?:^|\n)(?:#{1,6} |[-*+] |\d+[.)] |> |```|~~~|\|.*\||---)|\*\*\S|~~\S|`[^`\n]+`|\[[^\]\n]+\]\(|\n\n/;
/* In bytes, as the server takes it. */
const LARGEST = 256 * 1024;
const key = new PluginKey("files");

/* Words at once, and what they mean as soon as the server has said it; one step back undoes both. */
async function pasteMarkdown(editor, view, text) {
  let blocks;
  try {
    blocks = slice(text, await parse(editor.box, text));
  } catch {
    return void view.dispatch(view.state.tr.insertText(text).scrollIntoView());
  }
  if (view.isDestroyed) return undefined;
  const { firstChild: first } = blocks;
  const isWords = blocks.childCount === 1 && first.type === schema.nodes.paragraph;
  const [head, tail] = [/^\s/, /\s$/].map((edge) => Fragment.from(edge.test(text) ? schema.text(" ") : null));
  const put = isWords ? new Slice(Fragment.from(first.copy(head.append(first.content).append(tail))), 1, 1) : new Slice(blocks, 0, 0);
  view.dispatch(view.state.tr.replaceSelection(put).scrollIntoView().setMeta("uiEvent", "paste"));
  return undefined;
}

/* Where a file will stand while it is on its way. */
const waiting = () =>
  new Plugin({
    key,
    state: {
      init: () => DecorationSet.empty,
      apply(tr, set) {
        const { add, done } = tr.getMeta(key) ?? {};
        let next = set.map(tr.mapping, tr.doc);
        if (add) {
          const says = element("span", { class: "rich-sending", role: "status" }, `Sending ${add.name}…`);
          next = next.add(tr.doc, [Decoration.widget(add.pos, says, { id: add.id })]);
        }
        return done ? next.remove(next.find(undefined, undefined, ({ id }) => id === done)) : next;
      },
    },
    props: { decorations: (state) => key.getState(state) },
  });

async function send(editor, file) {
  const form = new FormData();
  form.append("file", file, file.name || "picture.png");
  const answer = await fetch(editor.box.dataset.richFiles, { method: "POST", body: form, headers: { accept: "application/json" } });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? "HQ couldn’t accept it.");
  return said;
}

function nodeFor({ name, url }, { type }) {
  if (type.startsWith("image/")) return schema.nodes.image.create({ src: url, alt: name });
  return schema.text(name, [schema.marks.link.create({ href: url })]);
}

/** Sends files and names each where it was put, wherever that place has moved meanwhile. */
export function attach(editor, files, at) {
  const { view } = editor;
  if (!editor.box.dataset.richFiles || isCode(view.state)) return false;
  for (const file of files) {
    const id = {};
    const { name } = file;
    view.dispatch(view.state.tr.setMeta(key, { add: { id, name, pos: at ?? view.state.selection.to } }));
    send(editor, file)
      .then((said) => {
        if (view.isDestroyed) return toast(`${name} is among the files of this page.`, "ok");
        const [place] = key.getState(view.state).find(undefined, undefined, (spec) => spec.id === id);
        const { tr } = view.state;
        const pos = place ? place.from : tr.selection.to;
        return view.dispatch(tr.insert(pos, nodeFor(said, file)).setMeta(key, { done: id }));
      })
      .catch((error) => {
        const why = error instanceof TypeError ? "no connection." : error.message;
        toast(`${name} was not sent: ${why}`);
        if (!view.isDestroyed) view.dispatch(view.state.tr.setMeta(key, { done: id }));
      });
  }
  return true;
}

/* A copied picture comes with HTML that only shows it; what Word copies comes with a picture of the words. */
const areMeant = (data) => data.files.length && !data.getData("text/plain").trim();

export function paste(editor) {
  return [
    waiting(),
    new Plugin({
      props: {
        transformPastedHTML: clean,
        clipboardTextSerializer: ({ content, openStart }) => {
          const isWords = content.childCount === 1 && content.firstChild.isTextblock && openStart;
          const isSource = content.firstChild?.type.spec.code && content.childCount === 1;
          if (isSource) return content.firstChild.textContent;
          const doc = content.firstChild?.isBlock ? content : schema.node("paragraph", null, content);
          const text = textOf(compose(schema.topNodeType.create(null, doc), { lead: "", all: [] }));
          return isWords && content.firstChild.type.name === "heading" ? text.replace(/^#+ /, "") : text;
        },
        handlePaste(view, event) {
          const { clipboardData: data } = event;
          if (!data) return false;
          if (LARGEST < new Blob([data.getData("text/plain"), editor.box.value]).size) {
            toast("An item has at most 256 KB of text. Add it as a file instead.");
            return true;
          }
          if (isCode(view.state)) return false;
          if (areMeant(data)) return attach(editor, [...data.files]);
          const text = data.getData("text/plain").replace(/\r\n?/g, "\n");
          const isPlain = !data.getData("text/html") || data.types.includes("vscode-editor-data");
          if (!isPlain || view.input?.shiftKey || !MARKDOWN.test(text)) return false;
          pasteMarkdown(editor, view, text.replace(/\n+$/, ""));
          return true;
        },
        handleDrop(view, event, _, isMoved) {
          const files = [...(event.dataTransfer?.files ?? [])];
          if (isMoved || !files.length) return false;
          event.preventDefault();
          // The form around the field takes files, too.
          event.stopPropagation();
          const at = view.posAtCoords({ left: event.clientX, top: event.clientY });
          return attach(editor, files, at?.pos);
        },
      },
    }),
  ];
}
