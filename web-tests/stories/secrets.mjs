// A key is added, overridden for one agent and taken away again with the keyboard alone on a narrow screen; its value is
// shown nowhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

const SHARED = 'canary-of-all-in-a-browser';
const OWN = 'canary-of-ada-in-a-browser';

export function tell(given) {
  test('a secret is added and overridden by keyboard on a phone, and no page shows its value', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, touch: false, storageState: signedIn });
    const page = await context.newPage();
    const hidden = async (where) => {
      const shown = await page.content();
      assert.ok(!shown.includes(SHARED) && !shown.includes(OWN), `${where} shows a value`);
    };
    const add = async (value) => {
      await tabTo(page, page.getByLabel('Value', { exact: true }), 200);
      await page.keyboard.type(value);
      await tabTo(page, page.getByRole('button', { name: 'Add secret' }), 200);
      await page.keyboard.press('Enter');
      await page.getByText('Added BELL_KEY.').first().waitFor();
    };

    await page.goto(`${place}/settings/secrets`);
    await assertAccessible(page, 'the list of secrets on a phone');
    await tabTo(page, page.getByRole('main').getByRole('link', { name: 'Add secret' }).first(), 200);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Add secret' }).waitFor();
    await assertAccessible(page, 'a new secret on a phone');
    await tabTo(page, page.getByLabel('What is this for?'), 200);
    await page.keyboard.type('Bell key');
    await add(SHARED);
    await page.getByRole('row', { name: /BELL_KEY/ }).getByText('Active').first().waitFor();
    await hidden('the list');
    await assertAccessible(page, 'a list with a secret on a phone');

    // Ada gets one of her own, which stands before it; when it goes, that of all counts again.
    await page.goto(`${place}/agents/ada/secrets`);
    await page.getByText('Bell key').first().waitFor();
    await assertAccessible(page, 'the secrets of an agent on a phone');
    await tabTo(page, page.getByRole('main').getByRole('link', { name: 'Override' }).first(), 200);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Add secret' }).waitFor();
    assert.equal(await page.getByLabel('Variable', { exact: true }).inputValue(), 'BELL_KEY');
    await add(OWN);
    await page.goto(`${place}/agents/ada/secrets`);
    await page.getByText('Overrides the shared secret').waitFor();
    await page.getByText('Not used: its own applies').waitFor();
    await hidden('the tab of the agent');
    await tabTo(page, page.getByRole('button', { name: 'Remove override' }), 200);
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: /Remove Ada’s BELL_KEY/ });
    await dialog.getByText('The overridden secret applies again.').waitFor();
    await assertAccessible(page, 'an override that is removed on a phone');
    await tabTo(page, dialog.getByRole('button', { name: 'Remove', exact: true }));
    await page.keyboard.press('Enter');
    await page.getByText('Removed BELL_KEY.').first().waitFor();
    await page.goto(`${place}/agents/ada/secrets`);
    await page.getByText('Bell key').first().waitFor();
    assert.equal(await page.getByText('Overrides the shared secret').count(), 0);

    // Many at once: what would become of them is shown without their values.
    await page.goto(`${place}/settings/secrets/paste`);
    await page.getByLabel('Lines', { exact: true }).fill(`HORN_KEY=${SHARED}\nno assignment\n`);
    await tabTo(page, page.getByRole('button', { name: 'Preview' }), 200);
    await page.keyboard.press('Enter');
    const preview = page.locator('#preview');
    await preview.getByText('Correct 1 of 2 first.').waitFor();
    assert.ok(!(await preview.innerHTML()).includes(SHARED), 'the preview has no value');
    await assertAccessible(page, 'lines that are looked at on a phone');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a secret takes another value on a wide dark screen', async () => {
    const { browser, server, place, signedIn } = given;
    const options = { size: WIDE, theme: 'dark', storageState: signedIn };
    const wide = await newContext(browser, server, options);
    const page = await wide.newPage();
    await page.goto(`${place}/settings/secrets`);
    const row = page.getByRole('row', { name: /BELL_KEY/ });
    await assertAccessible(page, 'the list of secrets on a wide dark screen');
    await row.getByRole('link', { name: 'Replace Bell key' }).click();
    await page.getByLabel('New value of BELL_KEY').fill(OWN);
    await page.getByRole('button', { name: 'Save value' }).click();
    await page.getByText('BELL_KEY has a new value.').first().waitFor();
    assert.ok(!(await page.content()).includes(OWN));
    const id = (await page.getByRole('row', { name: /BELL_KEY/ }).first().getAttribute('id')).replace('secret-', '');
    await page.goto(`${place}/settings/secrets/${id}`);
    await page.getByText('Restore previous value').waitFor();
    await assertAccessible(page, 'a secret on a wide dark screen');
    assert.deepEqual(wide.faults(), []);
    await wide.close();
  });
}
