// What opens over a page and pages that are not there: accessible. How much a page loads. Every page is looked at in
// `pages.mjs`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

export function tell(given) {
  test('what opens over a page is accessible, too', async () => {
    const { browser, server, signedIn, place, task } = given;
    for (const look of [{ size: WIDE, theme: 'dark' }, { size: PHONE, theme: 'light' }]) {
      const context = await newContext(browser, server, { ...look, storageState: signedIn });
      const page = await context.newPage();
      const open = async (path, opener, layer) => {
        await page.goto(path);
        await page.locator(opener).first().click();
        await page.locator(layer).waitFor();
        // What is still moving in is paler than it will be.
        await page.locator(layer).evaluate((box) => Promise.all(box.getAnimations({ subtree: true }).map((one) => one.finished)));
        await assertAccessible(page, `${path} with ${layer} (${look.theme}, ${look.size.width} px)`);
      };
      await open(`${place}/tasks`, '[popovertarget="filter"]', '#filter');
      await open(`${place}/tasks`, '[popovertarget="sort"]', '#sort');
      await open(`${place}/`, '[popovertarget="account"]', '#account');
      for (const menu of ['m-status', 'm-assign', 'm-due']) await open(task, `[popovertarget="${menu}"]`, `#${menu}`);
      if (look.size === PHONE) await open(`${place}/`, '.tabbar [popovertarget="side"]', '#side');
      else await open(`${place}/`, '[commandfor="help"]', '#help');
      await page.goto(`${place}/nothing-is-here`);
      await assertAccessible(page, `a page that is not there (${look.theme})`);
      await context.close();
    }
  });

  test('a page that is not there is accessible before a sign-in', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark' });
    const page = await context.newPage();
    await page.goto('/no-such-page');
    await assertAccessible(page, 'a page that is not there');
    await context.close();
  });

  test('script, style and sprite of a page are at most 85 KB on the way', async () => {
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
    assert.ok(total <= 85 * 1024, `${total} bytes: ${JSON.stringify([...sizes])}`);
    await context.close();
  });
}
