// Work that used up what it may cost: what filled its context is looked at, and it goes on with as much again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { startModel } from '../lib/model.mjs';
import { asOwner, tabTo } from '../lib/story.mjs';
import { connect } from '../lib/workday.mjs';

const LONG_WORK = { timeout: 60_000 };
const TITLE = 'Weigh the offers of three workshops';
/** A model whose answers cost a dollar and more. */
const DEAR = 'dear-model';

export function tell(given) {
  test('work that cost too much goes on with another $2, after a look at what filled its context', async () => {
    const { browser, server, signedIn, place } = given;
    await server.restart();
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const model = await startModel(['claude-sonnet-5', 'claude-haiku-5-5', DEAR]);
    try {
      model.tell(
        /Weigh the offers/,
        { calls: [['task_list', {}]], spends: { input: 100, output: 12_500 } },
        { says: 'Two of three offers are weighed.', spends: { input: 100, output: 20 } },
      );
      model.tell(/You can spend another \$2/, {
        calls: [['work_done', { summary: 'All three offers are weighed.', task_state: 'complete' }]],
        spends: { input: 100, output: 20 },
      });
      const { send } = asOwner(page, given);
      const connection = await connect({ page, place, send, model, name: 'Dear models' });
      await send('/settings/connections/default', { pick: 'practice' });
      const price = { model: DEAR, connection, begins: '', input: '100', output: '100', cache_read: '100', cache_write: '' };
      await send('/settings/usage/prices', price);
      await send('/agents', { name: 'Olga', template: 'default', emoji: '⚖️', description: '', thinking: 'none', model: `${connection}/${DEAR}` });
      await send('/tasks', { title: TITLE, assignee: 'olga', priority: 'high', status: 'todo', description: '' });

      await page.goto(`${place}/runs`);
      await page.getByRole('main').getByRole('link', { name: TITLE }).first().click(LONG_WORK);
      await page.getByRole('heading', { level: 1, name: TITLE }).waitFor();
      const more = page.locator('#run-head').getByRole('button', { name: 'Continue with another $2' });
      await more.waitFor(LONG_WORK);
      const first = new URL(page.url()).pathname;
      await assertAccessible(page, 'a run that has reached its limit');

      // What filled its context, and back.
      await page.getByRole('link', { name: 'Context breakdown' }).click();
      await page.getByRole('heading', { level: 1, name: /^Context of R-\d+$/ }).waitFor();
      await page.getByRole('table', { name: 'Context by kind' }).waitFor();
      const parts = page.getByRole('table', { name: 'Parts of the request, in order' });
      assert.ok((await parts.getByRole('row').count()) > 3, 'a line for each part');
      await assertAccessible(page, 'what fills a context');
      const phone = await newContext(browser, server, { storageState: signedIn, size: PHONE, theme: 'dark' });
      const small = await phone.newPage();
      await small.goto(page.url());
      await assertAccessible(small, 'what fills a context on a phone');
      assert.deepEqual(phone.faults(), []);
      await phone.close();
      await page.getByRole('link', { name: 'Back to the run' }).click();

      // Without a mouse: the same work goes on in a run of its own, and ends.
      await more.waitFor();
      await page.getByRole('heading', { level: 1 }).focus();
      await tabTo(page, more);
      await page.keyboard.press('Enter');
      await page.waitForURL((url) => /\/runs\/R-\d+$/.test(url.pathname) && url.pathname !== first);
      await page.locator('.run-facts').getByText('Done', { exact: true }).waitFor(LONG_WORK);
      const steps = page.getByRole('list', { name: 'Steps', exact: true });
      await steps.getByText('You can spend another $2', { exact: false }).first().waitFor();

      // The first one was overtaken: it goes on once.
      await page.goto(first);
      await page.getByRole('heading', { level: 1, name: TITLE }).waitFor();
      assert.equal(await more.count(), 0);
      assert.deepEqual(context.faults(), []);
    } finally {
      await model.stop();
      await context.close();
    }
  });
}
