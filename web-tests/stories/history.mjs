// A change is followed to its history, undone from there after a look at what would happen, and back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext, PHONE } from '../lib/browser.mjs';
import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { createTask, PATIENCE, tabTo } from '../lib/story.mjs';

export function tell(given) {
  test('a change is found in the history of its task, undone after a preview, and done again', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto('/');
    await createTask(page, 'Order bells', 'Unassigned');
    const task = page.url();
    await page.getByRole('button', { name: 'Medium' }).click();
    await page.getByRole('button', { name: 'Urgent' }).click();
    await page.getByRole('button', { name: 'Urgent' }).waitFor(PATIENCE);

    await page.getByText('History', { exact: true }).click();
    const history = page.locator('#history');
    await history.getByText('Priority').first().waitFor(PATIENCE);
    await assertAccessible(page, 'the history of a task');
    await history.getByRole('link', { name: 'Undo' }).first().click();

    await page.getByRole('heading', { level: 1, name: /^Undo a change/ }).waitFor();
    await page.getByRole('heading', { name: 'Will be undone' }).waitFor();
    await assertAccessible(page, 'the preview of an undo');
    await page.getByRole('button', { name: 'Undo this' }).click();
    // It leads back to where the undo was asked for.
    await page.waitForURL(task);
    await page.getByText('Undone: one record reverted.').waitFor();
    await page.getByRole('button', { name: 'Medium' }).waitFor();

    await page.goto(`${given.place}/activity`);
    await page.getByRole('listitem').filter({ hasText: 'reverted' }).first().hover();
    await page.getByRole('link', { name: 'Undo', exact: true }).first().click();
    await page.getByRole('button', { name: 'Undo this' }).click();
    await page.goto(task);
    await page.getByRole('button', { name: 'Urgent' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a change is undone from the history on a narrow screen with the keys alone', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE });
    const page = await context.newPage();
    await page.goto(`${given.place}/tasks/new`);
    await page.getByLabel('Title', { exact: true }).fill('Paint the trailer');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Paint the trailer' }).waitFor();
    const task = page.url();
    const answer = await page.request.post(`${task}/priority`, { form: { priority: 'urgent' }, headers: { origin: server.url } });
    assert.ok(answer.ok(), `${answer.status()}`);

    await page.goto(task);
    await tabTo(page, page.locator('.history-fold > summary'));
    await page.keyboard.press('Enter');
    const undo = page.locator('#history').getByRole('link', { name: 'Undo' }).first();
    await undo.waitFor(PATIENCE);
    await tabTo(page, undo);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: /^Undo a change/ }).waitFor();
    await tabTo(page, page.getByRole('button', { name: 'Undo this' }));
    await page.keyboard.press('Enter');
    await page.getByText('Undone: one record reverted.').waitFor();
    await page.goto(task);
    await page.locator('#task-props').getByRole('button', { name: 'Medium' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('what changed is looked at on a phone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE });
    const page = await context.newPage();
    await page.goto(`${place}/activity`);
    await page.getByRole('link', { name: /view changes$/ }).first().click();
    await page.getByRole('heading', { level: 1, name: /^Entry/ }).waitFor();
    await page.getByRole('link', { name: 'Undo all' }).click();
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('heading', { level: 1, name: /^Entry/ }).waitFor();
    assert.equal(await tooWide(page), '', 'nothing is wider than the phone');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
