// Before what opens doors or cannot be taken back: the question whether it is still the same person,
// and the look at what somebody has to do before another takes it over.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { invite, join, OWNER, PATIENCE, tabTo, unfolded } from '../lib/story.mjs';

const BEA = { name: 'Bea Nováková', email: 'bea@marlow.example', password: 'nine umbrellas in one hall' };

/** HQ says the truth about everything but the time: the last proof of this browser is long ago. */
async function longAgo(page) {
  await page.route('**/settings/prove/state', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), fresh: false } });
  });
}

const asked = (page) => page.getByRole('dialog', { name: 'Confirm it’s you' });

export function tell(given) {
  test('who acts is asked once more: Escape does nothing, a wrong password says so, the right one goes on', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await longAgo(page);
    const sent = [];
    page.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/settings/tokens')) sent.push(request.url());
    });
    await page.goto(`${place}/settings/tokens`);
    await (await unfolded(page, 'New token', 'Name')).fill('Nightly import');
    const create = page.getByRole('button', { name: 'Create token' });
    const password = asked(page).getByLabel('Your password');

    await create.focus();
    await page.keyboard.press('Enter');
    await asked(page).waitFor();
    await assertAccessible(page, 'the question whether it is still the same person');
    assert.ok(await password.evaluate((field) => field === document.activeElement), 'one can type at once');
    await page.keyboard.type('a wrong thought');
    await page.keyboard.press('Escape');
    await asked(page).waitFor({ state: 'hidden' });
    assert.ok(await create.evaluate((button) => button === document.activeElement), 'the focus is back');
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Nightly import');
    assert.equal(await page.locator('#prove-password').inputValue(), '', 'nothing typed stays behind');

    await page.keyboard.press('Enter');
    await asked(page).waitFor();
    await page.keyboard.type('not the password at all');
    await page.keyboard.press('Enter');
    await asked(page).getByRole('alert').filter({ hasText: 'Wrong password' }).waitFor();
    assert.equal(await password.getAttribute('aria-invalid'), 'true');
    await assertAccessible(page, 'a wrong answer to it');
    assert.deepEqual(sent, [], 'nothing is done before the answer is right');

    // The wrong one is marked, so that typing takes its place.
    await page.keyboard.type(OWNER.password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Your new token' }).waitFor();
    assert.equal(sent.length, 1, 'it is done once');
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('422')), []);
    given.signedIn = await context.storageState();
    await context.close();
  });

  test('the work of somebody is looked at before another takes it over', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE });
    const page = await context.newPage();
    const other = await newContext(browser, server);
    await join(await other.newPage(), await invite(page, place, 'Member'), BEA);
    await other.close();

    const titles = ['Wax the saddles', 'Count the spare tyres'];
    for (const title of titles) {
      await page.goto(`${place}/tasks/new`);
      await page.getByLabel('Title', { exact: true }).fill(title);
      await page.getByLabel('Assignee').selectOption({ label: BEA.name });
      await page.getByRole('button', { name: 'Create task', exact: true }).click();
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
    }

    await page.goto(`${place}/settings/members`);
    const row = page.getByRole('row', { name: new RegExp(BEA.name) });
    await row.getByRole('button', { name: `Change ${BEA.name}` }).click();
    await page.getByRole('link', { name: 'Hand over work' }).click();
    await page.getByRole('heading', { level: 1, name: `Hand over ${BEA.name}’s work` }).waitFor();
    await page.getByRole('listitem').filter({ hasText: /^2 open tasks$/ }).waitFor();
    await assertAccessible(page, 'the preview of a hand-over');
    const here = page.url();
    await page.getByRole('link', { name: 'Cancel' }).click();
    await page.getByRole('heading', { level: 1, name: 'Members' }).waitFor();
    await page.goto(here);
    await page.getByRole('listitem').filter({ hasText: /^2 open tasks$/ }).waitFor();

    await page.getByLabel('Hand over to').selectOption({ label: `${OWNER.name} (you)` });
    await tabTo(page, page.getByRole('button', { name: 'Hand over', exact: true }));
    await page.keyboard.press('Enter');
    await page.getByText('Work handed over.').waitFor();
    for (const title of titles) {
      await page.goto(`${place}/tasks?q=${encodeURIComponent(title)}`);
      await page.getByRole('link', { name: title }).first().click();
      await page.locator('#task-props').getByRole('button', { name: OWNER.name }).waitFor(PATIENCE);
    }
    await page.goto(here);
    await page.getByText('No open work to hand over.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Hand over', exact: true }).count(), 0);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
