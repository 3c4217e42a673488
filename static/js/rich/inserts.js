// The blocks behind a /, as the menu names them: with the sign that makes the same where there is one.
import * as commands from "./commands.js";
import { schema } from "./schema.js";

const { nodes } = schema;
const type = (text) => (_, view) => view.dispatch(view.state.tr.insertText(text));
const by = (command) => (_, view) => command(view.state, view.dispatch, view);

const BLOCKS = [
  { label: "Heading", icon: "heading", hint: "#", words: "title h1", run: by(commands.heading(1)) },
  { label: "Subheading", icon: "heading", hint: "##", words: "title h2", run: by(commands.heading(2)) },
  { label: "Small heading", icon: "heading", hint: "###", words: "title h3", run: by(commands.heading(3)) },
  { label: "Bulleted list", icon: "list", hint: "-", words: "points", run: by(commands.list("bullet_list")) },
  { label: "Numbered list", icon: "numbers", hint: "1.", words: "ordered", run: by(commands.list("ordered_list")) },
  { label: "Checklist", icon: "tasks", hint: "[ ]", words: "tasks todo", run: by(commands.list("bullet_list", false)) },
  { label: "Table", icon: "table", hint: "|", words: "columns rows", run: by(commands.table) },
  { label: "Quote", icon: "quote", hint: ">", words: "", run: by(commands.quote) },
  { label: "Code block", icon: "code", hint: "```", words: "", run: by(commands.codeBlock) },
  { label: "Divider", icon: "rule", hint: "---", words: "line rule", run: by(commands.rule) },
  { label: "File or picture", icon: "image", words: "image upload attach", needs: "richFiles", run: (editor) => editor.pickFiles() },
  { label: "Link to a page", icon: "link", hint: "[[", words: "wiki", needs: "richNames", not: "richTasks", inline: true, run: type("[[") },
  { label: "Link to a task", icon: "tasks", hint: "#", words: "", needs: "richTasks", inline: true, run: type("#") },
  { label: "Mention", icon: "at", hint: "@", words: "person agent item", needs: "richNames", inline: true, run: type("@") },
];

/** The blocks whose name, or one of whose words, begins with what was typed. A cell takes words alone. */
export function inserts(query, state, { dataset } = {}) {
  const typed = query.toLowerCase();
  const inTable = commands.isInside(state, nodes.table);
  const isNamed = ({ label }) => label.toLowerCase().startsWith(typed);
  const found = BLOCKS.filter(
    ({ label, words, needs, not, inline }) =>
      (!inTable || inline) &&
      (!needs || needs in (dataset ?? {})) &&
      !(not in (dataset ?? {})) &&
      `${label} ${words}`.toLowerCase().split(" ").some((word) => word.startsWith(typed)),
  );
  return [...found.filter(isNamed), ...found.filter((one) => !isNamed(one))];
}
