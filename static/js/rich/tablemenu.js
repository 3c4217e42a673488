// The menu of the table that the cursor is in.
import { tableAt } from "./cells.js";
import { element, icon } from "./dom.js";
import { ACTIONS } from "./table.js";
import { walk } from "./walk.js";

let count = 0;

export class TableMenu {
  constructor(editor, view) {
    Object.assign(this, { editor, view, bound: [] });
    const id = `rich-table-${(count += 1)}`;
    const words = "Edit table";
    const looks = { type: "button", class: "btn rich-table", "data-size": "s", "data-icon": true, hidden: true };
    const opens = { popovertarget: id, "aria-haspopup": "menu", "aria-label": words, title: words };
    this.opener = element("button", { ...looks, ...opens }, icon("more"));
    const groups = ACTIONS.map((group) => group.map((one) => this.line(one)));
    const lines = groups.flatMap((group, n) => (n ? [element("hr"), ...group] : group));
    this.menu = element("div", { class: "menu", popover: true, id, role: "menu", "aria-label": words }, ...lines);
    this.menu.addEventListener("beforetoggle", () => this.allow());
    this.menu.addEventListener("toggle", ({ newState }) => newState === "open" && this.lines()[0].focus());
    this.menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") walk(event, this.lines(), view);
    });
    editor.host.append(this.opener, this.menu);
  }

  line({ name, run, is }) {
    const tone = name.startsWith("Delete") ? "danger" : undefined;
    const facts = { type: "button", role: "menuitem", tabindex: "-1", "data-tone": tone };
    const made = element("button", facts, element("span", {}, name));
    if (is) this.bound.push({ made, is });
    made.addEventListener("click", () => {
      const { view } = this;
      this.menu.hidePopover();
      run(view.state, view.dispatch, view);
      view.focus();
    });
    return made;
  }

  lines() {
    return [...this.menu.querySelectorAll("button")].filter(({ disabled }) => !disabled);
  }

  allow() {
    const at = tableAt(this.view.state);
    for (const { made, is } of this.bound) made.disabled = Boolean(at && !is(at));
  }

  update(view) {
    const here = tableAt(view.state);
    this.opener.hidden = !here;
    if (!here) return;
    const at = view.nodeDOM(here.pos)?.getBoundingClientRect();
    const edge = this.editor.host.getBoundingClientRect();
    if (!at) return;
    // Beside the table where there is room, so that it covers nothing; else above it.
    const { offsetWidth: wide, offsetHeight: high } = this.opener;
    const right = Math.min(at.right, edge.right);
    const room = this.editor.host.closest("main")?.getBoundingClientRect().right - right;
    const beside = room > wide + 8;
    this.opener.style.left = `${right - edge.left + (beside ? 4 : -wide)}px`;
    this.opener.style.top = `${at.top - edge.top + (beside ? 0 : -high - 2)}px`;
  }

  focus() {
    if (!this.opener.hidden) this.opener.focus();
    return !this.opener.hidden;
  }

  destroy() {
    this.opener.remove();
    this.menu.remove();
  }
}
