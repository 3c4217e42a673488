// Signing in and out, and forms that were filled in wrongly.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { OWNER, signIn, write } from '../lib/story.mjs';

export function tell(given) {
  test('the set-up link works once', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();
    await page.goto(server.setupLink);
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(await page.getByLabel('Workspace name').count(), 0);
    await context.close();
  });

  test('a wrong password says so and keeps the address; the right one signs in; one signs out', async () => {
    const { browser, server, place } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    assert.equal(new URL(page.url()).pathname, '/login', 'a page asks for a sign-in first');
    await signIn(page, { email: OWNER.email, password: 'not the password at all' });
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByLabel('Email').inputValue(), OWNER.email);
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
    await signIn(page);
    await page.getByRole('heading', { level: 1, name: /Mira/ }).waitFor();

    await page.getByRole('button', { name: `${OWNER.name}’s account` }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sign in to HQ' }).waitFor();
    await page.goto('/');
    await page.getByRole('heading', { level: 1, name: 'Sign in to HQ' }).waitFor();
    await context.close();
  });

  test('a form with a mistake keeps what was typed and says where', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks/new`);
    await page.getByLabel('Title', { exact: true }).fill('Count the bicycles');
    const text = page.locator('textarea[name=description]');
    await write(text, 'All of them.');
    await page.locator('#new-task summary', { hasText: 'More' }).click();
    await page.getByLabel('Part of').fill('MC-9999');
    await page.getByRole('button', { name: 'Create task', exact: true }).click();
    const wrong = page.locator('[aria-invalid="true"]');
    await wrong.first().waitFor();
    assert.equal(await wrong.first().getAttribute('name'), 'parent');
    const says = await wrong.first().getAttribute('aria-describedby');
    assert.notEqual((await page.locator(`#${says}`).innerText()).trim(), '');
    assert.equal(await page.getByLabel('Title', { exact: true }).inputValue(), 'Count the bicycles');
    assert.equal(await text.inputValue(), 'All of them.');
    assert.equal(await page.getByLabel('Part of').inputValue(), 'MC-9999');

    await page.goto(`${place}/tasks`);
    assert.equal(await page.getByText('Count the bicycles').count(), 0, 'nothing was made');
    await context.close();
  });
}
