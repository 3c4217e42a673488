// The steps of a set-up, by keys alone and without script; a workspace that is added takes the same ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

/** Adds a workspace; ends on its first step. */
async function add(page, name) {
  await page.goto('/workspaces/new');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Add workspace' }).click();
  await page.getByRole('heading', { level: 1, name: /What best describes your work/ }).waitFor();
}

export function tell(given) {
  test('a set-up ends, by keys alone, on the first task at which the agent is at work', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { size: WIDE, theme: 'dark', storageState: signedIn });
    const page = await context.newPage();
    await add(page, 'By keys');
    const step = async (next) => {
      await assertAccessible(page, next);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name: next }).waitFor();
    };
    // Enter on a card goes on with it; it does not skip.
    await page.locator('[name=intent]').nth(3).focus();
    await page.keyboard.press('Space');
    await step(/This machine/);
    await tabTo(page, page.getByRole('button', { name: 'Continue' }));
    await step('Connect your AI provider');
    await tabTo(page, page.getByRole('button', { name: 'Skip for now' }));
    await step('Create your first agent');
    // The gap of the task is what is typed over.
    const task = page.getByLabel('First task', { exact: true });
    await page.waitForFunction((field) => document.activeElement === field && field.selectionStart < field.selectionEnd, await task.elementHandle());
    await page.keyboard.type('cargo bikes');
    assert.equal(await task.inputValue(), 'Draft three ideas for posts about cargo bikes');
    // Roles are found while one types.
    const roles = page.getByRole('navigation', { name: 'Roles' });
    const shown = () => roles.locator('a:visible b').allTextContents();
    const search = roles.getByRole('searchbox', { name: 'Search roles' });
    await search.focus();
    await page.keyboard.type('competitors');
    await roles.getByText('1 role', { exact: true }).waitFor();
    assert.deepEqual(await shown(), ['Market Researcher']);
    await assertAccessible(page, 'roles that are searched');
    await page.keyboard.type(' and plumbing');
    await roles.getByText('No role matches “competitors and plumbing”').waitFor();
    await search.press('Control+a');
    await page.keyboard.press('Delete');
    assert.ok(5 < (await shown()).length, 'all roles are there again');
    const name = page.getByLabel('Name', { exact: true });
    assert.equal(await name.inputValue(), 'Ghost');
    await name.press('Control+a');
    await page.keyboard.type('Inka');
    await page.getByRole('button', { name: 'Create Inka and start' }).waitFor();
    await assertAccessible(page, 'the first agent');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Draft three ideas for posts about cargo bikes' }).waitFor();
    await page.getByRole('main').getByText(/Inka is working|In review/).first().waitFor();
    await page.getByLabel('Properties').getByText('Inka').first().waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a set-up works without script on a phone, and goes on in another browser', async () => {
    const { browser, server, signedIn } = given;
    const plain = { size: PHONE, theme: 'light', storageState: signedIn, script: false };
    const context = await newContext(browser, server, plain);
    const page = await context.newPage();
    await add(page, 'Without script');
    await page.getByText('Managing clients', { exact: true }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { level: 1, name: /This machine/ }).waitFor();
    await page.getByText('Step 2 of 4').waitFor();

    const elsewhere = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const other = await elsewhere.newPage();
    await other.goto('/w/without-script/');
    await other.getByRole('heading', { level: 1, name: /This machine/ }).waitFor();
    for (const next of ['Connect your AI provider', 'Create your first agent']) {
      await assertAccessible(other, `before ${next} on a phone`);
      await other.getByRole('button', { name: /^Continue|^Skip for now/ }).click();
      await other.getByRole('heading', { level: 1, name: next }).waitFor();
    }
    await assertAccessible(other, 'the first agent on a phone');
    await elsewhere.close();

    await page.goto('/w/without-script/');
    await page.getByRole('link', { name: /Assistant/ }).click();
    await page.getByLabel('First task', { exact: true }).fill('Say what you can do');
    await page.getByRole('button', { name: /^Create/ }).click();
    await page.getByRole('heading', { level: 1, name: 'Say what you can do' }).waitFor();
    assert.deepEqual([...context.faults(), ...elsewhere.faults()], []);
    await context.close();
  });
}
