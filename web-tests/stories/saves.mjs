// Settings: the search of the menu, fields that save themselves, and what is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';

export function tell(given) {
  const opened = async (options) => {
    const context = await newContext(given.browser, given.server, { storageState: given.signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const ended = async (context) => {
    // A refused field is an answer of 422, a form of an older tab one of 412; the browser notes both.
    assert.deepEqual(context.faults().filter((fault) => !/422|412/.test(fault)), []);
    await context.close();
  };

  test('a settings page is found by a keyword while one types, and by a search without script', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/settings/profile`);
    const menu = page.getByRole('navigation', { name: 'Settings' });
    const search = menu.getByRole('searchbox', { name: 'Search settings' });
    await search.fill('budget');
    await menu.getByText('2 pages').waitFor();
    assert.deepEqual(await menu.getByRole('link').allInnerTexts(), ['General', 'Usage and budgets']);
    await search.fill('zeppelin');
    await menu.getByText('No page matches “zeppelin”').waitFor();
    await search.fill('theme');
    await search.press('Enter');
    await page.waitForURL(`**${place}/settings?q=theme`);
    assert.deepEqual(await menu.getByRole('listitem').allInnerTexts(), ['Appearance']);
    await ended(context);

    const plain = await opened({ script: false, size: PHONE });
    await plain.page.goto(`${place}/settings/labels`);
    await plain.page.getByRole('link', { name: 'All settings' }).press('Enter');
    assert.equal(await tooWide(plain.page), '');
    await plain.page.getByRole('searchbox', { name: 'Search settings' }).fill('password');
    await plain.page.getByRole('searchbox', { name: 'Search settings' }).press('Enter');
    await plain.page.getByRole('link', { name: 'Two-step sign-in' }).waitFor();
    await plain.context.close();
  });

  test('the settings of an agent save each field at once, beside what was refused', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/agents/ada/settings`);
    const main = page.getByRole('main');
    assert.equal(await main.getByRole('button', { name: /^Save/ }).count(), 0, 'no Save button');
    const field = (name) => page.locator('#agent-settings').getByLabel(name, { exact: true });
    const saved = (name) => page.locator('#agent-settings [data-saved="done"]', { has: page.getByLabel(name, { exact: true }) }).waitFor();
    await field('Description').fill('Counts wheels.');
    await field('Description').press('Tab');
    await saved('Description');

    const budget = field('Monthly budget ($)');
    await budget.fill('lots');
    await budget.press('Tab');
    await page.locator('#f-budget-says.error').waitFor();
    assert.equal(await budget.inputValue(), 'lots', 'what was typed stays');
    await assertAccessible(page, 'the settings of an agent with a mistake');
    // What is wrong keeps nothing else from being saved.
    await field('Warn at (percent)').fill('70');
    await field('Warn at (percent)').press('Enter');
    await saved('Warn at (percent)');
    assert.equal(await budget.getAttribute('aria-invalid'), 'true');
    await budget.fill('12');
    await budget.press('Tab');
    await saved('Monthly budget ($)');
    assert.equal(await budget.getAttribute('aria-invalid'), null);

    // Two fields that belong together.
    await page.getByLabel('Quiet from').fill('22:00');
    await page.getByLabel('Quiet from').press('Tab');
    await page.locator('#pace .error').waitFor();
    await page.getByLabel('Quiet until').fill('7:00');
    await page.getByLabel('Quiet until').press('Tab');
    await page.locator('#pace [data-saved="done"]').waitFor();
    assert.equal(await page.locator('#pace .error').count(), 0);

    await page.reload();
    assert.equal(await field('Description').inputValue(), 'Counts wheels.');
    assert.equal(Number(await budget.inputValue()), 12);
    assert.equal(await field('Warn at (percent)').inputValue(), '70');
    assert.match(await page.getByLabel('Quiet from').inputValue(), /22:00/);
    await ended(context);
  });

  test('notifications and limits have no Save button: each switch and field saves itself', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/settings/notifications`);
    const form = page.locator('#choices');
    assert.equal(await form.getByRole('button', { name: /^Save/ }).count(), 0, 'no Save button');
    const [digest, hour] = [form.locator('[name="reviews.digest"]'), form.getByLabel('Daily email', { exact: true })];
    const [before, hourBefore] = [await digest.isChecked(), await hour.inputValue()];
    await digest.setChecked(!before);
    await form.locator('td[data-saved="done"]').waitFor();
    await hour.selectOption('6');
    await form.locator('.field[data-saved="done"]').waitFor();
    await form.getByText('All settings').click();
    await form.locator('[name="kind.mention"]').selectOption('all');
    await form.locator('.kind[data-saved="done"]').waitFor();
    await assertAccessible(page, 'notification settings that save themselves');
    await page.reload();
    assert.equal(await digest.isChecked(), !before);
    assert.equal(await hour.inputValue(), '6');
    assert.equal(await form.locator('[name="kind.mention"]').inputValue(), 'all');
    await digest.setChecked(before);
    await form.locator('td[data-saved="done"]').waitFor();
    await hour.selectOption(hourBefore);
    await form.locator('.field[data-saved="done"]').waitFor();
    await form.getByText('All settings').click();
    await form.locator('[name="kind.mention"]').selectOption('');
    await form.locator('.kind[data-saved="done"]').waitFor();

    await page.goto(`${place}/settings/usage`);
    const limit = page.locator('#workspace-limits').getByLabel('Monthly limit ($)');
    const limitBefore = await limit.inputValue();
    for (const amount of ['9000', limitBefore]) {
      await limit.fill(amount);
      await limit.press('Tab');
      await page.locator('#workspace-limits [data-saved="done"]').waitFor();
      await page.reload();
      assert.equal(Number(await limit.inputValue()), Number(amount));
    }
    await ended(context);
  });

  test('two tabs of the same settings never undo each other', async () => {
    const { place } = given;
    const { context, page } = await opened();
    const other = await context.newPage();
    for (const tab of [page, other]) await tab.goto(`${place}/settings/general`);
    const field = (tab, name) => tab.locator('#limits').getByLabel(name, { exact: true });
    const type = async (tab, name, value) => {
      await field(tab, name).fill(value);
      await field(tab, name).press('Tab');
    };
    const saved = (tab, name) => tab.locator('#limits [data-saved="done"]', { has: tab.getByLabel(name, { exact: true }) }).waitFor();
    const before = [await field(page, 'Model calls').inputValue(), await field(page, 'Tool calls').inputValue()];
    await type(page, 'Model calls', '51');
    await saved(page, 'Model calls');
    await type(other, 'Tool calls', '61');
    await saved(other, 'Tool calls');
    assert.equal(await field(other, 'Model calls').inputValue(), '51', 'it shows what the other tab has saved');
    // Both change the same field: what was saved first is shown, and what was typed is told.
    await type(page, 'Tool calls', '71');
    await page.locator('#limits .error', { hasText: 'Someone else changed this meanwhile. You entered “71”.' }).waitFor();
    assert.equal(await field(page, 'Tool calls').inputValue(), '61');
    await assertAccessible(page, 'settings that another tab has changed');
    await type(page, 'Tool calls', '71');
    await saved(page, 'Tool calls');
    await other.reload();
    assert.deepEqual([await field(other, 'Model calls').inputValue(), await field(other, 'Tool calls').inputValue()], ['51', '71']);
    await type(other, 'Model calls', before[0]);
    await saved(other, 'Model calls');
    await type(other, 'Tool calls', before[1]);
    await saved(other, 'Tool calls');
    await ended(context);
  });

  test('a change without a connection is sent when HQ is back', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/settings/connections`);
    const thinking = page.getByLabel('Default thinking');
    const other = await thinking.evaluate((one) => [...one.options].find((option) => !option.selected)?.value);
    if (other) {
      await context.setOffline(true);
      await thinking.selectOption(other);
      await page.getByText('Your change will be sent when you reconnect.').waitFor();
      await context.setOffline(false);
      await page.locator('#default-thinking [data-saved="done"]').waitFor();
      await page.reload();
      assert.equal(await thinking.inputValue(), other);
    }
    await context.close();
  });

  test('a chosen appearance and a brand colour show at once and on the next page', async () => {
    const { place } = given;
    const { context, page } = await opened();
    const html = (name) => page.locator('html').getAttribute(name);
    await page.goto(`${place}/settings/appearance`);
    const choose = async (label, option) => {
      await page.getByLabel(label, { exact: true }).selectOption(option);
      await page.locator('#appearance [data-saved="done"]', { has: page.getByLabel(label, { exact: true }) }).waitFor();
    };
    await choose('Density', 'Comfortable');
    assert.equal(await html('data-density'), 'comfortable');
    await choose('Theme', 'Dark');
    assert.equal(await html('data-theme'), 'dark');
    await assertAccessible(page, 'the appearance in the dark theme');
    await choose('Dates', '11/29/2026');
    await page.goto(`${place}/tasks`);
    assert.deepEqual([await html('data-theme'), await html('data-density'), await html('data-date')], ['dark', 'comfortable', 'month_first']);

    await page.goto(`${place}/settings/general`);
    const accent = () => page.locator('html').evaluate((one) => getComputedStyle(one).getPropertyValue('--brand'));
    const before = await accent();
    await page.getByRole('group', { name: 'Accent' }).getByRole('radio', { name: 'Teal' }).check();
    await page.locator('#brand [data-saved="done"]').waitFor();
    await page.locator('link[data-brand]').waitFor({ state: 'attached' });
    await page.waitForFunction((was) => getComputedStyle(document.documentElement).getPropertyValue('--brand') !== was, before);
    await assertAccessible(page, 'general settings with a brand colour');
    await page.getByRole('group', { name: 'Accent' }).getByRole('radio', { name: 'HQ’s own' }).check();
    await page.locator('link[data-brand]').waitFor({ state: 'detached' });
    await page.goto(`${place}/settings/appearance`);
    for (const [label, option] of [['Density', 'Automatic'], ['Theme', 'System'], ['Dates', '29 Nov 2026']]) await choose(label, option);
    await ended(context);
  });

  test('the colour of a label is chosen with the arrows', async () => {
    const { place } = given;
    const { context, page } = await opened();
    await page.goto(`${place}/settings/labels`);
    await page.locator('#form').evaluate((one) => (one.open = true));
    await page.getByLabel('Name', { exact: true }).fill('Brass bell');
    await page.getByRole('radio', { name: 'Automatic' }).focus();
    await page.keyboard.press('ArrowRight');
    const first = page.getByRole('group', { name: 'Colour' }).getByRole('radio').nth(1);
    assert.ok(await first.isChecked());
    const colour = await first.getAttribute('data-c');
    await assertAccessible(page, 'labels with swatches');
    await page.keyboard.press('Enter');
    await page.locator('#all-labels').getByText('Brass bell').waitFor();
    assert.equal(await page.locator('#all-labels .chip', { hasText: 'Brass bell' }).getAttribute('data-c'), colour);
    await ended(context);
  });
}
