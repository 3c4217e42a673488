// What has no date yet: from beside the calendar to a day, with the mouse and with the keyboard alone, and on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext, PHONE } from '../lib/browser.mjs';
import { tabTo } from '../lib/story.mjs';

export function tell(given) {
  const make = async (page, title) => {
    const { server, place } = given;
    const headers = { origin: server.url };
    const made = await page.request.post(`${server.url}${place}/tasks`, { form: { title }, headers, maxRedirects: 0 });
    assert.equal(made.status(), 303, await made.text());
  };
  const moved = (page) => page.waitForResponse((answer) => answer.url().endsWith('/move'));
  const address = () => `${given.place}/tasks?layout=calendar&q=undated`;
  const today = 'td[aria-current="date"]';

  test('A task without a date goes to a day by mouse and by keyboard, and stays there', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Undated by mouse');
    await make(page, 'Undated by key');
    await page.goto(address());
    const rail = page.getByRole('complementary', { name: /^No date/ });
    const pill = rail.locator('.due-pill', { hasText: 'Undated by mouse' });
    const [from, to] = [await pill.boundingBox(), await page.locator(today).boundingBox()];
    await page.mouse.move(from.x + 30, from.y + from.height / 2);
    await page.mouse.down();
    await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 8 });
    const saved = moved(page);
    await page.mouse.up();
    assert.equal((await saved).status(), 200);
    await page.goto(address());
    await page.locator(today).getByText('Undated by mouse').waitFor();

    // Escape leaves it where it was; any arrow leads to today.
    const grip = rail.locator('.due-pill', { hasText: 'Undated by key' }).locator('[data-grip]');
    await tabTo(page, grip, 200);
    for (const key of [' ', 'ArrowLeft', 'Escape']) await page.keyboard.press(key);
    await rail.getByText('Undated by key').waitFor();
    await tabTo(page, grip, 200);
    for (const key of [' ', 'ArrowLeft']) await page.keyboard.press(key);
    const lifted = moved(page);
    await page.keyboard.press(' ');
    assert.equal((await lifted).status(), 200);
    await page.goto(address());
    await page.locator(today).getByText('Undated by key').waitFor();
    assert.equal(await rail.count(), 0, 'every one has a date');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('On a phone the days of the calendar have names, and what has no date is folded below them', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Undated on a phone');
    await page.goto(address());
    const name = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', weekday: 'long' }).format(new Date());
    const label = await page.locator(`${today} > time`).getByText(name).boundingBox();
    assert.ok(60 < label.width && 10 < label.height, `${label.width} px wide`);
    const pill = page.locator('.tray .due-pill', { hasText: 'Undated on a phone' });
    assert.equal(await pill.isVisible(), false);
    await page.locator('.tray summary').click();
    await pill.waitFor();
    const [days, rail] = [await page.locator('.cal').boundingBox(), await page.locator('.tray').boundingBox()];
    // Their lines lie on each other.
    assert.ok(days.y + days.height <= rail.y + 1, 'it stands below the days');

    const save = page.getByRole('button', { name: 'Save view' }).first();
    assert.ok((await save.locator('svg').boundingBox()).width >= 12, 'it can be seen what the button does');
    await save.click();
    await page.getByRole('dialog', { name: 'Save this view' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('However much has no date, the weeks are as high as their days, and a phone begins at today', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    for (let n = 0; n < 16; n += 1) await make(page, `Undated and many ${n}`);
    await page.goto(address());
    const week = await page.locator('.cal tbody tr').first().boundingBox();
    assert.ok(week.height < 140, `${week.height} px high`);
    assert.deepEqual(context.faults(), []);
    await context.close();

    const phone = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const small = await phone.newPage();
    await small.goto(address());
    const day = await small.locator(today).boundingBox();
    assert.ok(0 <= day.y && day.y + 24 <= PHONE.height, `today stands at ${day.y} px`);
    assert.deepEqual(phone.faults(), []);
    await phone.close();
  });
}
