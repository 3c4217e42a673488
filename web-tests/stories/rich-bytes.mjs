// What nobody has touched keeps its bytes, and what is written anew means the same.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

import { GFM } from '../lib/gfm.mjs';
import { newContext } from '../lib/browser.mjs';
import { changed, openPage } from '../lib/page.mjs';

const { tests } = createRequire(import.meta.url)('commonmark-spec');
const EXAMPLES = [...tests.map(({ markdown }) => markdown.replaceAll('→', '\t')), ...GFM];
// Written anew these are not the same: a break or a tab from an entity, a backslash at the end of a line inside of a
// tag, and a heading behind a definition that the parser of the tests does not place.
const EXCEPT = ['foo&#10;&#10;bar\n', '&#9;foo\n', '<a href="foo\\\nbar">\n', '[foo]: /url\nbar\n===\n[foo]\n'];

/* Reads all examples in a page, and gives those that are not the same when they are saved or written anew. */
async function readAll(given) {
  const context = await newContext(given.browser, given.server);
  const page = await context.newPage();
  await page.goto('/probe');
  const found = await page.evaluate(async (all) => {
    const { read, page: pageOf, compose, textOf } = window.probe;
    const ask = async (text) => read(text, (await (await fetch('/parse', { method: 'POST', body: text })).json()).blocks);
    const bytes = [];
    const sense = [];
    const check = async (text) => {
      const base = await ask(text);
      const doc = pageOf(base);
      const saved = textOf(compose(doc, base));
      if (saved !== text) bytes.push({ text, saved });
      const anew = textOf(compose(doc, { lead: '', all: [] }));
      if (!pageOf(await ask(anew)).eq(doc)) sense.push({ text, anew });
    };
    const left = [...all];
    const one = async () => {
      while (left.length) await check(left.pop());
    };
    await Promise.all([one(), one(), one(), one()]);
    return { bytes, sense };
  }, EXAMPLES);
  assert.deepEqual(context.faults(), []);
  await context.close();
  return found;
}

/* Writes pages at random, and gives those that say something else when they are read again. */
async function writeAtRandom(given, many) {
  const context = await newContext(given.browser, given.server);
  const page = await context.newPage();
  await page.goto('/probe');
  const found = await page.evaluate(async (count) => {
    const { read, page: pageOf, compose, textOf, schema, pagesOf, saidBy } = window.probe;
    const next = pagesOf({ ...schema, text: schema.text.bind(schema) }, 7);
    const wrong = [];
    for (let n = 0; n < count; n += 1) {
      const doc = next();
      const text = textOf(compose(doc, { lead: '', all: [] }));
      const { blocks } = await (await fetch('/parse', { method: 'POST', body: text })).json();
      if (saidBy(pageOf(read(text, blocks))) !== saidBy(doc)) wrong.push({ text, doc: String(doc) });
    }
    return wrong;
  }, many);
  await context.close();
  return found;
}

const PAGE = `---
title: Lease
---

Lease terms
===========

*   A customer's list,
    with \`code\` and __bold__
*   second

<div align="center">
  <b>HTML</b>
</div>

| Part  | Price |
|:------|------:|
| Chain |  24 € |
| Grip  |   9 € |

Some *words* here.
Next line.[^1]

> A quote
> of two lines.

$$
x^2
$$

[^1]: The note.

\`\`\`js
const a = 1;
\`\`\`
`;

export function tell(given) {
  test('every example of CommonMark and GFM keeps its bytes when it is opened and saved, and its sense when it is written anew', async () => {
    assert.ok(EXAMPLES.length > 680, `${EXAMPLES.length} examples`);
    const { bytes, sense } = await readAll(given);
    assert.deepEqual(bytes, []);
    assert.deepEqual(sense.map(({ text }) => text).toSorted(), EXCEPT.toSorted());
  });

  test('pages at random say the same when they are written and read again', async () => {
    assert.deepEqual(await writeAtRandom(given, 300), []);
  });

  test('what was typed and taken back leaves the same bytes', async () => {
    const { at, type, keys, text, end } = await openPage(given, PAGE);
    assert.equal(await text(), PAGE);
    for (const words of ['Some', 'second', 'Chain', 'A quote', 'Lease terms', 'HTML', 'const']) {
      await at(words);
      await type('xyz');
      assert.notEqual(await text(), PAGE);
      await keys('Control+z');
      assert.equal(await text(), PAGE, `after ${words}`);
    }
    await end();
  });

  for (const [words, gone, come] of [
    ['Some', 'Some *words* here.', 'Some *words* here.!'],
    ['second', '*   second', '*   second!'],
    ['Grip', '| Grip  |   9 € |', '| Grip! | 9 € |'],
    ['A quote', '> A quote', '> A quote!'],
    ['Lease terms', 'Lease terms', 'Lease terms!'],
    ['const', 'const a = 1;', 'const a = 1;!'],
    ['title', 'title: Lease', 'title: Lease!'],
    ['The note', '[^1]: The note.', '[^1]: The note.!'],
  ]) {
    test(`who writes behind “${words}” changes that line alone`, async () => {
      const { at, type, text, end } = await openPage(given, PAGE);
      await at(words);
      await type('!');
      assert.deepEqual(changed(PAGE, await text()), { gone: [gone], come: [come] });
      await end();
    });
  }
}
