// Without a script, and without a mouse.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { SLOW } from '../lib/server.mjs';
import { createAgent, createTask, open, PATIENCE, signIn, unfolded, waiting } from '../lib/story.mjs';

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

  test('every action works without script', async () => {
    const { browser, server, place } = given;
    const context = await newContext(browser, server, { script: false });
    const page = await context.newPage();
    const main = page.getByRole('main');
    const press = (name) => main.getByRole('button', { name, exact: true }).first().click();
    const says = (text) => page.getByText(text).first().waitFor();
    // What stands in a layer is pressed by key: without script a mouse cannot tell when it stands still.
    const pick = async (menu, value) => {
      await page.locator(`[popovertarget="${menu}"]`).click();
      await page.locator(`#${menu} button[value="${value}"]`).press('Enter');
    };
    await signIn(page);

    // An agent: pause, resume, settings, archive, restore.
    await createAgent(page, 'Bo');
    await press('Pause');
    await main.getByRole('button', { name: 'Start nothing new' }).press('Enter');
    await press('Resume');
    await main.getByRole('button', { name: 'Pause', exact: true }).waitFor();
    await page.getByRole('link', { name: 'Settings', exact: true }).last().click();
    await page.getByLabel('Monthly budget ($)').fill('5');
    await press('Save');
    await says('Bo is saved.');
    await press('Archive agent');
    await press('Restore');
    await main.getByRole('button', { name: 'Pause', exact: true }).waitFor();

    // A task: the quick line, text, properties, comments, archive, a part of it.
    await open(page, 'Tasks');
    await page.getByLabel('Add a task', { exact: true }).fill('Sweep the yard');
    await press('Add');
    await main.getByRole('link', { name: 'Sweep the yard' }).click();
    await page.getByRole('link', { name: 'Edit task' }).click();
    await page.getByLabel('Description').fill('All **four** corners.');
    await press('Done');
    await says('All four corners.');
    await pick('m-status', 'in_progress');
    await pick('m-priority', 'high');
    await server.restart({ settings: SLOW });
    await pick('m-assign', 'bo');
    await pick('m-due', 'tomorrow');
    const properties = page.getByLabel('Properties');
    for (const now of ['In progress', 'High', 'Bo', 'Tomorrow']) await properties.getByText(now, { exact: true }).first().waitFor();
    // With a time of day, which stays when only the day changes.
    await page.locator('[popovertarget="m-due"]').click();
    await page.locator('#due-time').fill('14:30');
    await page.locator('#m-due').getByRole('button', { name: 'Set', exact: true }).press('Enter');
    await properties.getByText('Tomorrow, 14:30', { exact: true }).first().waitFor();
    await pick('m-due', 'today');
    await properties.getByText('Today, 14:30', { exact: true }).first().waitFor();
    await page.locator('[popovertarget="m-due"]').click();
    await page.locator('#due-time').fill('');
    await page.locator('#m-due').getByRole('button', { name: 'Set', exact: true }).press('Enter');
    await properties.getByText('Today', { exact: true }).first().waitFor();

    // The run that this began: stopped, tried again, its work refused.
    await reloadUntil(page, main.getByRole('button', { name: 'Stop', exact: true }));
    await main.getByRole('link', { name: 'All steps' }).click();
    await press('Stop');
    await reloadUntil(page, main.getByRole('button', { name: 'Retry', exact: true }));
    await server.restart();
    await press('Retry');
    await says('It starts as soon as the agent is free.');
    await open(page, 'Tasks');
    await main.getByRole('link', { name: 'Sweep the yard' }).click();
    await reloadUntil(page, waiting(page));
    await press('Reject');
    const dialog = page.getByRole('dialog', { name: 'Reject this work' });
    await dialog.getByLabel('Why?').fill('A yard is swept with a broom.');
    await dialog.getByRole('button', { name: 'Reject', exact: true }).press('Enter');
    await main.getByText('Rejected', { exact: true }).first().waitFor();

    await page.getByLabel('Comment', { exact: true }).fill('Wait for the wind.');
    await page.getByLabel('Note only').check();
    await press('Comment');
    const comment = main.locator('li.comment').filter({ hasText: 'Wait for the wind.' });
    await comment.getByRole('link', { name: 'Edit' }).click();
    await page.getByLabel('Comment', { exact: true }).fill('The wind is gone.');
    await press('Save');
    await main.locator('li.comment').filter({ hasText: 'The wind is gone.' }).getByRole('button', { name: 'Delete' }).click();
    await main.getByText('The wind is gone.').waitFor({ state: 'detached' });
    await page.getByLabel('Add a subtask').fill('Sweep the yard');
    await press('Add');
    await main.locator('#task-parts').getByRole('link', { name: 'Sweep the yard' }).waitFor();
    await main.getByRole('link', { name: 'All fields' }).click();
    await page.getByLabel('Title', { exact: true }).fill('Find the broom');
    await press('Create task');
    await page.getByRole('heading', { level: 1, name: 'Find the broom' }).waitFor();
    await press('Archive');
    await press('Restore');
    await main.getByRole('button', { name: 'Archive', exact: true }).waitFor();

    // Talk, and begin anew.
    await page.goto(`${place}/agents/bo/chat`);
    await page.getByLabel('Message to Bo').fill('Where is the broom?');
    await press('Send');
    await reloadUntil(page, page.getByText('For real answers, connect a provider'));
    const anew = main.getByRole('button', { name: 'New conversation' });
    await reloadUntil(page, anew);
    await anew.first().click();
    await page.getByRole('heading', { name: 'Chat with Bo' }).waitFor();

    // Settings: a connection that nobody answers, a token, names, the look.
    await page.goto(`${place}/settings/connections/new?kind=openai-compatible`);
    await page.getByLabel('Name', { exact: true }).fill('Cellar');
    await page.getByLabel('Address').fill('http://127.0.0.1:9/v1');
    await press('Connect and test');
    await page.getByRole('heading', { level: 1, name: 'Cellar' }).waitFor();
    await page.getByLabel('Name', { exact: true }).fill('The cellar');
    await press('Save');
    await main.getByRole('region', { name: 'The cellar' }).getByRole('button', { name: 'Test', exact: true }).click();
    await main.getByRole('region', { name: 'The cellar' }).getByRole('link', { name: /Edit/ }).click();
    await press('Remove connection');
    await page.getByRole('heading', { level: 1, name: 'Connections' }).waitFor();
    await main.getByRole('region', { name: 'The cellar' }).waitFor({ state: 'detached' });

    await page.goto(`${place}/settings/tokens`);
    await (await unfolded(page, 'New token', 'Name')).fill('Nightly import');
    await press('Create token');
    await says('Copy it now. It won’t be shown again.');
    await press('Revoke');
    await says('Token "Nightly import" revoked.');
    await page.goto(`${place}/settings/profile`);
    await press('Save name');
    await says('Name saved.');
    await press('Save time zone');
    await says('Time zone saved.');
    await page.goto(`${place}/settings/general`);
    await press('Save');
    await says('Saved.');
    await page.getByRole('button', { name: 'Light or dark' }).click();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
    await page.goto(`${place}/settings/appearance`);
    await page.getByLabel('Theme').selectOption('System');
    await press('Save');
    await says('Appearance saved.');
    await page.locator('[popovertarget="account"]').click();
    await page.getByRole('button', { name: 'Sign out' }).press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Sign in to HQ' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('an agent is given a task and its work approved with keys alone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const focused = () => page.evaluate(() => document.activeElement.closest('a, button')?.innerText ?? '');
    const tabTo = async (wanted) => {
      for (let at = 0; at < 60 && !wanted.test(await focused()); at += 1) await page.keyboard.press('Tab');
      assert.match(await focused(), wanted);
    };
    await page.goto(`${place}/tasks`);
    await tabTo(/’s account/);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Settings' }).last().waitFor();
    assert.match(await focused(), /Settings/, 'a menu that opens takes the focus');
    await page.keyboard.press('Escape');

    await page.keyboard.press('c');
    const layer = page.getByRole('dialog', { name: 'New task' });
    await layer.waitFor();
    await page.keyboard.type('Ring the bell');
    await page.keyboard.press('Tab');
    await page.keyboard.type('Twice.');
    const assignee = layer.getByLabel('Assignee');
    while (!(await assignee.evaluate((field) => field === document.activeElement))) {
      await page.keyboard.press('Tab');
    }
    await page.keyboard.type('Ada');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await assignee.inputValue(), 'ada');
    await page.keyboard.press('Control+Enter');
    await page.locator('.row[data-cursor]').getByRole('link', { name: 'Ring the bell' }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Ring the bell' }).waitFor();
    await waiting(page).waitFor(PATIENCE);

    await page.keyboard.press('g');
    await page.keyboard.press('r');
    await page.getByRole('form', { name: 'Decision' }).waitFor();
    for (let at = 0; at < 20 && !/Ring the bell/.test(await focused()); at += 1) await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    const desk = page.locator('#desk');
    await desk.getByTitle('Ring the bell').first().waitFor();
    await page.keyboard.press('a');
    await page.getByText('Approved').first().waitFor();
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
    await page.getByRole('dialog', { name: 'New task' }).waitFor();
    await page.keyboard.type('Made with keys alone');
    await page.keyboard.press('Control+Enter');
    await page.locator('#toasts').getByRole('link', { name: 'Open' }).focus();
    await page.keyboard.press('Enter');
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
