// What agents may do without asking: the mode of one is changed and a permission is added, by keyboard and without script.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

export function tell(given) {
  test('the behaviour of an agent is changed with the keyboard alone on a narrow screen', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, touch: false, storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada/behaviour`);
    const mode = (name) => page.getByRole('radio', { name: new RegExp(`^${name}\\s*[A-Z]`) });
    assert.ok(await mode('Ask').isChecked(), 'an agent asks unless somebody says otherwise');
    await assertAccessible(page, 'the behaviour of an agent on a phone');

    await tabTo(page, mode('Ask'), 200);
    await page.keyboard.press('ArrowUp');
    await tabTo(page, page.getByRole('button', { name: 'Save mode' }));
    await page.keyboard.press('Enter');
    await page.getByText('The mode of Ada is Locked.').waitFor();
    assert.ok(await mode('Locked').isChecked());
    await page.getByText(/The agent is locked/).first().waitFor({ state: 'attached' });

    await tabTo(page, page.getByLabel('Tool', { exact: true }), 300);
    await page.keyboard.press('End');
    const form = page.locator('#permit');
    await tabTo(page, form.getByRole('radio', { name: 'Allow' }));
    await page.keyboard.press('ArrowRight');
    await tabTo(page, form.getByLabel('Reason'));
    await page.keyboard.type('Somebody looks at all of it');
    await page.keyboard.press('Enter');
    const line = page.getByRole('row', { name: /Every call of every tool/ });
    await line.getByText('Somebody looks at all of it').waitFor();
    await assertAccessible(page, 'a permission of an agent on a phone');

    await tabTo(page, line.getByRole('button', { name: /^Remove permission/ }), 300);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).press('Enter');
    await line.waitFor({ state: 'detached' });
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('modes and permissions work on a phone without script, and nothing waits', async () => {
    const { browser, server, place, signedIn } = given;
    const options = { size: PHONE, theme: 'dark', storageState: signedIn, script: false };
    const context = await newContext(browser, server, options);
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada/behaviour`);
    await page.getByRole('radio', { name: /^Ask\s*[A-Z]/ }).press('Space');
    await page.getByRole('button', { name: 'Save mode' }).press('Enter');
    await page.getByText('The mode of Ada is Ask.').waitFor();

    await page.goto(`${place}/settings/policy`);
    await page.getByLabel('Expires after (days)').fill('400');
    await page.getByRole('button', { name: 'Add permission' }).press('Enter');
    await page.getByText(/expires after 1 to 365 days/).waitFor();
    await page.getByLabel('Expires after (days)').fill('7');
    await page.getByRole('button', { name: 'Add permission' }).press('Enter');
    await page.getByRole('button', { name: /^Remove permission/ }).press('Enter');
    await page.getByText('No permissions yet.').waitFor();

    await page.goto(`${place}/approvals`);
    await page.getByText('Nothing to approve').waitFor();
    await context.close();
  });

  test('the pages of trust are readable by everybody, in both sizes and themes', async () => {
    const { browser, server, place, signedIn } = given;
    for (const [size, theme] of [[WIDE, 'light'], [WIDE, 'dark'], [PHONE, 'light'], [PHONE, 'dark']]) {
      const context = await newContext(browser, server, { size, theme, storageState: signedIn });
      const page = await context.newPage();
      for (const path of ['agents/ada/behaviour', 'settings/policy', 'approvals']) {
        await page.goto(`${place}/${path}`);
        await assertAccessible(page, `${path} ${theme}`);
      }
      assert.deepEqual(context.faults(), []);
      await context.close();
    }
  });
}
