// Lists of customers: a view saved, shown and deleted again, groups with figures, filters with completion, owner and
// follow-up of several at once; by keyboard and on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

export function tell(given) {
  /** Sends what a form sends; gives the address that follows. */
  const send = async (page, path, form) => {
    const { server, place } = given;
    const answer = await page.request.post(`${server.url}${place}${path}`, { form, headers: { origin: server.url }, maxRedirects: 0 });
    assert.equal(answer.status(), 303, `${path}: ${await answer.text()}`);
    return new URL(answer.headers().location, server.url).pathname;
  };
  const opened = async (options = {}) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const over = async (context) => {
    assert.deepEqual(context.faults(), []);
    await context.close();
  };
  const views = (page) => page.getByRole('navigation', { name: 'Views' });
  const group = (page, name) => page.locator('.crm-group', { hasText: name });
  /** Chooses a line of a menu of the toolbar by keyboard. */
  const pick = async (page, menu, line) => {
    const button = page.getByRole('group', { name: 'Filter and columns' }).getByRole('button', { name: menu, exact: true });
    await tabTo(page, button, 120);
    await page.keyboard.press('Enter');
    await page.locator('.menu:popover-open').getByRole('link', { name: line, exact: true }).press('Enter');
  };

  test('What a list of contacts shows is kept as a view and deleted again, by keyboard', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const [name, stage] of [['View One', 'lead'], ['View Two', 'won'], ['View Three', 'lead']]) {
      await send(page, '/contacts', { name, stage, owner: 'me' });
    }
    await page.goto(`${place}/contacts`);
    await page.keyboard.press('/');
    await page.keyboard.type('sta');
    await page.getByRole('option', { name: /^stage/ }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.type('le');
    await page.getByRole('option', { name: /^lead/ }).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.type(' view');
    await page.keyboard.press('Enter');
    await page.locator('.filter', { hasText: 'Lead' }).waitFor();
    assert.equal(await page.locator('tbody .row').count(), 2);
    await pick(page, 'Group', 'Owner');
    await group(page, 'Mira').getByText('2', { exact: true }).waitFor();

    await tabTo(page, page.getByRole('button', { name: 'Save view' }), 120);
    await page.keyboard.press('Enter');
    await page.getByLabel('Name', { exact: true }).fill('Open leads');
    await page.keyboard.press('Enter');
    const tab = views(page).getByRole('link', { name: /^Open leads/ });
    await tab.waitFor();
    assert.equal(await tab.getAttribute('aria-current'), 'page');
    await group(page, 'Mira').waitFor();

    // Another figure below a column is a change, which is saved.
    await page.locator('tfoot').getByRole('button', { name: /^Stage:/ }).press('Enter');
    await page.locator('#foot-stage').getByRole('link', { name: 'Filled' }).press('Enter');
    await page.locator('tfoot').getByText('filled 2').waitFor();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByText('Saved view Open leads').first().waitFor();
    await page.locator('tfoot').getByText('filled 2').waitFor();

    await page.getByRole('button', { name: 'This view' }).click();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Deleted view Open leads').first().waitFor();
    assert.equal(await tab.count(), 0);
    await over(context);
  });

  test('A board is put together by another field, and several contacts get an owner and a follow-up', async () => {
    const { place } = given;
    const { context, page } = await opened();
    for (const name of ['Owned One', 'Owned Two']) await send(page, '/contacts', { name });
    await page.goto(`${place}/contacts?sort=name&q=Owned`);
    const choose = async () => {
      for (const name of ['Owned One', 'Owned Two']) await page.getByLabel(`Select ${name}`).check();
      await page.getByText('2 selected').waitFor();
    };
    await choose();
    await page.locator('#bulk').getByRole('button', { name: 'Owner' }).click();
    await page.locator('#bulk-owner').getByRole('button', { name: /Mira/ }).first().click();
    for (const name of ['Owned One', 'Owned Two']) await page.locator('tbody tr', { hasText: name }).getByText('Mira').first().waitFor();
    await choose();
    await page.keyboard.press('d');
    await page.locator('#bulk-due').getByRole('button', { name: 'Today', exact: true }).press('Enter');
    for (const name of ['Owned One', 'Owned Two']) await page.locator('tbody tr', { hasText: name }).getByText('Today').waitFor();
    await page.goto(`${place}/contacts?layout=board&group=owner&q=Owned`);
    await page.getByRole('region', { name: /Mira/ }).getByText('Owned One').waitFor();
    await over(context);
  });

  test('Lists with groups, figures and views are accessible and fit a phone', async () => {
    const { browser, server, signedIn, place } = given;
    const { context, page } = await opened();
    await send(page, '/contacts', { name: 'Fitting One', stage: 'lead', tags: 'harbour', owner: 'me' });
    await send(page, '/views', { noun: 'contacts', name: 'By stage', group: 'stage', foot: 'stage:filled' });
    await over(context);
    const paths = ['/contacts?view=by-stage', '/contacts?group=tags', '/contacts?q=quiet:long+stage:lead', '/contacts?layout=board&group=priority', '/organizations?group=type'];
    const remarks = [];
    for (const size of [WIDE, PHONE]) {
      for (const theme of ['light', 'dark']) {
        const seen = await newContext(browser, server, { size, theme, storageState: signedIn });
        const one = await seen.newPage();
        for (const path of paths) {
          await one.goto(place + path);
          if (size === PHONE) {
            assert.equal(await tooWide(one), '', path);
            // A finger needs 24 px (WCAG 2.2, 2.5.8).
            const heights = await one.locator('tbody :is(.who, .cell):visible').evaluateAll((all) => all.map((target) => target.getBoundingClientRect().height));
            assert.deepEqual(heights.filter((height) => height < 24), [], path);
          }
          await assertAccessible(one, `${path} (${theme}, ${size.width} px)`).catch((error) => remarks.push(error.message));
        }
        remarks.push(...seen.faults());
        await seen.close();
      }
    }
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });
}
