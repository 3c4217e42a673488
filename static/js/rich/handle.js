// The handle beside the block that is pointed at: dragging it moves the block, pressing it opens a menu. Alt Shift with an
// arrow moves the block of the cursor, and Alt F10 leads to its handle, Escape back.
import { element, icon } from "./dom.js";
import { walk } from "./walk.js";

const NAME = "Move or change the block";
const STEPS = { ArrowUp: -1, ArrowDown: 2 };
// Blocks that others become; the rest of those behind a / are put in.
const PUT_IN = ["Table", "Divider"];
let count = 0;

/** Adds the handle to an editor. `inserts` gives the blocks behind a /; `report` tells a screen reader what happened. */
export function handle(editor, inserts, report) {
  const { host, view, box } = editor;
  const id = `rich-block-${(count += 1)}`;
  const looks = { type: "button", class: "btn rich-handle", "data-kind": "ghost", "data-size": "s", "data-icon": true, hidden: true };
  const opens = { popovertarget: id, "aria-haspopup": "menu", "aria-label": NAME, title: NAME, tabindex: "-1" };
  const button = element("button", { ...looks, ...opens }, icon("updown"));
  const menu = element("div", { class: "menu", popover: true, id, role: "menu", "aria-label": NAME });
  const mark = element("div", { class: "rich-line", hidden: true, "aria-hidden": "true" });
  host.append(button, menu, mark);
  // The element of the block that the handle is beside, and where it was taken hold of.
  let block;
  let from;
  let isDragged = false;

  const doc = () => view.state.doc;
  const startOf = (index) => doc().content.content.slice(0, index).reduce((sum, { nodeSize }) => sum + nodeSize, 0);
  const elements = () => doc().content.content.map((_, n) => view.nodeDOM(startOf(n)));
  const near = (at, page, step) => view.state.selection.constructor.near(page.resolve(at), step);

  /* Moves a block to the gap before the block `gap`; the cursor goes with it. */
  const move = (index, gap) => {
    if (gap < 0 || doc().childCount < gap || gap === index || gap === index + 1) return;
    const { selection, tr } = view.state;
    const node = doc().child(index);
    const [start, target] = [startOf(index), startOf(gap)];
    tr.delete(start, start + node.nodeSize);
    const place = tr.mapping.map(target);
    tr.insert(place, node);
    const { anchor, head, constructor } = selection;
    const isIn = (at) => start <= at && at <= start + node.nodeSize;
    if (isIn(anchor) && isIn(head)) {
      tr.setSelection(constructor.fromJSON(tr.doc, { anchor: anchor + place - start, head: head + place - start }));
    }
    view.dispatch(tr.scrollIntoView());
    report(`Block ${gap < index ? gap + 1 : gap} of ${doc().childCount}`);
  };

  const copy = (index) => view.dispatch(view.state.tr.insert(startOf(index + 1), doc().child(index)).scrollIntoView());

  const remove = (index) => {
    const { tr, schema } = view.state;
    const start = startOf(index);
    const end = startOf(index + 1);
    view.dispatch(doc().childCount === 1 ? tr.replaceWith(start, end, schema.nodes.paragraph.create()) : tr.delete(start, end));
  };

  /* Selects a block, so that what is done to a selection is done to it. */
  const select = (index) => {
    const first = near(startOf(index), doc(), 1);
    const last = near(startOf(index + 1), doc(), -1);
    view.dispatch(view.state.tr.setSelection(first.constructor.fromJSON(doc(), { anchor: first.from, head: last.to })));
  };

  const turn = (change) => (index) => {
    select(index);
    change();
    view.dispatch(view.state.tr.setSelection(near(startOf(Math.min(index, doc().childCount - 1)), doc(), 1)));
  };

  const toText = () => {
    const { tr, selection, schema } = view.state;
    view.dispatch(tr.setBlockType(selection.from, selection.to, schema.nodes.paragraph));
  };

  const line = (name, run, { isOff = false, tone } = {}) => {
    const made = element("button", { type: "button", role: "menuitem", tabindex: "-1", "data-tone": tone, disabled: isOff }, element("span", {}, name));
    made.addEventListener("click", () => {
      menu.hidePopover();
      const index = elements().indexOf(block);
      if (0 <= index) run(index);
      view.focus();
      hide();
    });
    return made;
  };

  const turns = (index) => {
    const { type } = doc().child(index);
    if (["table", "source", "horizontal_rule"].includes(type.name)) return [];
    const others = inserts("", { selection: near(startOf(index), doc(), 1) }, box).filter(
      ({ label, needs, inline }) => !needs && !inline && !PUT_IN.includes(label),
    );
    const made = others.map(({ label, run }) => line(`Turn into ${label.toLowerCase()}`, turn(() => run(editor, view))));
    if (["heading", "code_block"].includes(type.name)) made.unshift(line("Turn into text", turn(toText)));
    return [element("div", { role: "group", "aria-label": "Turn into" }, ...made), element("hr")];
  };

  const fill = () => {
    const index = elements().indexOf(block);
    if (index < 0) return menu.replaceChildren();
    return menu.replaceChildren(
      line("Move up", (at) => move(at, at - 1), { isOff: !index }),
      line("Move down", (at) => move(at, at + 2), { isOff: index + 1 === doc().childCount }),
      line("Duplicate", copy),
      element("hr"),
      ...turns(index),
      line("Delete", remove, { tone: "danger" }),
    );
  };
  const lines = () => [...menu.querySelectorAll("button:not(:disabled)")];

  const topOf = (dom) => dom.getBoundingClientRect().top - host.getBoundingClientRect().top;
  const show = (dom) => {
    block = dom;
    button.hidden = !dom;
    if (!dom) return;
    isDragged = false;
    button.style.top = `${topOf(dom)}px`;
  };
  const isUsed = () => from !== undefined || menu.matches(":popover-open") || document.activeElement === button;
  const hide = () => isUsed() || show(undefined);

  const seek = ({ target, buttons, pointerType }) => {
    if (buttons || pointerType === "touch" || isUsed()) return;
    let dom = target;
    while (dom && dom.parentNode !== view.dom) dom = dom.parentNode;
    if (dom && dom !== block) show(dom);
  };

  /* The gap that the pointer is nearest to, and where it is. */
  const gapAt = (y) => {
    const all = elements().map((dom) => dom.getBoundingClientRect());
    const index = all.findIndex(({ top, height }) => y < top + height / 2);
    return index < 0 ? [all.length, all.at(-1).bottom] : [index, all[index].top];
  };
  const drag = ({ clientY }) => {
    if (from === undefined || (!isDragged && Math.abs(clientY - from) < 5)) return;
    isDragged = true;
    mark.hidden = false;
    mark.style.top = `${gapAt(clientY)[1] - host.getBoundingClientRect().top}px`;
  };
  const drop = ({ clientY, type }) => {
    const index = elements().indexOf(block);
    const isMeant = isDragged && type === "pointerup" && 0 <= index;
    from = undefined;
    mark.hidden = true;
    if (!isMeant) return;
    move(index, gapAt(clientY)[0]);
    hide();
  };

  const press = (event) => {
    const { key, altKey, shiftKey, ctrlKey, metaKey } = event;
    const { $head, node } = view.state.selection;
    const index = $head.index(0);
    if (altKey && shiftKey && !ctrlKey && !metaKey && key in STEPS) move(index, index + STEPS[key]);
    else if (altKey && key === "F10" && !node && editor.bubble.box.hidden && editor.tableMenu.opener.hidden) {
      show(elements()[index]);
      button.focus();
    } else return hide();
    event.preventDefault();
    return event.stopPropagation();
  };

  host.addEventListener("pointermove", seek);
  host.addEventListener("pointerleave", hide);
  view.dom.addEventListener("keydown", press, true);
  // The cursor stays where it is.
  button.addEventListener("mousedown", (event) => event.preventDefault());
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    from = event.clientY;
    isDragged = false;
  });
  button.addEventListener("pointermove", drag);
  for (const type of ["pointerup", "pointercancel"]) button.addEventListener(type, drop);
  button.addEventListener("click", (event) => isDragged && event.preventDefault());
  button.addEventListener("keydown", (event) => {
    isDragged = false;
    walk(event, [button], view);
  });
  button.addEventListener("blur", hide);
  menu.addEventListener("beforetoggle", ({ newState }) => newState === "open" && fill());
  menu.addEventListener("toggle", ({ newState }) => (newState === "open" ? lines()[0].focus() : hide()));
  menu.addEventListener("keydown", (event) => event.key !== "Escape" && walk(event, lines(), view));
}
