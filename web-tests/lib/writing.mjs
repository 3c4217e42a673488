// A page with the editor alone, and the addresses that it asks: a small server in the place of HQ. HQ_RICH_PARSE names
// another address that reads the Markdown, such as that of a running HQ.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import { blocks } from './blocks.mjs';

const root = new URL('../../', import.meta.url);
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types htmx rich ProseMirrorClipboard";
const KINDS = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const NAMES = [
  { label: 'Lease terms, 2026', insert: '[[Lease terms, 2026]]', kind: 'Page' },
  { label: 'Return check', insert: '[Return check](/w/marlow/pages/7)', kind: 'Page' },
  { label: 'Juno', insert: '@juno', kind: 'Agent' },
  { label: 'Mira Lindqvist', insert: '@mira', kind: 'Person' },
];

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.codePointAt(0)};`);

/** The page, its frame that of a page of HQ with outline and text. */
function document(text, { theme, isBrought }) {
  const said = JSON.stringify({ blocks: isBrought ? blocks(text) : [] }).replaceAll('<', '\\u003c');
  const known = isBrought ? `<script type="application/json" data-rich-blocks>${said}</script>` : '';
  const asks = 'data-rich data-rich-parse="/parse" data-rich-names="/names" data-rich-files="/files" data-rich-picture="/s/picture.js" data-rich-more="/s/more.js"';
  return `<!doctype html>
<html lang="en" data-theme="${theme}" data-density="compact">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Lease terms, 2026</title>
<link rel="stylesheet" href="/s/app.css"><link rel="stylesheet" href="/s/rich.css"><link rel="stylesheet" href="/s/frame.css">
<script src="/s/app.js" defer></script><script src="/s/rich.js" defer></script>
</head>
<body data-home="/w/marlow/">
<main id="main" tabindex="-1">
<div class="doc">
<nav class="outline" aria-label="Outline" data-rich-outline></nav>
<article>
<header class="record-head">
<div class="line">
<span class="chip" data-size="s"><svg class="i" aria-hidden="true"><use href="/s/icons.svg#i-doc"/></svg><span>Page</span></span>
<span class="grow"></span>
<button class="btn" type="button" data-kind="ghost" data-size="s" data-rich-source hidden>Markdown</button>
</div>
<h1 class="record-title">Lease terms, 2026</h1>
</header>
<form method="post" action="/saved">${known}<textarea name="body" aria-label="Text of the page" ${asks}>
${escape(text)}</textarea></form>
</article>
</div>
</main>
<div id="layer"></div><div id="toasts" role="status"></div>
</body>
</html>`;
}

/** A text that writer.js stores: the form around a task's description, with the editor in it. */
function stored(text) {
  const field = (name, box) => `<div class="field">${box}<input type="hidden" name="${name}_base" value="${escape(text)}">
<p class="error" hidden></p></div>`;
  const box = `<textarea name="description" aria-label="Text of the page" autofocus data-rich data-rich-parse="/parse">
${escape(text)}</textarea>`;
  return `<!doctype html><html lang="en"><head><title>Stored</title><link rel="stylesheet" href="/s/app.css">
