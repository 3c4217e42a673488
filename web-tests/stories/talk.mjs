// Talk with an agent: the answer comes word by word, and can be stopped.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { SLOW } from '../lib/server.mjs';
import { open, PATIENCE } from '../lib/story.mjs';

async function openChat(page, agent) {
  await page.goto('/');
  await open(page, 'Agents');
  await page.getByRole('main').getByRole('link', { name: agent, exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name: agent }).waitFor();
  await page.getByRole('link', { name: 'Message', exact: true }).click();
  await page.getByLabel(`Message to ${agent}`).waitFor();
}

export function tell(given) {
  test('an answer of an agent is written while one looks', async () => {
    const { browser, server, signedIn } = given;
    await server.restart({ settings: SLOW });
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await openChat(page, 'Ada');
    await page.evaluate(() => {
      window.lengths = [];
      const note = () => {
        const length = document.querySelector('.writing')?.textContent.length ?? 0;
        if (length > (window.lengths.at(-1) ?? 0)) window.lengths.push(length);
        window.drawn ||= Boolean(document.querySelector('.writing strong'));
      };
      new MutationObserver(note).observe(document.body, { childList: true, characterData: true, subtree: true });
    });
    await page.getByLabel('Message to Ada').fill('How long does a delivery take?');
    await page.keyboard.press('Enter');
    const talk = page.getByRole('log');
    await talk.getByText('How long does a delivery take?', { exact: true }).waitFor();
    await talk.getByText('For real answers, connect a provider').waitFor(PATIENCE);
    await talk.locator('.writing').waitFor({ state: 'detached' });
    const lengths = await page.evaluate(() => window.lengths);
    assert.ok(lengths.length >= 3, `the answer grew in ${lengths.length} steps`);
    assert.ok(await page.evaluate(() => window.drawn), 'it is drawn as Markdown while it grows');
    assert.equal(await talk.getByText('How long does a delivery take?', { exact: true }).count(), 1);
    assert.equal(await page.getByLabel('Message to Ada').inputValue(), '');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('Stop ends an answer', async () => {
    const { browser, server, signedIn } = given;
    await server.restart({ settings: SLOW });
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await openChat(page, 'Ada');
    await page.getByLabel('Message to Ada').fill('Tell me everything.');
    await page.keyboard.press('Enter');
    const talk = page.getByRole('log');
    await talk.getByRole('button', { name: 'Stop' }).click();
    await talk.getByText('You stopped this.').waitFor();
    await talk.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
