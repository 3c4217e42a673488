// Every page that a person can reach by links, once, in both themes and at two widths: accessible,
// without inline style, without a request to anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

const MOST = 60;

/** The pages behind links, each kind once: two tasks are one kind, and so are two runs. */
export async function everyPage(page, start) {
  const kinds = new Map();
  const queue = [start];
  while (queue.length > 0 && kinds.size < MOST) {
    const path = queue.shift();
    const kind = path.replace(/\?.*/, '').replace(/\/([A-Z]+-\d+|\d+|[0-9a-f-]{36})(?=\/|$)/g, '/*');
    if (kinds.has(kind)) continue;
    const answer = await page.goto(path);
    if (!answer?.headers()['content-type']?.startsWith('text/html')) continue;
    assert.ok(answer.status() < 400, `${path} answers ${answer.status()}`);
    kinds.set(kind, path);
    queue.push(
      ...(await page.locator('a[href^="/"]').evaluateAll((links) => links.map((link) => link.getAttribute('href')))),
    );
  }
  return [...kinds.values()];
}

export function tell(given) {
  test('every page is accessible in both themes and at two widths', async () => {
    const { browser, server, signedIn } = given;
    assert.ok(signedIn, 'the loop must have passed first');
    const walker = await newContext(browser, server, { storageState: signedIn });
    const pages = await everyPage(await walker.newPage(), '/');
    await walker.close();
    assert.ok(pages.includes(given.task) || pages.length >= 8, `only ${pages.length} pages were found`);

    const looks = [
      { size: WIDE, theme: 'light' },
      { size: PHONE, theme: 'dark' },
    ];
    const remarks = [];
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
}
