// An agent works on another machine: it is moved there, its line is cut, and a person decides about its run.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { startHost } from '../lib/host.mjs';
import { startModel } from '../lib/model.mjs';
import { asOwner, atEnd, PATIENCE, tabTo, until } from '../lib/story.mjs';
import { connect } from '../lib/workday.mjs';

const WHEELS = 'Count the wheels in the yard';
/** Whether it waits or goes on by itself there, the page of the run says since when nothing is heard. */
const SILENT = /GPU box.*offline since/;

export function tell(given) {
  test('an agent is moved to a machine, and its run is waited for or taken back when the line is cut', async () => {
    const { browser, server, signedIn, place } = given;
    const [model, host] = [await startModel(), await startHost(server, 'GPU box')];
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const { headers, put, send } = asOwner(page, given);
    try {
      // It thinks for as long as nobody lets it go on, and once only.
      let isHeld = true;
      model.tell(new RegExp(WHEELS), () => ({
        says: 'I count the wheels one by one.',
        ...(isHeld ? { holds: 3 } : {}),
        calls: [['work_done', { summary: 'Twelve wheels.', task_state: 'complete' }]],
      }));
      const connection = await connect({ page, place, send, model, name: 'Yard models' });
      await send('/settings/connections/default', { pick: 'practice' });
      await send('/agents', { name: 'Gus', template: 'default', emoji: '🛞', description: '', thinking: 'low', model: `${connection}/claude-sonnet-5` });

      // Moved by keyboard on its settings page, which says what that means.
      await page.goto(`${place}/agents/gus/settings`);
      const moves = page.locator('#place');
      await moves.getByText('Runs on HQ’s machine.').waitFor();
      await moves.getByLabel('Gateway', { exact: true }).selectOption(host.slug);
      await moves.getByLabel('Gateway', { exact: true }).focus();
      await tabTo(page, moves.getByRole('button', { name: 'Move', exact: true }));
      await page.keyboard.press('Enter');
      await page.getByText('Gus now runs on GPU box').first().waitFor();
      await page.locator('#place').getByText('Its programs, files and model calls are on GPU box.').waitFor();
      await assertAccessible(page, 'the settings of an agent on another machine');

      // What it says there is read here as it is said.
      const task = await send('/tasks', { title: WHEELS, assignee: 'gus', priority: 'medium', status: 'todo', description: '' });
      await page.goto(task);
      await page.getByRole('main').getByRole('link', { name: 'Watch', exact: true }).click(PATIENCE);
      await page.getByText('I count the').first().waitFor(PATIENCE);
      const banner = page.locator('#run-head .banner');
      assert.equal(await banner.count(), 0, 'nothing is waited for while the line stands');

      host.cut();
      await banner.getByText(SILENT).waitFor();
      const asks = banner.getByRole('button', { name: 'Take back', exact: true }).first();
      const dialog = page.getByRole('dialog', { name: 'Take back this run?' });
      await page.getByRole('heading', { level: 1 }).focus();
      await tabTo(page, asks);
      await page.keyboard.press('Enter');
      await dialog.getByText('may have taken effect').waitFor();
      await assertAccessible(page, 'a run that is taken back');
      await tabTo(page, dialog.getByRole('button', { name: 'Wait', exact: true }));
      await page.keyboard.press('Enter');
      await dialog.waitFor({ state: 'hidden' });
      assert.equal(await banner.count(), 1, 'it is waited for on');

      // On a phone it is taken back; the page at the desk hears of it.
      const phone = await newContext(browser, server, { storageState: signedIn, size: PHONE, theme: 'dark' });
      const small = await phone.newPage();
      await small.goto(page.url());
      await small.locator('#run-head .banner').getByText(SILENT).waitFor();
      await atEnd(small);
      await assertAccessible(small, 'a run that waits for a machine on a phone');
      await small.getByRole('button', { name: 'Take back', exact: true }).first().press('Enter');
      await assertAccessible(small, 'a run that is taken back on a phone');
      await small.getByRole('dialog').getByRole('button', { name: 'Take back', exact: true }).press('Enter');
      await small.locator('#run-head').getByText(/Taken back/).first().waitFor();
      await page.locator('#run-head').getByText(/Taken back/).first().waitFor();
      assert.deepEqual(phone.faults(), []);
      await phone.close();

      // Moved home off the silent machine, it does its work here.
      isHeld = false;
      model.free();
      await put('/agents/gus/gateway', { gateway: 'local' });
      const asked = `${server.url}/api/v1/tasks/${task.split('/').at(-1)}`;
      const status = async () => (await (await page.request.get(asked, { headers })).json()).status;
      await until('the end of its work at home', async () => (await status()) === 'done');
      assert.deepEqual(context.faults(), []);
      await context.close();
    } finally {
      await host.stop();
      await model.stop();
    }
  });
}
