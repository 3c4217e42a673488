// The caption, the words and the width of the picture that is selected. A script of its own, fetched when a picture is
// first selected. Alt F10 leads to it, Escape back.
import { element } from "./dom.js";

const SIZED = /^([^]*?)\s*\|(\d{1,4}%?)$/;
const WIDTHS = [
  ["", "Original width"],
  ["25%", "A quarter"],
  ["50%", "Half"],
  ["75%", "Three quarters"],
  ["100%", "Full width"],
];

/** Opens the box below a picture; gives what closes it. */
export function open(view, getPos, picture) {
  const attrs = () => view.state.doc.nodeAt(getPos())?.attrs ?? {};
  const [, words, width] = SIZED.exec(attrs().alt) ?? [, attrs().alt, ""];
  const field = (label, value) => {
    const input = element("input", { class: "input", "aria-label": label, placeholder: label, autocomplete: "off", dir: "auto" });
    input.value = value;
    return input;
  };
  const caption = field("Caption", attrs().title);
  const alt = field("Description", words);
  const known = WIDTHS.some(([value]) => value === width) ? WIDTHS : [...WIDTHS, [width, width.endsWith("%") ? width : `${width} pixels`]];
  const size = element("select", { class: "input", "aria-label": "Width" }, ...known.map(([value, label]) => element("option", { value }, label)));
  size.value = width;
  const box = element("div", { class: "menu rich-shape", role: "group", "aria-label": "Picture" }, caption, alt, size);

  const change = () => {
    const pos = getPos();
    if (pos === undefined) return;
    const said = alt.value.replace(/\|\s*$/, "");
    view.dispatch(
      view.state.tr
        .setNodeAttribute(pos, "title", caption.value)
        .setNodeAttribute(pos, "alt", size.value ? `${said}|${size.value}` : said),
    );
    lay();
  };
  const lay = () => {
    const edge = box.offsetParent?.getBoundingClientRect() ?? { left: 0, top: 0, width: innerWidth };
    const at = picture.getBoundingClientRect();
    box.style.left = `${Math.max(0, Math.min(at.left - edge.left, edge.width - box.offsetWidth))}px`;
    box.style.top = `${at.bottom - edge.top + 6}px`;
  };
  const lead = (event) => {
    if (event.key !== "F10" || !event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    caption.focus();
  };
  box.addEventListener("input", change);
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (!["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    view.focus();
  });
  view.dom.addEventListener("keydown", lead, true);
  view.dom.parentNode.append(box);
  lay();
  return () => {
    view.dom.removeEventListener("keydown", lead, true);
    box.remove();
  };
}