<link rel="stylesheet" href="/s/rich.css"><script src="/s/app.js" defer></script><script src="/s/rich.js" defer></script></head>
<body data-home="/w/marlow/"><main><form data-writes data-api="/stored" data-draft="page-7" data-heard="hq:none">
<div class="field"><input name="title" value="Lease"><input type="hidden" name="title_base" value="Lease"><p class="error" hidden></p></div>
${field('description', box)}<p data-says></p></form><div id="task-preview" hidden></div></main></body></html>`;
}

const FRAME = `.doc { display: grid; grid-template-columns: 176px minmax(0, 1fr) 304px; min-height: 100%; }
.doc > .outline { padding: 92px 0 20px 20px; } .doc > article { padding: 28px 40px 96px; }
.doc > article > * { max-width: 660px; margin-inline: auto; }
.record-head + form { margin-top: 14px; }
@media (width < 900px) { .doc { grid-template-columns: minmax(0, 1fr); } .doc > .outline { display: none; } .doc > article { padding: 20px 16px; } }`;

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

async function read(text) {
  const url = process.env.HQ_RICH_PARSE;
  if (!url) return { blocks: blocks(text) };
  const headers = { 'content-type': 'text/markdown; charset=utf-8', cookie: process.env.HQ_RICH_COOKIE ?? '', origin: new URL(url).origin };
  const answer = await fetch(url, { method: 'POST', headers, body: text });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  return answer.json();
}

/** The style of what comes to the editor with scripts of its own, which is in the sheet of knowledge. */
async function more() {
  const sheet = await readFile(new URL('static/css/knowledge.css', root), 'utf8');
  return sheet.split('\n').filter((line) => /^ *\.rich-/.test(line)).join('\n');
}

async function probe() {
  const { build } = createRequire(new URL('package.json', root))('esbuild');
  const [entry, packages] = ['web-tests/lib/probe.js', 'node_modules'].map((path) => new URL(path, root).pathname);
  const how = { bundle: true, write: false, format: 'iife', globalName: 'probe', nodePaths: [packages] };
  const { outputFiles } = await build({ entryPoints: [entry], ...how });
  return outputFiles[0].contents;
}

/** Starts the server; `given` is what a test changes: the text, the theme, how long the server thinks. */
export async function startWriting() {
  const manifest = JSON.parse(await readFile(new URL('static/dist/manifest.json', root)));
  const given = { text: '', theme: 'light', isBrought: true, wait: 0, isAway: false, files: [], stored: [], merge: (own) => own };
  let probed;

  async function bundled(name) {
    if (name === 'frame.css') return FRAME + (await more());
    if (name === 'probe.js') return (probed ??= await probe());
    return readFile(new URL(`static/dist/${manifest[name]}`, root));
  }

  async function answer(request, path) {
    const json = (value, status = 200) => ({ status, type: 'application/json', body: JSON.stringify(value) });
    if (path === '/probe') return { type: 'text/html', body: '<!doctype html><title>Parts</title><link rel="icon" href="data:,"><script src="/s/probe.js"></script>' };
    if (path === '/writer') return { type: 'text/html; charset=utf-8', body: stored(given.text) };
    if (path === '/stored') {
      const said = JSON.parse((await body(request)).toString('utf8'));
      given.stored.push(said.description);
      return given.isAway ? json({ detail: 'away' }, 503) : json({ description: given.merge(said.description) });
    }
    if (path === '/') return { type: 'text/html; charset=utf-8', body: document(given.text, given) };
    if (path.startsWith('/s/')) return { type: KINDS[path.split('.').at(-1)], body: await bundled(path.slice(3)) };
    if (path === '/names') {
      const q = new URL(request.url, 'http://x').searchParams.get('q').replace(/^(?:\[\[|@)/, '').toLowerCase();
      return json(NAMES.filter(({ label }) => label.toLowerCase().includes(q)));
    }
    if (path === '/parse') {
      const text = (await body(request)).toString('utf8');
      await new Promise((done) => setTimeout(done, given.wait));
      return given.isAway ? json({ detail: 'away' }, 503) : json(await read(text));
    }
    if (path === '/files') {
      const [, name] = /filename="([^"]*)"/.exec((await body(request)).toString('latin1')) ?? [];
      given.files.push(name);
      return name === 'bad.png' ? json({ detail: 'This picture is too large.' }, 413) : json({ name, url: '/s/icons.svg' });
    }
    return { status: 404, type: 'text/plain', body: 'nothing here' };
  }

  const server = createServer(async (request, response) => {
    try {
      const { status = 200, type, body: said } = await answer(request, request.url.split('?')[0]);
      response.writeHead(status, { 'content-type': type, 'content-security-policy': POLICY });
      response.end(said);
    } catch (error) {
      response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(String(error.stack));
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, given, stop: () => server.close() };
}
