// The files of an agent, changed by hand: what it is told, with the way back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts, WIDE } from '../lib/browser.mjs';

export function tell(given) {
  test('what an agent stands for is changed by hand, seen elsewhere at once, and brought back', async () => {
    const { browser, server, place, signedIn } = given;
    const [context, elsewhere] = await twoContexts(browser, server, { size: WIDE, storageState: signedIn });
    const [page, other] = [await context.newPage(), await elsewhere.newPage()];
    const soul = `${place}/agents/ada/files?path=SOUL.md`;
    await other.goto(soul);
    await page.goto(soul);
    await page.getByRole('heading', { level: 1, name: 'Ada' }).waitFor();
    await page.getByRole('main').getByRole('link', { name: 'Edit', exact: true }).click();
    const text = page.getByLabel('Content');
    const before = await text.inputValue();
    await assertAccessible(page, 'a file that is changed');
    await text.fill(`${before.trimEnd()}\n- Count cargo bikes in dozens.\n`);
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    for (const one of [page, other]) {
      await one.locator('#agent-file').getByText('Count cargo bikes in dozens.').waitFor();
    }

    await page.locator('#agent-file').getByRole('link', { name: 'History' }).click();
    const commits = page.getByRole('navigation', { name: 'Commits, newest first' }).getByRole('link');
    await commits.nth(1).click();
    await page.getByRole('button', { name: 'Restore this version' }).click();
    await page.goto(soul);
    assert.equal(await page.locator('#agent-file').getByText('Count cargo bikes').count(), 0);
    await other.locator('#agent-file').getByText('Count cargo bikes').waitFor({ state: 'detached' });
    assert.deepEqual([...context.faults(), ...elsewhere.faults()], []);
    await elsewhere.close();
    await context.close();
  });

  test('a file is made, renamed and deleted on a phone without script', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark', storageState: signedIn, script: false });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada/files`);
    await page.getByRole('link', { name: 'New file' }).click();
    await page.getByLabel('Name', { exact: true }).fill('notes/fees.md');
    await page.getByLabel('Content').fill('# Fees\n\nAsk for the early return.');
    await page.getByRole('button', { name: 'Create file' }).click();
    const file = page.locator('#agent-file');
    await file.getByRole('heading', { name: 'notes/fees.md' }).waitFor();
    await file.getByRole('link', { name: 'Rename' }).click();
    await page.getByLabel('New name').fill('notes/prices.md');
    await page.getByRole('button', { name: 'Rename' }).click();
    await file.getByRole('heading', { name: 'notes/prices.md' }).waitFor();
    await file.getByRole('link', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.goto(`${place}/agents/ada/files?path=notes/prices.md`);
    assert.equal(await page.getByText('Ask for the early return.').count(), 0);
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('404')), []);
    await context.close();
  });
}
