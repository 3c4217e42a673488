// The whole loop: the set-up link, practice, an agent, a task, its steps live, approval.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, twoContexts } from '../lib/browser.mjs';
import { createAgent, createTask, PATIENCE, setUp, TASK, tryWithPractice, waiting, wrongFields } from '../lib/story.mjs';

export function tell(given) {
  test('a set-up with a bad password says so beside it and keeps the rest', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();
    await page.goto(server.setupLink);
    const typed = { 'Your name': 'Łukasz “Ω” O’Neil <b>', Email: 'lukasz@marlow.example', 'Workspace name': 'A & B' };
    for (const [label, text] of Object.entries(typed)) await page.getByLabel(label).fill(text);
    await page.getByLabel('Password', { exact: true }).fill('short');
    await page.getByRole('button', { name: 'Create and continue' }).click();
    await page.getByRole('alert').waitFor();
    assert.deepEqual(await wrongFields(page), ['password']);
    for (const [label, text] of Object.entries(typed)) {
      assert.equal(await page.getByLabel(label).inputValue(), text);
    }
    await assertAccessible(page, 'set-up with a mistake');
    await context.close();
  });

  test('a newcomer sees an agent do a piece of work and approves it', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server);
    const page = await context.newPage();

    await setUp(page, server);
    for (const next of ['Connect a provider', 'Try practice mode', 'Create an agent']) {
      await page.getByRole('main').getByText(next, { exact: true }).first().waitFor();
    }
    await tryWithPractice(page);
    const task = page.url();
    given.signedIn = await context.storageState();
    given.task = new URL(task).pathname;
    given.place = given.task.match(/^\/w\/[^/]+/)[0];

    // A second window that is never reloaded sees the work arrive, too.
    const elsewhere = await newContext(browser, server, { storageState: given.signedIn });
    const watcher = await elsewhere.newPage();
    await watcher.goto(task);

    const steps = page.getByRole('main').locator('li[id^="step-"]');
    // On a slow machine the run may be over and folded before anybody looks.
    await steps.first().waitFor({ ...PATIENCE, state: 'attached' });
    await waiting(page).waitFor(PATIENCE);
    await waiting(watcher).waitFor(PATIENCE);
    assert.ok((await steps.count()) >= 3, 'the practice run shows its steps on the task');
    assert.match(await page.getByRole('main').innerText(), /practice/i, 'the work is labelled as practice');

    await waiting(page).click();
    for (const one of [page, watcher]) {
      await one.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
      await one.getByLabel('Properties').getByText('Done', { exact: true }).first().waitFor();
    }
    assert.equal(page.url(), task, 'approval happens in place');

    // What was there is there after a reload, and nothing went wrong on the way.
    await page.reload();
    await page.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
    assert.deepEqual([...context.faults(), ...elsewhere.faults()], []);
    await elsewhere.close();
    await context.close();
  });

  test('changes that are asked for come back as version 2 by themselves', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto('/');
    await createAgent(page, 'Ada');
    await createTask(page, TASK, 'Ada');
    await waiting(page).waitFor(PATIENCE);
    await page.getByRole('button', { name: 'Request changes' }).click();
    const dialog = page.getByRole('dialog', { name: 'Request changes' });
    await dialog.getByLabel('What should change?').fill('Please add the deposit of each firm.');
    await dialog.getByRole('button', { name: 'Send back' }).click();
    await page.getByText(/version 2/).first().waitFor(PATIENCE);
    await page.getByRole('link', { name: 'Open for review' }).last().click();
    await page.getByRole('link', { name: 'Changes in version 2' }).click();
    await page.locator('.diff ins').first().waitFor();
    await page.getByLabel('Note to Ada').waitFor();
    await page.goBack();
    await page.goBack();
    await waiting(page).click();
    await page.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a change in one window shows in another', async () => {
    const { browser, server, signedIn, place } = given;
    const [context, elsewhere] = await twoContexts(browser, server, { storageState: signedIn });
    const [one, other] = [await context.newPage(), await elsewhere.newPage()];
    await other.goto(`${place}/tasks`);
    await one.goto(`${place}/tasks`);
    await one.getByLabel('Add a task', { exact: true }).fill('Order new helmets');
    await one.keyboard.press('Enter');
    await one.getByRole('link', { name: 'Order new helmets' }).waitFor();
    await other.getByRole('link', { name: 'Order new helmets' }).waitFor();

    await one.getByRole('link', { name: 'Order new helmets' }).click();
    await other.getByRole('link', { name: 'Order new helmets' }).click();
    await one.getByLabel('Comment', { exact: true }).fill('Blue ones, **six** of them.');
    await one.getByRole('button', { name: 'Comment' }).click();
    for (const page of [one, other]) {
      await page.getByText('Blue ones, six of them.').waitFor();
    }
    assert.equal(await one.getByLabel('Comment', { exact: true }).inputValue(), '', 'what was sent is gone from the field');
    assert.deepEqual([...context.faults(), ...elsewhere.faults()], []);
    await elsewhere.close();
    await context.close();
  });
}
