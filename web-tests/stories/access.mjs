// Every page that a person can reach by links, once, in both themes and at two widths: accessible,
// without inline style, without a request to anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

const MOST = 60;

/** What a path shows: two tasks are one kind, and so are two agents or two runs. */
function kindOf(path) {
  return path
    .replace(/[?#].*/, '')
    .replace(/^\/w\/[^/]+/, '')
    .replace(/\/(tasks|agents|runs|review|chat|connections|files)\/(?!new(\/|$))[^/]+/g, '/$1/*')
    .replace(/\/files\/\*.*/, '/files/*');
}

/** The pages behind links from `start`, each kind once, and what was behind links that lead nowhere. */
export async function everyPage(page, start) {
  const kinds = new Map();
  const dead = [];
  const queue = [start];
  while (queue.length > 0 && kinds.size < MOST) {
    const path = queue.shift();
    const kind = kindOf(path);
    if (kinds.has(kind)) continue;
    kinds.set(kind, path);
    const answer = await page.goto(path);
    if (answer.status() >= 400) dead.push(`${path} answers ${answer.status()}`);
    queue.push(
      ...(await page
        .locator('a[href^="/"]:not([download], [target])')
        .evaluateAll((links) => links.map((link) => link.getAttribute('href')))),
    );
  }
  return { pages: [...kinds.values()], dead };
}

export function tell(given) {
  test('every page is accessible in both themes and at two widths', async () => {
    const { browser, server, signedIn, place } = given;
    assert.ok(signedIn, 'the loop must have passed first');
    const walker = await newContext(browser, server, { storageState: signedIn });
    const { pages, dead } = await everyPage(await walker.newPage(), `${place}/`);
    await walker.close();
    assert.ok(pages.includes(given.task) || pages.length >= 8, `only ${pages.length} pages were found`);

    const looks = [
      { size: WIDE, theme: 'light' },
      { size: PHONE, theme: 'dark' },
    ];
    const remarks = [...dead];
    await Promise.all(
      looks.map(async (look) => {
        const context = await newContext(browser, server, { ...look, storageState: signedIn });
        const page = await context.newPage();
        for (const path of pages) {
          await page.goto(path);
          await assertAccessible(page, `${path} (${look.theme}, ${look.size.width} px)`).catch((error) =>
            remarks.push(error.message),
          );
        }
        remarks.push(...context.faults());
        await context.close();
      }),
    );
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });

  test('the pages before a sign-in are accessible', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark' });
    const page = await context.newPage();
    for (const path of ['/login', '/no-such-page']) {
      await page.goto(path);
      await assertAccessible(page, path);
    }
    await context.close();
  });

  test('script, style and sprite of a page are at most 80 KB on the way', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const sizes = new Map();
    page.on('requestfinished', async (request) => {
      if (!['script', 'stylesheet', 'image', 'other'].includes(request.resourceType())) return;
      sizes.set(new URL(request.url()).pathname, (await request.sizes()).responseBodySize);
    });
    await page.goto(`${place}/tasks`, { waitUntil: 'load' });
    await page.getByRole('main').locator('.row').first().waitFor();
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    assert.ok(sizes.size >= 2 && total > 0, 'script and style were loaded');
    assert.ok(total <= 80 * 1024, `${total} bytes: ${JSON.stringify([...sizes])}`);
    await context.close();
  });
}
