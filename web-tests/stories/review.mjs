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
  const deliver = async (page, task, title, text, revises = '') => {
    const { server } = given;
    const headers = { origin: server.url };
    const multipart = { title, kind: 'text', text, revises };
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

  test('A newer version takes the place of the one that is read, and after the last decision the focus is on the list', async () => {
    const { browser, server, signedIn, place } = given;
    const [context, elsewhere] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await context.newPage(), await elsewhere.newPage()];
    const task = await make(other, 'Third report');
    await deliver(other, task, 'Third piece', 'Bells are loud.');
    await page.goto(`${place}/review`);
    const queue = page.getByRole('complementary', { name: 'Review queue' });
    await queue.getByRole('link', { name: 'Third piece' }).click();
    await page.getByRole('heading', { level: 1, name: 'Third piece' }).waitFor();
    const piece = new URL(page.url()).searchParams.get('piece');
    await page.evaluate(() => (window.isSame = true));

    // Said in place of the decision, and shown in the page.
    await deliver(other, task, '', 'Bells are quiet.', piece);
    const newer = page.getByRole('link', { name: 'Show version 2' });
    await newer.waitFor();
    await page.locator('.piece').getByText('Bells are loud.').waitFor();
    await assertAccessible(page, 'a version with a newer one');
    await newer.focus();
    await page.keyboard.press('Enter');
    await page.locator('.piece').getByText('Bells are quiet.').waitFor();
    assert.ok(await page.evaluate(() => window.isSame), 'the page stays');
    assert.ok(await page.evaluate(() => document.getElementById('desk').contains(document.activeElement)), 'the focus stays at the work');

    // Who decides at the same moment is shown the newer one, with what they typed.
    await page.getByLabel(/^Note to/).fill('Which bells?');
    await deliver(other, task, '', 'All bells are quiet.', piece);
    await page.getByRole('button', { name: 'Request changes' }).click();
    await page.getByText(/version 3 was delivered while you were reading/).waitFor();
    assert.equal(await page.getByLabel(/^Note to/).inputValue(), 'Which bells?');
    await page.locator('.piece').getByText('All bells are quiet.').waitFor();
    await assertAccessible(page, 'a decision that came too late');
    for (let n = 0; n < 20; n += 1) {
      const before = await page.getByRole('button', { name: 'Approve', exact: true }).count();
      if (!before) break;
      await page.getByRole('button', { name: 'Approve', exact: true }).click();
      await page.getByText(/^Approved “/).first().waitFor();
      await page.waitForFunction(() => document.activeElement.id === 'queue');
    }
    await page.getByRole('heading', { name: 'Nothing to review' }).or(page.getByText('Nothing to review.')).first().waitFor();
    // The next key goes on in the list.
    await page.keyboard.press('j');
    assert.ok(await page.evaluate(() => document.getElementById('queue').contains(document.activeElement)));
    await elsewhere.close();
    assert.equal(context.faults().filter((fault) => !fault.includes('409')).length, 0, context.faults().join());
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
