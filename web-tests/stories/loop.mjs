// The whole loop: the set-up link, practice, an agent, a task, its steps live, approval.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { createAgent, createTask, OWNER, setUp, signIn, TASK, tryWithPractice } from '../lib/story.mjs';

export function tell(given) {
  test('a newcomer sees an agent do a piece of work and approves it', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();

    await setUp(page, server);
    for (const next of ['Connect a provider', 'Try with practice', 'Create an agent']) {
      await page.getByRole('main').getByText(next).first().waitFor();
    }
    await tryWithPractice(page);
    await createAgent(page, 'Ada');
    await createTask(page, TASK, 'Ada');
    const task = page.url();

    // A second window that is never reloaded sees the work arrive.
    const watcher = await context.newPage();
    await watcher.goto(task);

    const steps = page.getByRole('main').locator('li[id^="step-"]');
    await steps.first().waitFor();
    await page.getByRole('button', { name: 'Approve' }).waitFor({ timeout: 30_000 });
    await watcher.getByRole('button', { name: 'Approve' }).waitFor();
    assert.ok((await steps.count()) >= 3, 'the practice run shows its steps on the task');
    assert.match(await page.getByRole('main').innerText(), /practice/i, 'the work is labelled as practice');

    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('Approved', { exact: true }).first().waitFor();
    await watcher.getByText('Approved', { exact: true }).first().waitFor();
    assert.equal(page.url(), task, 'approval happens in place');

    // What was there is there after a reload, and nothing went wrong on the way.
    await page.reload();
    await page.getByText('Approved', { exact: true }).first().waitFor();
    assert.deepEqual(context.faults(), []);
    given.signedIn = await context.storageState();
    given.task = new URL(task).pathname;
    await context.close();
  });

  test('the set-up link works once', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();
    await page.goto(server.setupLink);
    assert.equal(await page.getByLabel('Workspace name').count(), 0);
    await context.close();
  });

  test('a wrong password says so and keeps the address; the right one signs in', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();
    await signIn(page, { email: OWNER.email, password: 'not the password at all' });
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByLabel('Email').inputValue(), OWNER.email);
    await signIn(page);
    await page.getByRole('heading', { level: 1, name: /Mira/ }).waitFor();
    await context.close();
  });

  test('the same loop works without script', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server, { script: false });
    const page = await context.newPage();
    await signIn(page);
    await createTask(page, 'Write a welcome note', 'Ada');
    const approve = page.getByRole('button', { name: 'Approve' });
    // Without script a page is as fresh as its last load.
    const until = Date.now() + 30_000;
    while ((await approve.count()) === 0 && Date.now() < until) await page.reload();
    await approve.click();
    await page.getByText('Approved', { exact: true }).first().waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
