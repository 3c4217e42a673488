// Bundles static/ into static/dist: one script, one style sheet, one sprite, the tab's mark, each
// named after its content, with packed forms beside it and a manifest of the names. Prints the
// packed sizes and fails above the budget, which holds for every page since each loads all three.
// The editor of pages is a script and a sheet of its own, with a budget of its own: pages that are
// written in load them besides. The service worker is bundled last: it names the files that it stores.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const dist = "static/dist";
const budget = 85 * 1024;
const richBudget = 90 * 1024;
const caps = { "app.css": 38 * 1024, "icons.svg": 10 * 1024, "rich.js": richBudget, "knowledge.css": 8 * 1024, "crm.css": 8 * 1024, "gateways.css": 4 * 1024, "browser.js": 8 * 1024, "browser.css": 4 * 1024, "sw.js": 4 * 1024, "picture.js": 2 * 1024, "more.js": 5 * 1024, "pdf.js": 180 * 1024, "pdf-worker.js": 420 * 1024 };

const options = {
  bundle: true,
  minify: true,
  write: false,
  legalComments: "none",
  charset: "utf8",
  target: ["chrome123", "firefox128", "safari17.5"],
  logLevel: "warning",
};
// What the bundler only warns of, such as a brace too many, breaks pages.
const bundled = async (entry, more) => {
  const { outputFiles, warnings } = await build({ ...options, entryPoints: [entry], ...more });
  if (warnings.length > 0) process.exit(1);
  return outputFiles[0].contents;
};
const squeezed = (file) =>
  Buffer.from(
    readFileSync(file, "utf8")
      .replace(/<!--[^]*?-->/g, "")
      .replace(/>\s+</g, "><")
      .trim(),
  );

const files = {
  "app.js": Buffer.from(await bundled("static/js/app.js", { format: "iife" })),
  "app.css": Buffer.from(await bundled("static/css/app.css", { external: ["*.svg"] })),
  "icons.svg": squeezed("static/icons.svg"),
  "favicon.svg": squeezed("static/favicon.svg"),
  "rich.js": Buffer.from(await bundled("static/js/rich/rich.js", { format: "iife" })),
  "rich.css": Buffer.from(await bundled("static/css/rich.css")),
  "knowledge.css": Buffer.from(await bundled("static/css/knowledge.css")),
  "crm.css": Buffer.from(await bundled("static/css/crm.css")),
  "gateways.css": Buffer.from(await bundled("static/css/gateways.css")),
  "browser.js": Buffer.from(await bundled("static/js/browser.js", { format: "iife" })),
  "browser.css": Buffer.from(await bundled("static/css/browser.css")),
  "saved.js": Buffer.from(await bundled("static/js/saved.js", { format: "iife" })),
  "picture.js": Buffer.from(await bundled("static/js/rich/picture.js", { format: "esm" })),
  "more.js": Buffer.from(await bundled("static/js/rich/more.js", { format: "esm" })),
  "pdf.js": Buffer.from(await bundled("static/js/pdf.js", { format: "esm" })),
  "pdf-worker.js": Buffer.from(await bundled("pdfjs-dist/legacy/build/pdf.worker.mjs", { format: "esm" })),
};
for (const icon of readdirSync("static/icons")) files[icon] = readFileSync(`static/icons/${icon}`);

const named = (name, bytes) => name.replace(/\.(\w+)$/, `.${createHash("sha256").update(bytes).digest("hex").slice(0, 12)}.$1`);
// What each page needs, and the sheets of some.
const SHELL = Object.entries(files)
  .filter(([name]) => /^(app\.js|saved\.js|icons\.svg|favicon\.svg)$|^(?!rich|browser).*\.css$/.test(name))
  .map(([name, bytes]) => `/s/${named(name, bytes)}`);
const define = { SHELL: JSON.stringify(SHELL), SAVED: JSON.stringify(`/s/${named("saved.js", files["saved.js"])}`) };
files["sw.js"] = Buffer.from(await bundled("static/js/worker/worker.js", { format: "iife", define }));

const isRich = (name) => name.startsWith("rich.");
const isPicture = (name) => name.endsWith(".png");
const isMore = (name) => isRich(name) || /^(knowledge|crm|gateways)\.css$|^(browser|pdf|pdf-worker)\.|^(sw|saved|picture|more)\.js$/.test(name);

mkdirSync(dist, { recursive: true });
for (const old of readdirSync(dist)) {
  if (old !== ".gitkeep") rmSync(`${dist}/${old}`);
}

const manifest = {};
let total = 0;
let rich = 0;
let tooBig = false;
for (const [name, bytes] of Object.entries(files)) {
  const file = named(name, bytes);
  writeFileSync(`${dist}/${file}`, bytes);
  manifest[name] = file;
  // A picture is packed already.
  if (isPicture(name)) continue;
  const gz = gzipSync(bytes, { level: 9 });
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  writeFileSync(`${dist}/${file}.gz`, gz);
  writeFileSync(`${dist}/${file}.br`, br);
  if (isRich(name)) rich += gz.length;
  if (!isMore(name)) total += gz.length;
  tooBig ||= gz.length > (caps[name] ?? budget);
  const kb = (n) => `${(n / 1024).toFixed(1)} KB`.padStart(9);
  console.log(`${name.padEnd(12)}${kb(bytes.length)} ${kb(gz.length)} gzip ${kb(br.length)} brotli`);
}
writeFileSync(`${dist}/manifest.json`, `${JSON.stringify(manifest, null, 1)}\n`);

console.log(`together    ${(total / 1024).toFixed(1)} KB gzip of ${budget / 1024} KB`);
console.log(`the editor  ${(rich / 1024).toFixed(1)} KB gzip of ${richBudget / 1024} KB`);
if (tooBig || total > budget || rich > richBudget) {
  console.error("assets: above the budget; make them smaller");
  process.exit(1);
}
