// Talks on a task, and the review of what was delivered: changed in place, quoted, reacted to, settled; the
// queue, a remark and a decision with the keyboard alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts } from '../lib/browser.mjs';

export function tell(given) {
  const make = async (page, title) => {
    const { server, place } = given;
    const headers = { origin: server.url };
    const made = await page.request.post(`${server.url}${place}/tasks`, { form: { title }, headers, maxRedirects: 0 });
    assert.equal(made.status(), 303, await made.text());
    return made.headers().location.replace(server.url, '');
  };
  const deliver = async (page, task, title, text) => {
    const { server } = given;
    const headers = { origin: server.url };
    const multipart = { title, kind: 'text', text };
    const sent = await page.request.post(`${server.url}${task}/deliver`, { multipart, headers, maxRedirects: 0 });
    assert.equal(sent.status(), 303, await sent.text());
  };
  const said = (page, text) => page.locator('li.comment', { hasText: text }).first();

  test('A comment is changed in its place, quoted, answered, reacted to and brought back', async () => {
    const { browser, server, signedIn } = given;
    const [context, elsewhere] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await context.newPage(), await elsewhere.newPage()];
    const task = await make(page, 'Talk about helmets');
    await page.goto(task);
    const box = page.getByLabel('Comment', { exact: true });
    await box.fill('Six helmets, please.');
    await page.keyboard.press('Control+Enter');
    await said(page, 'Six helmets, please.').waitFor();
    await other.goto(task);

    // In place, with the keyboard; what happens elsewhere does not take the open field away.
    await said(page, 'Six helmets').getByRole('link', { name: 'Edit' }).click();
    const field = page.getByLabel('Edit comment');
    await field.fill('Seven helmets, please.');
    await other.getByLabel('Comment', { exact: true }).fill('Which colour?');
    await other.keyboard.press('Control+Enter');
    await said(other, 'Which colour?').waitFor();
    assert.equal(await field.inputValue(), 'Seven helmets, please.');
    await field.press('Control+Enter');
    await said(page, 'Seven helmets, please.').waitFor();
    await said(other, 'Seven helmets, please.').waitFor();
    await said(page, 'Which colour?').waitFor();

    // A quote comes below what was typed; an answer stands with what it answers.
    await box.fill('Hm.');
    await said(page, 'Which colour?').getByRole('link', { name: 'Quote' }).click();
    await page.waitForFunction(() => /^Hm\.\n\n> \*\*.*\n> Which colour\?/.test(document.querySelector('#say-body').value));
    await box.fill('Blue.');
    await said(page, 'Which colour?').getByRole('link', { name: 'Reply' }).click();
    await page.getByText(/^Reply to /).waitFor();
    await box.press('Control+Enter');
    await page.locator('.answers').getByText('Blue.').waitFor();

    // Reactions: one more for each, pressed again it goes.
    await said(page, 'Seven helmets').getByRole('button', { name: 'React' }).click();
    await said(page, 'Seven helmets').getByRole('button', { name: 'Heart', exact: true }).click();
    const heart = (one) => said(one, 'Seven helmets').getByRole('button', { name: /^Heart: / });
    await heart(other).waitFor();
    await heart(page).click();
    await heart(other).waitFor({ state: 'detached' });

    // Settled it folds; deleted it comes back.
    await said(page, 'Which colour?').getByRole('button', { name: 'Resolve' }).click();
    await page.getByText(/resolved by/).first().waitFor();
    await said(page, 'Seven helmets').hover();
    await said(page, 'Seven helmets').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('Seven helmets, please.').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await said(page, 'Seven helmets').waitFor();
    await assertAccessible(page, 'a task with a talk');
    assert.deepEqual([...context.faults(), ...elsewhere.faults()], []);
    await elsewhere.close();
    await context.close();
  });

  test('Names are completed behind @ and #', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(await make(page, 'Name somebody'));
    const box = page.getByLabel('Comment', { exact: true });
    await box.click();
    await page.keyboard.type('See #helmets');
    await page.getByRole('option', { name: /Talk about helmets/ }).waitFor();
    await page.keyboard.press('Enter');
    assert.match(await box.inputValue(), /^See [A-Z]+-\d+ $/);
    await page.keyboard.type('and ask @ad');
    await page.getByRole('option', { name: /^@ada/ }).waitFor();
    await page.keyboard.press('Escape');
    assert.match(await box.inputValue(), /and ask @ad$/);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('Work is gone through, remarked on and decided with the keyboard alone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await deliver(page, await make(page, 'First report'), 'First piece', 'Bikes cost less in spring.');
    await deliver(page, await make(page, 'Second report'), 'Second piece', 'Helmets are blue.');
    await page.goto(`${place}/review`);
    const queue = page.getByRole('complementary', { name: 'Review queue' });
    await queue.getByRole('link', { name: 'Second piece' }).waitFor();
    // J goes down the queue; Enter opens what it stands on.
    const on = () => page.evaluate(() => document.activeElement.textContent);
    for (let n = 0; n < 20 && (await on()) !== 'First piece'; n += 1) await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'First piece' }).waitFor();

    await page.keyboard.press('m');
    await page.keyboard.type('less in spring');
    await page.keyboard.press('Tab');
    await page.keyboard.type('How much less?');
    await page.keyboard.press('Escape');
    await page.keyboard.press('r');
    await page.keyboard.type('Name your source');
    await page.keyboard.press('Control+Enter');
    await page.getByText('Sent “First piece” back with your note.').waitFor();
    await page.goto(`${place}/review`);
    await queue.getByRole('link', { name: 'Second piece' }).waitFor();
    for (let n = 0; n < 20 && (await on()) !== 'Second piece'; n += 1) await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Second piece' }).waitFor();
    await assertAccessible(page, 'the review queue');
    await page.keyboard.press('a');
    await page.getByText(/Approved “Second piece”/).waitFor();

    await queue.getByRole('link', { name: 'First piece' }).click();
    await page.getByText('less in spring', { exact: true }).waitFor();
    await page.getByText('How much less?').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('On a phone a piece is delivered again, with an answer to what was asked for', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE });
    const page = await context.newPage();
    await page.goto(`${place}/tasks?q=First+report`);
    await page.getByRole('link', { name: 'First report' }).first().click();
    await page.getByRole('link', { name: 'Deliver the next version' }).click();
    await page.getByRole('heading', { level: 1, name: 'Version 2 of First piece' }).waitFor();
    await page.getByLabel('Name your source').selectOption('yes');
    await page.getByLabel('How it was met, or why not').first().fill('at the end');
    await page.getByLabel('Text', { exact: true }).last().fill('Bikes cost 5 % less in spring.');
    await assertAccessible(page, 'delivering');
    await page.getByRole('button', { name: 'Deliver', exact: true }).click();
    await page.getByText('Delivered “First piece”. It’s ready for review.').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
