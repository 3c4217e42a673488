// A conversation by keyboard alone: commands with their list, files, a message in other words, the list
// of conversations, on a wide page and on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { PATIENCE } from '../lib/story.mjs';

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** The chat with Ada, begun anew. */
async function openChat(context) {
  const page = await context.newPage();
  await page.goto('/');
  const place = new URL(page.url()).pathname.match(/^\/w\/[^/]+/)[0];
  await page.goto(`${place}/agents/ada/chat`);
  const field = page.getByLabel('Message to Ada');
  await field.waitFor();
  return { page, place, field, talk: page.getByRole('log') };
}

async function say(page, talk, text) {
  await page.getByLabel('Message to Ada').fill(text);
  await page.keyboard.press('Enter');
  await talk.getByText(text, { exact: true }).waitFor();
  await talk.getByText('is working').waitFor({ state: 'detached' });
  await talk.getByRole('link', { name: 'Edit' }).first().waitFor(PATIENCE);
}

export function tell(given) {
  test('commands are chosen and sent by keyboard, and what is wrong is kept', async () => {
    const { browser, server, signedIn } = given;
    await server.restart();
    const context = await newContext(browser, server, { storageState: signedIn });
    const { page, field } = await openChat(context);
    const list = page.getByRole('listbox', { name: 'Commands' });
    await field.fill('/');
    await list.waitFor();
    assert.ok((await list.getByRole('option').count()) >= 10);
    await assertAccessible(page, 'the list of commands');
    await page.keyboard.press('ArrowDown');
    assert.equal(await field.getAttribute('aria-activedescendant'), 'command-status');
    await page.keyboard.press('Escape');
    await list.waitFor({ state: 'hidden' });
    assert.equal(await field.inputValue(), '/');
    await field.pressSequentially('us');
    await page.keyboard.press('Enter');
    assert.equal(await field.inputValue(), '/usage');
    await page.keyboard.press('Enter');
    const answer = page.locator('#chat-answer');
    await answer.getByText('this month').waitFor();
    assert.equal(await field.inputValue(), '');
    await field.fill('/usaeg please');
    await page.keyboard.press('Enter');
    await answer.getByText('There is no command /usaeg').waitFor();
    assert.equal(await field.inputValue(), '/usaeg please');
    await answer.getByRole('button', { name: 'Close' }).click();
    await answer.getByText('There is no command').waitFor({ state: 'detached' });
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('422')), []);
    await context.close();
  });

  test('a message whose answer was lost is said once, however often it is sent', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const { page, field, talk } = await openChat(context);
    let lost = 0;
    await page.route('**/agents/ada/chat', async (route) => {
      if (route.request().method() !== 'POST' || lost++) return route.continue();
      await route.fetch();
      return route.abort('connectionreset');
    });
    await field.fill('Say this only once');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.getElementById('say-body').value === 'Say this only once');
    await field.focus();
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.getElementById('say-body').value === '');
    await talk.getByRole('link', { name: 'Edit' }).first().waitFor(PATIENCE);
    assert.equal(lost, 2);
    await talk.getByText('Say this only once', { exact: true }).first().waitFor();
    assert.equal(await talk.getByText('Say this only once', { exact: true }).count(), 1);
    await context.close();
  });

  test('files go with a message and are shown in it', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const { page, field, talk } = await openChat(context);
    const files = page.getByRole('list', { name: 'Files to send' });
    await page.getByLabel('Attach files').setInputFiles([
      { name: 'plan.png', mimeType: 'image/png', buffer: Buffer.from(PIXEL, 'base64') },
      { name: 'prices.csv', mimeType: 'text/csv', buffer: Buffer.from('van,900\n') },
    ]);
    assert.equal(await files.getByRole('button').count(), 2);
    await files.getByRole('button', { name: 'Remove prices.csv' }).click();
    assert.equal(await files.getByRole('button').count(), 1);
    // One more, pasted.
    await field.evaluate((element) => {
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File(['van,800'], 'pasted.csv', { type: 'text/csv' }));
      element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
    });
    await files.getByRole('button', { name: 'Remove pasted.csv' }).waitFor();
    await assertAccessible(page, 'files before they are sent');
    await field.fill('Look at these');
    await page.keyboard.press('Enter');
    await talk.getByRole('img', { name: 'plan.png' }).last().waitFor();
    await talk.getByRole('link', { name: 'pasted.csv' }).last().waitFor();
    assert.equal(await files.isVisible(), false);
    const seen = await talk.getByRole('img', { name: 'plan.png' }).last().evaluate((image) => image.decode().then(() => image.naturalWidth));
    assert.equal(seen, 1);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a message is sent in other words, and the former one stays beside it', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const { page, field, talk } = await openChat(context);
    // While the agent works, nothing begins anew.
    await talk.getByRole('link', { name: 'Edit' }).first().waitFor(PATIENCE);
    await field.fill('/new');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Chat with Ada' }).waitFor();
    await say(page, talk, 'How far is the harbour?');
    await talk.getByRole('link', { name: 'Edit' }).click();
    const words = page.getByLabel('Edit your message');
    await words.waitFor();
    assert.equal(await words.inputValue(), 'How far is the harbour?');
    await assertAccessible(page, 'a message that is being changed');
    await words.fill('How far is the station?');
    await page.keyboard.press('Enter');
    await talk.getByText('How far is the station?', { exact: true }).waitFor();
    await talk.getByText('2 of 2').waitFor(PATIENCE);
    assert.equal(await talk.getByText('How far is the harbour?').count(), 0);
    await talk.getByRole('link', { name: 'Edit' }).first().waitFor(PATIENCE);
    await talk.getByRole('link', { name: 'Previous version of this message' }).click();
    await talk.getByText('How far is the harbour?', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Continue' }).first().click();
    await talk.getByText('How far is the harbour?', { exact: true }).waitFor();
    await field.waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('conversations are named, found and archived, on a phone too', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE });
    const { page, place } = await openChat(context);
    await page.getByRole('button', { name: 'Conversation actions' }).click();
    await page.getByRole('button', { name: 'Rename' }).first().click();
    await page.getByLabel('Name', { exact: true }).fill('Ways to the harbour');
    await page.keyboard.press('Enter');
    await page.getByText('Renamed.').waitFor();
    await page.getByRole('link', { name: 'All conversations' }).first().click();
    await page.getByRole('link', { name: /Ways to the harbour/ }).waitFor();
    await assertAccessible(page, 'all conversations');
    await page.getByRole('searchbox', { name: 'Search conversations' }).fill('harbour');
    await page.keyboard.press('Enter');
    const found = page.getByRole('list', { name: 'Results' });
    await found.getByText('How far is the harbour?').first().waitFor();
    await assertAccessible(page, 'what was found in conversations');
    await found.getByRole('link').first().click();
    await page.getByRole('log').getByText('How far is the harbour?').first().waitFor();
    await page.goto(`${place}/agents/ada/chat`);
    await page.getByRole('button', { name: 'Conversation actions' }).click();
    await page.getByRole('button', { name: 'Archive' }).click();
    await page.getByText('Archived. You can still read it.').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a conversation is begun beside another and shared with the workspace', async () => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const { page, talk } = await openChat(context);
    await say(page, talk, 'What do bicycles cost?');
    const beside = page.getByRole('complementary', { name: 'Conversations' });
    await beside.getByRole('button', { name: 'New conversation' }).click();
    await page.waitForURL(/\?talk=/);
    await page.getByRole('heading', { name: 'Chat with Ada' }).waitFor();
    await say(page, talk, 'And what do trams cost?');
    await beside.getByRole('link', { name: /What do bicycles cost/ }).waitFor();
    await beside.locator('a[aria-current]').filter({ hasText: 'And what do trams cost' }).waitFor();
    await page.getByRole('button', { name: 'Conversation actions' }).click();
    await page.getByRole('button', { name: 'Share with the workspace' }).click();
    await page.getByRole('dialog', { name: 'Share this conversation?' }).getByRole('button', { name: 'Share', exact: true }).click();
    await page.locator('#chat-head').getByText('Shared', { exact: true }).waitFor();
    await talk.getByText('And what do trams cost?', { exact: true }).waitFor();
    await assertAccessible(page, 'a shared conversation');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
