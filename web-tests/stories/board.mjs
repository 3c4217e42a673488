// Tasks as a board, a calendar and a timeline: with the mouse, and with the keyboard alone. The box of the
// filter completes, several tasks change at once, a view is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { tooWide } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

export function tell(given) {
  const make = async (page, title, form = {}) => {
    const { server, place } = given;
    const headers = { origin: server.url };
    const made = await page.request.post(`${server.url}${place}/tasks`, { form: { title, ...form }, headers, maxRedirects: 0 });
    assert.equal(made.status(), 303, await made.text());
  };
  const column = (page, name) => page.getByRole('region', { name, exact: true });

  test('A card goes to another column by mouse and by keyboard, and stays there', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Drag me');
    await make(page, 'Lift me');
    await page.goto(`${place}/tasks?layout=board&q=me+-is:closed`);
    const card = page.locator('.tile', { hasText: 'Drag me' });
    const from = await card.boundingBox();
    const to = await column(page, 'Blocked').boundingBox();
    await page.mouse.move(from.x + 40, from.y + 14);
    await page.mouse.down();
    await page.mouse.move(to.x + 60, to.y + 80, { steps: 8 });
    const saved = page.waitForResponse((answer) => answer.url().endsWith('/move'));
    await page.mouse.up();
    assert.equal((await saved).status(), 200);
    await column(page, 'Blocked').getByText('Drag me').waitFor();

    const grip = page.locator('.tile', { hasText: 'Lift me' }).locator('[data-grip]');
    await tabTo(page, grip, 200);
    await page.keyboard.press(' ');
    await page.keyboard.press('ArrowRight');
    const lifted = page.waitForResponse((answer) => answer.url().endsWith('/move'));
    await page.keyboard.press(' ');
    assert.equal((await lifted).status(), 200);
    await page.reload();
    assert.equal(await column(page, 'To do').getByText('Lift me').count(), 0, 'it stays where it was put');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  /** A day of this month, as pages and forms name it: where people are (Berlin), far from its ends. */
  const dayOf = (number) => {
    const month = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', year: 'numeric', month: '2-digit' });
    return `${month.format(new Date())}-${number}`;
  };
  const moved = (page) => page.waitForResponse((answer) => answer.url().endsWith('/move'));

  test('A task goes to another day of the calendar by mouse and by keyboard, and stays there', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Date by mouse', { due: dayOf(10) });
    await make(page, 'Date by key', { due: dayOf(10) });
    const address = `${place}/tasks?layout=calendar&q=date+by`;
    await page.goto(address);
    const on = (day) => page.locator('td', { has: page.locator(`time[datetime="${dayOf(day)}"]`) });
    const pill = on(10).locator('.due-pill', { hasText: 'Date by mouse' });
    const [from, to] = [await pill.boundingBox(), await on(12).boundingBox()];
    await page.mouse.move(from.x + 30, from.y + from.height / 2);
    await page.mouse.down();
    await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 8 });
    const saved = moved(page);
    await page.mouse.up();
    assert.equal((await saved).status(), 200);
    await page.goto(address);
    await on(12).getByText('Date by mouse').waitFor();

    // A day on, a week on, and back to where it was: Escape leaves it there.
    const grip = page.locator('.due-pill', { hasText: 'Date by key' }).locator('[data-grip]');
    await tabTo(page, grip, 200);
    for (const key of [' ', 'ArrowRight', 'Escape']) await page.keyboard.press(key);
    await on(10).getByText('Date by key').waitFor();
    await tabTo(page, grip, 200);
    for (const key of [' ', 'ArrowRight', 'ArrowDown']) await page.keyboard.press(key);
    const lifted = moved(page);
    await page.keyboard.press(' ');
    assert.equal((await lifted).status(), 200);
    await page.goto(address);
    await on(18).getByText('Date by key').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('An end of a bar goes along the days by mouse and by keyboard, and quick steps are one move', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Bar to pull', { start: dayOf(10), due: dayOf(14) });
    // Without its month, the timeline shows the weeks around today.
    const address = `${place}/tasks?layout=timeline&q=pull&month=${dayOf(10).slice(0, 7)}`;
    await page.goto(address);
    const bar = page.locator('.span', { hasText: 'Bar to pull' });
    const days = () => bar.evaluate((one) => [one.dataset.start, one.dataset.due]);
    const [end, width] = [bar.locator('[data-end="due"]'), await page.locator('.track svg').getAttribute('data-day')];
    const box = await end.boundingBox();
    await page.mouse.move(box.x + 3, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + 3 + 2 * Number(width), box.y + 10, { steps: 4 });
    const saved = moved(page);
    await page.mouse.up();
    assert.equal((await saved).status(), 200);
    await page.goto(address);
    assert.deepEqual(await days(), [dayOf(10), dayOf(16)]);

    let asked = 0;
    page.on('request', (one) => (asked += one.url().endsWith('/move')));
    await bar.focus();
    const stepped = moved(page);
    for (let step = 0; step < 3; step += 1) await page.keyboard.press('ArrowRight');
    assert.equal((await stepped).status(), 200);
    const begun = moved(page);
    for (const key of ['Shift+ArrowLeft', 'Shift+ArrowLeft']) await page.keyboard.press(key);
    assert.equal((await begun).status(), 200);
    assert.equal(asked, 2, 'steps that follow one upon the other are one move');
    await page.goto(address);
    assert.deepEqual(await days(), [dayOf('08'), dayOf(19)]);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('The box completes with the keyboard, several tasks change at once, and a view is kept', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Together one');
    await make(page, 'Together two');
    await page.goto(`${place}/tasks`);
    const box = page.getByRole('combobox', { name: 'Filter tasks' });
    assert.equal(await box.inputValue(), 'is:open');
    await box.fill('together pri');
    const offer = page.getByRole('option', { name: /^priority/ });
    await offer.waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    assert.equal(await box.inputValue(), 'together priority:');
    await page.getByRole('option', { name: /^medium/ }).click();
    assert.equal(await box.inputValue(), 'together priority:medium');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Enter');
    await page.waitForURL(/priority/);
    const rows = page.locator('.rows .row');
    assert.equal(await rows.count(), 2);

    await rows.first().locator('.tick').click();
    await rows.last().locator('.tick').click({ modifiers: ['Shift'] });
    await page.getByText('2 selected').waitFor();
    await page.locator('[popovertarget="bulk-priority"]').click();
    await page.locator('#bulk-priority').getByText('Urgent').click();
    await page.getByText('Changed 2 tasks').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Undone: /).waitFor();
    // They are of medium priority again.
    await page.locator('.rows .row').nth(1).waitFor();
    assert.equal(await page.locator('.rows .row').count(), 2);

    await page.getByRole('button', { name: 'Save view' }).first().click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Together');
    await page.keyboard.press('Enter');
    await page.waitForURL(/view=together/);
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: /^Together/ }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('The layouts fit a phone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    for (const layout of ['list', 'board', 'calendar', 'timeline']) {
      await page.goto(`${place}/tasks?layout=${layout}`);
      assert.equal(await tooWide(page), '', layout);
    }
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
