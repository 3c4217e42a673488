// Without a script, and without a mouse.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { createTask, PATIENCE, signIn, waiting } from '../lib/story.mjs';

/** Without script a page is as fresh as its last load. */
async function reloadUntil(page, locator) {
  const until = Date.now() + PATIENCE.timeout;
  while ((await locator.count()) === 0 && Date.now() < until) await page.reload();
}

export function tell(given) {
  test('the same loop works without script', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server, { script: false });
    const page = await context.newPage();
    await signIn(page);
    await createTask(page, 'Write a note for new colleagues', 'Ada');
    await page.getByLabel('Comment', { exact: true }).fill('Keep it short.');
    await page.getByLabel('Note only').check();
    await page.getByRole('button', { name: 'Comment' }).click();
    await page.getByText('Keep it short.').first().waitFor();
    await reloadUntil(page, waiting(page));
    await waiting(page).click();
    await page.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('lists, the new task and the help can be used with keys alone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    await page.getByLabel('Add a task', { exact: true }).focus();
    for (const title of ['Pump up the tyres', 'Oil the chains']) {
      await page.keyboard.type(title);
      await page.keyboard.press('Enter');
      await page.getByRole('link', { name: title }).waitFor();
    }
    await page.keyboard.press('Escape');

    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await help.waitFor();
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'hidden' });

    await page.keyboard.press('j');
    const cursor = page.locator('.row[data-cursor]');
    const first = await cursor.getByRole('link').first().innerText();
    await page.keyboard.press('j');
    const second = await cursor.getByRole('link').first().innerText();
    assert.notEqual(first, second, 'j moves on');
    await page.keyboard.press('k');
    assert.equal(await cursor.getByRole('link').first().innerText(), first, 'k moves back');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: first }).waitFor();

    await page.keyboard.press('c');
    await page.getByRole('heading', { level: 1, name: 'New task' }).waitFor();
    await page.keyboard.type('Made with keys alone');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('heading', { level: 1, name: 'Made with keys alone' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('dark is chosen with one key and stays', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.keyboard.press('t');
    await page.waitForFunction((was) => getComputedStyle(document.documentElement).backgroundColor !== was, light);
    const dark = await ground();
    await page.reload();
    assert.equal(await ground(), dark);
    await page.keyboard.press('t');
    await page.waitForFunction((was) => getComputedStyle(document.documentElement).backgroundColor === was, light);
    await context.close();
  });
}
