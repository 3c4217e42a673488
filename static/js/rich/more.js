// What comes to an editor of whole pages once it is there: a script of its own.
import { columns } from "./columns.js";
import { element } from "./dom.js";
import { handle } from "./handle.js";

/** `inserts` gives the blocks behind a /. */
export function more(editor, inserts) {
  const status = element("span", { class: "vh", role: "status" });
  editor.host.append(status);
  const report = (text) => (status.textContent = text);
  columns(editor.tableMenu, report);
  handle(editor, inserts, report);
}
