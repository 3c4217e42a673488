// What comes to an editor of whole pages once it is there: a script of its own.
import { columns } from "./columns.js";
import { handle } from "./handle.js";

/** `inserts` gives the blocks behind a /. */
export function more(editor, inserts) {
  columns(editor.tableMenu);
  handle(editor, inserts);
}
