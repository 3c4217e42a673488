// A run with all that a run can hold, made with a scripted model: its page is read, answered and
// followed by keyboard, in both themes and on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { startModel } from '../lib/model.mjs';
import { asOwner, tabTo } from '../lib/story.mjs';
import { connect, PRICES, tellStories } from '../lib/workday.mjs';

const LONG_WORK = { timeout: 60_000 };

export function tell(given) {
  test('a long piece of work is followed step by step, answered by keyboard, and looked at as it is kept', async () => {
    const { browser, server, signedIn, place } = given;
    await server.restart();
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const model = await startModel();
    try {
      tellStories(model);
      const { send } = asOwner(page, given);
      const connection = await connect({ page, place, send, model });
      // The first connection is what all agents use then: the others practise on.
      await send('/settings/connections/default', { pick: 'practice' });
      await send('/agents', { name: 'Iris', template: 'default', emoji: '🔭', description: '', thinking: 'low', model: `${connection}/claude-sonnet-5`, exec: 'on' });
      const task = await send('/tasks', { title: PRICES, assignee: 'iris', priority: 'high', status: 'todo', description: '' });
      await page.goto(task);
      await page.getByRole('link', { name: 'Watch', exact: true }).click(LONG_WORK);
      const asks = page.getByRole('region', { name: 'Question from Iris' });
      await asks.waitFor(LONG_WORK);

      // Everything has the form that suits it.
      const steps = page.getByRole('list', { name: 'Steps', exact: true });
      await steps.getByRole('listitem').filter({ hasText: 'Velolease' }).locator('.term').first().waitFor();
      assert.ok((await steps.locator('.diff ins').count()) >= 5, 'changes are shown as changes');
      assert.equal(await steps.locator('.nest').count(), 2, 'sub-agents stand where they were made');
      await steps.getByText('Lastenrad Nord is the cheapest', { exact: false }).first().waitFor();
      await steps.getByRole('list', { name: 'Plan' }).getByText('Look up early-return rules').waitFor();
      await steps.locator('.went-wrong').first().waitFor();
      await steps.getByText('The model call failed.').waitFor();
      await steps.getByText('exit code 1').waitFor();
      const prompt = steps.locator('details', { hasText: 'cached between runs' });
      await prompt.locator('summary').click();
      await prompt.getByRole('cell', { name: 'SOUL.md' }).waitFor();
      await assertAccessible(page, 'a run that asks');

      // Answered without a mouse; the run goes on before one's eyes and ends.
      await page.getByRole('heading', { level: 1 }).focus();
      await tabTo(page, asks.getByRole('button', { name: 'Skip it' }));
      await page.keyboard.press('Enter');
      await steps.getByText('Understood. I write the comparison').waitFor(LONG_WORK);
      await page.locator('.run-facts').getByText('Done', { exact: true }).waitFor(LONG_WORK);
      await asks.waitFor({ state: 'detached' });
      await steps.getByText('answered: Skip it').waitFor();
      await assertAccessible(page, 'a run that is done');
      assert.match(await page.locator('.run-facts').innerText(), /\$0\.\d+/, 'what it cost');

      // One step as it is kept, and back to it by its address.
      const run = page.url();
      const error = steps.getByRole('listitem').filter({ has: page.locator('.went-wrong') }).first();
      const key = await error.getAttribute('id');
      await error.getByRole('link', { name: /^Raw event of step/ }).click();
      await page.getByRole('heading', { level: 1, name: /raw events/ }).waitFor();
      assert.match(new URL(page.url()).hash, /^#e-\d+$/);
      await page.goto(`${run.split('#')[0]}#${key}`);
      await page.locator(`#${key}`).waitFor();
      assert.deepEqual(context.faults(), []);
      await context.close();

      const phone = await newContext(browser, server, { storageState: signedIn, size: PHONE, theme: 'dark' });
      const small = await phone.newPage();
      await small.goto(run);
      await assertAccessible(small, 'a run on a phone');
      assert.deepEqual(phone.faults(), []);
      await phone.close();
    } finally {
      await model.stop();
    }
  });
}
