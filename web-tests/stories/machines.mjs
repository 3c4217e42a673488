// A machine of its owner's, from the page that makes its command to the one that removes it: it joins, an agent works on
// it, its line is cut and comes back, it sleeps and wakes, and its agent moves home. At a desk and on a phone at once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { joinHost, PUBLIC } from '../lib/host.mjs';
import { startModel } from '../lib/model.mjs';
import { asOwner, atEnd, OWNER, PATIENCE, until } from '../lib/story.mjs';
import { connect } from '../lib/workday.mjs';

const NAME = 'Yard box';
const LAMPS = 'Count the lamps in the yard';
const STEPS = 4;

/** Waits until the machine has come so far on the page that shows its command. */
async function steps(page, count) {
  await until(`step ${count} of the machine`, async () => (await page.locator('.waits > li[data-done]').count()) >= count);
}

/** The block of the machine on a page of gateways, when it says this. */
function block(page, words) {
  return page.locator('.gate-box').filter({ has: page.getByRole('heading', { name: NAME }) }).filter({ hasText: words });
}

/** Makes the command on the page; gives what it holds. */
async function invites(page, place) {
  await page.goto(`${place}/settings/gateways`);
  await block(page, '').waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Add gateway' }).click();
  await page.getByLabel('Name', { exact: true }).fill(NAME);
  await page.getByLabel('Labels', { exact: true }).fill('arm, region=yard');
  await page.getByRole('button', { name: 'Create command' }).click();
  const proof = page.getByRole('dialog').getByLabel('Password', { exact: true });
  const made = page.getByRole('heading', { level: 1, name: `New gateway: ${NAME}` });
  await made.or(proof).first().waitFor();
  if (await proof.isVisible()) {
    await proof.fill(OWNER.password);
    await proof.press('Enter');
  }
  await made.waitFor();
  await page.getByText('Copy it now. You can’t view it again.').waitFor();
  // Over plain http the machine gets the program by hand.
  assert.equal(await page.getByText('curl', { exact: false }).count(), 0);
  await assertAccessible(page, 'the command of a gateway');
  const lines = await page.locator('.by-hand code').allInnerTexts();
  const secret = lines.find((line) => line.startsWith('hq_gw_'));
  const fingerprint = lines.join(' ').match(/--fingerprint (\S+)/)[1];
  assert.equal(await page.locator('.waits > li').count(), STEPS);
  return { secret, fingerprint };
}

export function tell(given) {
  test('a machine is added, works, is cut off and comes back, sleeps, and its agent moves home', async () => {
    const { browser, server, signedIn, place } = given;
    const model = await startModel();
    await server.restart({ settings: PUBLIC });
    const [desk, pocket] = await Promise.all([
      newContext(browser, server, { storageState: signedIn }),
      newContext(browser, server, { storageState: signedIn, size: PHONE, theme: 'dark' }),
    ]);
    const [page, phone] = [await desk.newPage(), await pocket.newPage()];
    const { headers, send } = asOwner(page, given);
    let host;
    try {
      const invitation = await invites(page, place);
      await phone.goto(`${place}/settings/gateways`);
      await phone.getByText(`Joining: ${NAME}`).waitFor();
      await assertAccessible(phone, 'a machine that joins on a phone');
      host = await joinHost(server, invitation);
      await steps(page, STEPS);
      await block(phone, 'Ready for agents').or(block(phone, 'Healthy')).first().waitFor(PATIENCE);
      await page.goto(`${place}/settings/gateways`);
      await block(page, 'Connected').last().waitFor(PATIENCE);
      for (const label of ['arm', 'region=yard']) await block(page, label).waitFor();
      await page.getByRole('link', { name: NAME, exact: true }).first().click();
      await page.getByRole('heading', { level: 2, name: 'Visible data' }).waitFor();
      await assertAccessible(page, 'a gateway');
      const shown = page.url();

      // Its agent is moved there with a thumb.
      let isHeld = true;
      model.tell(new RegExp(LAMPS), () => ({
        says: 'I count the lamps one by one.',
        ...(isHeld ? { holds: 3 } : {}),
        calls: [['work_done', { summary: 'Nine lamps.', task_state: 'complete' }]],
      }));
      const connection = await connect({ page, place, send, model, name: 'Lamp models' });
      await send('/settings/connections/default', { pick: 'practice' });
      await send('/agents', { name: 'Pia', template: 'default', emoji: '💡', description: '', thinking: 'low', model: `${connection}/claude-sonnet-5` });
      const moves = async (on, to, told) => {
        await on.goto(`${place}/agents/pia/settings`);
        await on.locator('#place').getByLabel('Gateway', { exact: true }).selectOption({ label: to });
        await on.locator('#place').getByRole('button', { name: 'Move', exact: true }).click();
        await on.getByText(told).first().waitFor();
      };
      await moves(phone, NAME, `Pia now runs on ${NAME}`);
      await assertAccessible(phone, 'the settings of an agent on another machine on a phone');

      // Both pages hear what it says, and that its line is cut; nobody does anything until it is back.
      const task = await send('/tasks', { title: LAMPS, assignee: 'pia', priority: 'medium', status: 'todo', description: '' });
      await page.goto(task);
      await page.getByRole('main').getByRole('link', { name: 'Watch', exact: true }).click(PATIENCE);
      await page.getByText('I count the').first().waitFor(PATIENCE);
      await phone.goto(page.url());
      await phone.getByText('I count the').first().waitFor(PATIENCE);
      host.cut();
      for (const on of [page, phone]) await on.locator('#run-head .banner').getByText(new RegExp(`${NAME}.*offline since`)).waitFor(PATIENCE);
      await atEnd(phone);
      await assertAccessible(phone, 'a run on a machine that is silent on a phone');
      isHeld = false;
      model.free();
      host.mend();
      for (const on of [page, phone]) await on.locator('#run-head .banner').waitFor({ state: 'detached', ...PATIENCE });
      const asked = `${server.url}/api/v1/tasks/${task.split('/').at(-1)}`;
      const done = async () => (await (await page.request.get(asked, { headers })).json()).status === 'done';
      await until('the end of its work', done);
      await page.goto(task);
      await page.getByRole('main').getByText('Nine lamps.').first().waitFor();

      // It says goodbye, which is no alarm, and comes back by itself.
      await page.goto(shown);
      await block(page, 'Pia').waitFor();
      await host.sleep();
      await block(page, 'It shut down.').waitFor(PATIENCE);
      await phone.goto(`${place}/agents/pia/chat`);
      await phone.getByText(NAME).first().waitFor();
      host.wake();
      await block(page, 'Connected').last().waitFor(PATIENCE);

      // Home again, and the machine goes.
      await moves(phone, 'This machine', /Pia runs here again/);
      await page.goto(shown);
      await page.getByRole('button', { name: 'Remove gateway' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
      await page.getByRole('heading', { level: 1, name: 'Gateways' }).waitFor();
      assert.equal(await block(page, '').count(), 0);
      await phone.goto(task);
      await phone.getByRole('main').getByText('Nine lamps.').first().waitFor();
      assert.deepEqual([desk.faults(), pocket.faults()], [[], []]);
      await Promise.all([desk.close(), pocket.close()]);
    } finally {
      await host?.stop();
      await model.stop();
      await server.restart();
    }
  });
}
