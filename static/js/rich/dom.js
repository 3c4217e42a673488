// Small parts of a page, made by hand: the policy of HQ's pages takes no HTML from scripts.
const SVG = "http://www.w3.org/2000/svg";

export function element(tag, facts = {}, ...inner) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...inner);
  return made;
}

/** A symbol of the sprite that the page has already. */
export function icon(name) {
  const sprite = document.querySelector("svg.i > use")?.getAttribute("href")?.replace(/#.*/, "") ?? "";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#i-${name}`);
  svg.append(use);
  return svg;
}

export const toast = (text, tone = "danger") => document.dispatchEvent(new CustomEvent("hq:toast", { detail: { tone, text } }));

/** Puts a box below a place of the text, or above it, and within the editor's width. */
export function stand(box, { host, view }, pos, { isAbove = false } = {}) {
  const edge = host.getBoundingClientRect();
  const at = view.coordsAtPos(pos);
  const { offsetWidth: width, offsetHeight: height } = box;
  const room = isAbove ? height + 8 <= at.top : at.bottom + height + 8 > innerHeight && height + 8 <= at.top;
  const left = Math.max(0, Math.min(at.left - edge.left, edge.width - width));
  box.style.left = `${left}px`;
  box.style.top = `${(room ? at.top - height - 6 : at.bottom + 6) - edge.top}px`;
}
