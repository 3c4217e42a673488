// A run that is begun again at a step, with the keyboard alone, and the two side by side.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext, PHONE } from '../lib/browser.mjs';
import { createTask, PATIENCE, tabTo, waiting } from '../lib/story.mjs';

export function tell(given) {
  test('A run is retried from one of its steps, and both stand side by side', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto('/');
    await createTask(page, 'Weigh the boxes', 'Ada');
    await waiting(page).waitFor(PATIENCE);
    await page.getByRole('main').getByRole('link', { name: 'All steps' }).first().click();
    await page.getByRole('heading', { level: 1, name: 'Weigh the boxes' }).waitFor();
    const first = new URL(page.url()).pathname;

    await tabTo(page, page.getByRole('link', { name: /^Retry from step/ }).nth(1), 200);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: /^Retry R-\d+$/ }).waitFor();
    const undo = page.getByRole('checkbox', { name: /^Undo these changes first/ });
    assert.equal(await undo.isChecked(), true, 'what came after goes back unless somebody says otherwise');
    await tabTo(page, page.getByRole('button', { name: 'Retry', exact: true }));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Weigh the boxes' }).waitFor();
    const head = page.locator('#run-head');
    await head.getByText(/^Retry, from step \d+, of/).waitFor();
    assert.notEqual(new URL(page.url()).pathname, first);
    await head.getByText('Done', { exact: true }).waitFor(PATIENCE);

    await head.getByRole('link', { name: 'Compare' }).click();
    await page.getByRole('heading', { level: 1, name: /^R-\d+ and R-\d+$/ }).waitFor();
    const sides = page.locator('.pairs th[scope="col"]');
    assert.equal(await sides.count(), 2);
    const compare = page.url();
    const small = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const phone = await small.newPage();
    await phone.goto(compare);
    const [one, two] = [phone.locator('th[data-side="a"]'), phone.locator('th[data-side="b"]')];
    assert.deepEqual([await one.isVisible(), await two.isVisible()], [true, false]);
    await phone.getByRole('group', { name: 'Runs to compare' }).locator('label').nth(1).click();
    await two.waitFor();
    assert.equal(await one.isVisible(), false);
    assert.deepEqual([...context.faults(), ...small.faults()], []);
    await small.close();
    await context.close();
  });
}
