// Streams, labels, routines and notifications: with the mouse, with the keyboard alone, and on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { invite, join, PATIENCE, tabTo, unfolded } from '../lib/story.mjs';

const LENA = { name: 'Lena Brandt', email: 'lena@marlow.example', password: 'a tandem leans on the lighthouse' };

export function tell(given) {
  const opened = async (options = {}) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const ended = async (context) => {
    assert.deepEqual(context.faults(), []);
    await context.close();
  };
  /** Puts the focus on something by Tab alone and presses a key there. */
  const pressOn = async (page, target, key = 'Enter') => {
    await tabTo(page, target, 200);
    await page.keyboard.press(key);
  };

  test('A stream is made with the mouse, and changed, put away and brought back with the keyboard', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/streams`);
    await page.getByRole('link', { name: 'New stream' }).click();
    await page.getByLabel('Name', { exact: true }).fill('Autumn fair');
    await page.getByLabel('Goal', { exact: true }).fill('Show **two** new bikes');
    await page.getByLabel('Lead').selectOption({ index: 1 });
    await page.getByRole('button', { name: 'Create stream' }).click();
    await page.getByRole('heading', { level: 1, name: /Autumn fair/ }).waitFor();
    await page.locator('#stream-head strong', { hasText: 'two' }).waitFor();

    const line = page.getByLabel('Description');
    await tabTo(page, line, 200);
    await page.keyboard.type('A stand for two days');
    await page.keyboard.press('Enter');
    await page.locator('#stream-head', { hasText: 'A stand for two days' }).waitFor();
    await page.reload();
    await pressOn(page, page.getByRole('button', { name: 'Archive stream' }));
    await page.getByText('This stream is archived.').waitFor();
    await page.goto(`${place}/streams`);
    assert.equal(await page.getByRole('link', { name: /Autumn fair/ }).count(), 0, 'it is out of the way');
    await page.getByRole('link', { name: 'Archived', exact: true }).click();
    await page.getByRole('link', { name: /Autumn fair/ }).click();
    await pressOn(page, page.getByRole('button', { name: 'Restore' }));
    await page.getByRole('button', { name: 'Archive stream' }).waitFor();
    await assertAccessible(page, 'a stream');
    await ended(context);
  });

  test('A label is made, renamed with the keyboard, and deleted after a question', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/settings/labels`);
    await (await unfolded(page, 'New label', 'Name')).fill('sadle');
    await page.getByLabel('Description').fill('All to sit on');
    await page.getByRole('button', { name: 'Create label' }).click();
    const rows = page.locator('#all-labels li');
    await rows.filter({ hasText: 'sadle' }).waitFor();
    await page.reload();

    await pressOn(page, page.getByRole('link', { name: 'Edit sadle' }));
    await page.locator('#form[open] > summary', { hasText: 'Edit sadle' }).waitFor();
    await tabTo(page, page.getByLabel('Name', { exact: true }), 200);
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type('saddle');
    await page.keyboard.press('Enter');
    await rows.filter({ hasText: 'saddle' }).waitFor();
    assert.equal(await rows.filter({ hasText: 'sadle' }).count(), 0, 'it has the new name');

    await rows.filter({ hasText: 'saddle' }).getByRole('button', { name: 'Delete saddle' }).click();
    const asked = page.getByRole('dialog', { name: 'Delete this label?' });
    await asked.getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await rows.filter({ hasText: 'saddle' }).count(), 1, 'nothing is done without a yes');
    await page.reload();
    await pressOn(page, page.getByRole('button', { name: 'Delete saddle' }));
    await asked.getByRole('button', { name: 'Delete label' }).press('Enter');
    await page.getByText('Deleted saddle').waitFor();
    assert.equal(await rows.filter({ hasText: 'saddle' }).count(), 0);
    await ended(context);
  });

  test('A routine says in words when it comes, is tried out, paused with the keyboard, and deleted', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/routines/new`);
    await page.getByLabel('Name', { exact: true }).fill('Look at the yard');
    await page.getByLabel('Agent', { exact: true }).selectOption({ index: 0 });
    await page.getByLabel('Repeats').selectOption('weekdays');
    await page.getByLabel('Time', { exact: true }).fill('08:30');
    await page.getByLabel('Instruction').fill('See whether all bikes are back.');
    await page.locator('form.fires [aria-live] b').filter({ hasText: /8:30/ }).waitFor();
    await page.getByRole('button', { name: 'Create routine' }).click();
    await page.getByRole('heading', { level: 1, name: 'Look at the yard' }).waitFor();
    await page.getByRole('heading', { level: 2, name: 'Next runs' }).waitFor();
    await assertAccessible(page, 'a routine');

    await pressOn(page, page.getByRole('button', { name: 'Test', exact: true }));
    await page.locator('#trial').getByText('See whether all bikes are back.').waitFor();
    await page.getByText('No runs yet.').waitFor();
    await page.reload();
    await pressOn(page, page.getByRole('button', { name: 'Pause', exact: true }));
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await page.getByRole('button', { name: 'Pause', exact: true }).waitFor();

    await page.goto(`${place}/routines?q=yard`);
    await page.getByRole('row', { name: /Look at the yard/ }).getByRole('link', { name: 'Look at the yard', exact: true }).click();
    await page.getByRole('button', { name: 'Delete routine' }).click();
    const asked = page.getByRole('dialog', { name: 'Delete this routine?' });
    await asked.getByRole('button', { name: 'Delete routine' }).press('Enter');
    await page.getByText('Deleted the routine.').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Look at the yard' }).count(), 0);
    await ended(context);
  });

  test('A notification arrives on the open page, is read, dismissed with a key, and comes back', async () => {
    const { browser, server, place } = given;
    const { context, page } = await opened();
    const link = await invite(page, place, 'Member');
    const other = await newContext(browser, server);
    await join(await other.newPage(), link, LENA);
    const headers = { origin: server.url };
    const send = (from, path, form) =>
      from.request.post(`${server.url}${path}`, { form, headers, maxRedirects: 0 });
    const made = await send(context, `${place}/tasks`, { title: 'Paint the trailer' });
    assert.equal(made.status(), 303, await made.text());
    const task = new URL(made.headers().location, server.url).pathname;

    await page.goto(`${place}/notifications`);
    const rows = page.locator('.news li').filter({ hasText: 'Paint the trailer' });
    assert.equal(await rows.count(), 0, 'nobody is told of what they did themselves');
    const said = await send(other, `${task}/comment`, { body: 'Which colour?' });
    assert.equal(said.status(), 303, await said.text());
    await rows.filter({ hasText: `${LENA.name} commented on` }).waitFor(PATIENCE);
    assert.equal(await rows.first().getAttribute('data-unread'), '', 'it is unread');
    await assertAccessible(page, 'the notifications');

    await rows.first().hover();
    await rows.first().getByRole('button', { name: /^Mark as read/ }).click();
    await page.locator('.news li:not([data-unread])').filter({ hasText: 'Paint the trailer' }).waitFor();

    const here = () => page.evaluate(() => document.querySelector('.news li[data-cursor]')?.textContent ?? '');
    // It is the newest and stands first; keys go on from the row whose button was pressed.
    for (let at = 0; at < 40 && !(await here()).includes('Paint the trailer'); at += 1) await page.keyboard.press('k');
    await page.keyboard.press('u');
    await page.locator('.news li[data-unread]').filter({ hasText: 'Paint the trailer' }).waitFor();
    for (let at = 0; at < 40 && !(await here()).includes('Paint the trailer'); at += 1) await page.keyboard.press('k');
    await page.keyboard.press('e');
    await page.getByText('Dismissed.').waitFor();
    await rows.first().waitFor({ state: 'detached' });
    // Triage goes on where it was: with the next one, or the one before.
    const left = await page.locator('.news li:visible').count();
    if (left) assert.equal(await page.locator('.news li[data-cursor]').count(), 1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await rows.first().waitFor();
    await rows.first().getByRole('link').first().click();
    await page.getByRole('heading', { level: 1, name: 'Paint the trailer' }).waitFor();

    // Opening the task by another way handles what was told of it, and the bell hears of that.
    await page.goto(`${place}/agents`);
    const before = Number(await page.locator('#bell').getAttribute('data-unread'));
    const unread = (count) => page.locator(`#bell[data-unread="${count}"]`).waitFor({ ...PATIENCE, state: 'attached' });
    assert.equal((await send(other, `${task}/comment`, { body: 'Blue, I think' })).status(), 303);
    await unread(before + 1);
    await page.goto(task);
    await unread(before);
    assert.deepEqual(other.faults(), []);
    await other.close();
    await ended(context);
  });

  test('The pages of streams, labels, routines, notifications and rules fit a phone', async () => {
    const { place } = given;
    const { context, page } = await opened({ size: PHONE, theme: 'dark' });
    const paths = ['streams', 'settings/labels', 'settings/tasks', 'routines', 'routines/new', 'notifications', 'settings/notifications'];
    for (const path of paths) {
      await page.goto(`${place}/${path}`);
      await assertAccessible(page, `${path} on a phone`);
    }
    // What is chosen there is kept, by touch.
    await page.goto(`${place}/settings/tasks`);
    const saved = page.locator('#rules [data-saved="done"]');
    await page.getByText('Everyone below it').tap();
    await saved.waitFor();
    await page.reload();
    assert.ok(await page.getByRole('radio', { name: /Everyone below it/ }).isChecked());
    await page.getByText('Its direct reports').tap();
    await saved.waitFor();
    await page.reload();
    assert.ok(await page.getByRole('radio', { name: /Its direct reports/ }).isChecked());
    await ended(context);
  });

  test('The dashboard stays where it is when the last thing that needs somebody is put off', async () => {
    const { place } = given;
    const { context, page } = await opened({ size: { width: 390, height: 500 } });
    await page.goto(place);
    const rows = page.locator('#needs .needs > li');
    assert.notEqual(await rows.count(), 0, 'there is something to put off');
    for (let left = 60; 0 < left && (await rows.count()); left -= 1) {
      const row = rows.first();
      const id = await row.getAttribute('id');
      await row.getByRole('button', { name: /^Snooze/ }).click();
      await row.locator('form[id^="later-"] button').first().click();
      await page.locator(`#${id}`).waitFor({ state: 'detached' });
    }
    await page.getByText('All clear.').waitFor();
    // Not on a row of what has happened, far below.
    assert.equal(await page.evaluate(() => document.activeElement.closest('li')), null);
    const { top } = await page.locator('#needs').evaluate((needs) => needs.getBoundingClientRect());
    assert.ok(-200 < top && top < 500, `the section is still in view: ${top}`);
    await ended(context);
  });
}
