// The preview of a PDF: its pages in a box, opened at the page of a hit, with the words that a search has found marked.
// A script of its own, with pdf.js and its worker: only the page of a PDF loads it.
//
//   <section data-pdf="<url>" data-pdf-worker="<url>" data-pdf-page="3" data-pdf-words="<one form a line>" hidden>
//
// with the buttons [data-pdf-step="-1"] and [data-pdf-step="1"], [data-pdf-says] for the number of the page, and the box
// [data-pdf-sheets]. What fails leaves the section hidden; the file can be downloaded all the same.
import { getDocument, GlobalWorkerOptions, TextLayer } from "pdfjs-dist/legacy/build/pdf.mjs";

// Pages further away than this, in pixels, are not drawn; of those that were, so many are kept.
const NEAR = 800;
const KEPT = 12;
const SHARPEST = 2;

const policy = window.trustedTypes?.createPolicy("pdf", { createScriptURL: (url) => (/^\/s\/pdf-worker\.\w+\.js$/.test(url) ? url : "") });
const vouched = (url) => policy?.createScriptURL(url) ?? url;

/* The forms as one pattern: whole words, over the ends of lines. */
function patternOf(forms) {
  const words = forms.split("\n").filter(Boolean).map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&").replace(/\s+/g, "\\s+"));
  return words.length ? new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join("|")})(?![\\p{L}\\p{N}])`, "giu") : undefined;
}

/* Marks what the pattern finds, also where a word goes over several pieces of the page. */
function mark(items, spans, pattern) {
  const starts = [];
  let text = "";
  for (const { str, hasEOL } of items) {
    starts.push(text.length);
    text += hasEOL ? `${str}\n` : str;
  }
  const parts = items.map(() => []);
  for (const { index, 0: found } of text.matchAll(pattern)) {
    items.forEach(({ str }, n) => {
      const from = Math.max(index - starts[n], 0);
      const to = Math.min(index + found.length - starts[n], str.length);
      if (from < to) parts[n].push([from, to]);
    });
  }
  parts.forEach((ranges, n) => {
    if (!ranges.length || !spans[n]) return;
    const { str } = items[n];
    let at = 0;
    const made = ranges.flatMap(([from, to]) => {
      const hit = document.createElement("mark");
      hit.textContent = str.slice(from, to);
      const pieces = [str.slice(at, from), hit];
      at = to;
      return pieces;
    });
    spans[n].replaceChildren(...made, str.slice(at));
  });
}

class Preview {
  constructor(root, pdf, first) {
    Object.assign(this, { root, pdf, drawn: new Map() });
    this.box = root.querySelector("[data-pdf-sheets]");
    this.says = root.querySelector("[data-pdf-says]");
    this.pattern = patternOf(root.dataset.pdfWords ?? "");
    const { width, height } = first.getViewport({ scale: 1 });
    this.sheets = Array.from({ length: pdf.numPages }, (_, n) => {
      const sheet = document.createElement("div");
      sheet.className = "k-sheet";
      sheet.dataset.n = n + 1;
      // The page has the same words as text, below.
      sheet.ariaHidden = "true";
      sheet.style.aspectRatio = `${width} / ${height}`;
      return sheet;
    });
    this.box.replaceChildren(...this.sheets);
    root.hidden = false;
    for (const button of root.querySelectorAll("[data-pdf-step]")) {
      button.addEventListener("click", () => this.go(this.page() + Number(button.dataset.pdfStep)));
    }
    this.box.addEventListener("scroll", () => this.tell(), { passive: true });
    const near = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && this.draw(one.target)), {
      root: this.box,
      rootMargin: `${NEAR}px 0px`,
    });
    this.sheets.forEach((sheet) => near.observe(sheet));
    let known = this.box.clientWidth;
    new ResizeObserver(() => {
      // While a region around it is swapped, it has no width.
      if (!this.box.clientWidth || Math.abs(this.box.clientWidth - known) < 2) return;
      known = this.box.clientWidth;
      for (const sheet of [...this.drawn.keys()]) this.clear(sheet);
      for (const sheet of this.sheets) {
        near.unobserve(sheet);
        near.observe(sheet);
      }
    }).observe(this.box);
    const wanted = Number(root.dataset.pdfPage) || 1;
    this.go(wanted, "instant");
    this.tell();
  }

  /* The page that takes the middle of the box. */
  page() {
    const middle = this.box.scrollTop + this.box.clientHeight / 2;
    return Math.max(1, this.sheets.findLastIndex((sheet) => this.top(sheet) <= middle) + 1);
  }

  top(element) {
    return element.getBoundingClientRect().top - this.box.getBoundingClientRect().top + this.box.scrollTop;
  }

  go(number, behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth") {
    const sheet = this.sheets[Math.min(Math.max(number, 1), this.sheets.length) - 1];
    this.box.scrollTo({ top: this.top(sheet) - 8, behavior });
  }

  tell() {
    const page = this.page();
    const words = `Page ${page} of ${this.sheets.length}`;
    if (this.says.textContent !== words) this.says.textContent = words;
    for (const button of this.root.querySelectorAll("[data-pdf-step]")) {
      const next = page + Number(button.dataset.pdfStep);
      button.setAttribute("aria-disabled", String(next < 1 || this.sheets.length < next));
    }
  }

  clear(sheet) {
    this.drawn.get(sheet)?.cancel();
    this.drawn.delete(sheet);
    sheet.replaceChildren();
  }

  async draw(sheet) {
    if (this.drawn.has(sheet)) return;
    const task = { cancel() {} };
    this.drawn.set(sheet, task);
    const isWanted = () => this.drawn.get(sheet) === task;
    try {
      const page = await this.pdf.getPage(Number(sheet.dataset.n));
      if (!isWanted()) return;
      const plain = page.getViewport({ scale: 1 });
      sheet.style.aspectRatio = `${plain.width} / ${plain.height}`;
      const scale = sheet.clientWidth / plain.width;
      const viewport = page.getViewport({ scale: scale * Math.min(devicePixelRatio, SHARPEST) });
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [Math.floor(viewport.width), Math.floor(viewport.height)];
      const render = page.render({ canvas, viewport });
      task.cancel = () => render.cancel();
      const layer = document.createElement("div");
      layer.className = "k-words";
      layer.style.setProperty("--total-scale-factor", scale);
      sheet.replaceChildren(canvas, layer);
      await render.promise;
      const content = await page.getTextContent();
      if (!isWanted()) return;
      const text = new TextLayer({ textContentSource: content, container: layer, viewport: page.getViewport({ scale }) });
      await text.render();
      if (this.pattern) {
        mark(content.items.filter(({ str }) => str !== undefined), text.textDivs, this.pattern);
        this.show(sheet);
      }
      this.forget(sheet);
    } catch {
      // The page stays empty, or it was drawn anew meanwhile.
      if (isWanted()) this.drawn.delete(sheet);
    }
  }

  /* The first hit of the page that was asked for, once. */
  show(sheet) {
    const hit = sheet.querySelector("mark");
    if (this.isShown || !hit || Number(sheet.dataset.n) !== (Number(this.root.dataset.pdfPage) || 1)) return;
    this.isShown = true;
    this.box.scrollTo({ top: Math.max(0, this.top(hit) - this.box.clientHeight / 3), behavior: "instant" });
  }

  /* Pages that are far away lose their pictures. */
  forget(here) {
    const far = (sheet) => Math.abs(sheet.dataset.n - here.dataset.n);
    const all = [...this.drawn.keys()].sort((a, b) => far(b) - far(a));
    for (const sheet of all.slice(0, Math.max(0, all.length - KEPT))) this.clear(sheet);
  }
}

async function begin(root) {
  try {
    GlobalWorkerOptions.workerPort = new Worker(vouched(root.dataset.pdfWorker), { type: "module" });
    const pdf = await getDocument({
      url: new URL(root.dataset.pdf, location.href).href,
      // Nothing is compiled on a page, and nothing is fetched but the file.
      useWasm: false,
      disableWorkerRendering: true,
      disableAutoFetch: true,
      disableStream: true,
      verbosity: 0,
    }).promise;
    new Preview(root, pdf, await pdf.getPage(1));
  } catch {
    // A file that cannot be shown can be downloaded.
    root.hidden = true;
  }
}

const root = document.querySelector("[data-pdf]");
if (root) begin(root);
