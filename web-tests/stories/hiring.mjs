// An agent is created with the keyboard alone, on a wide screen and in a narrow window: the focus is never lost, and what
// has it is marked and in sight.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { tooWide } from '../lib/axe.mjs';
import { newContext } from '../lib/browser.mjs';
import { NARROW_KEYS, WIDE_KEYS } from '../lib/hands.mjs';
import { tabTo } from '../lib/story.mjs';

/** Goes on with Tab until a thing has the focus. What is on the way has it in turn, never the page itself. */
async function goTo(page, target, most = 90) {
  for (let step = 0; step < most; step += 1) {
    await page.keyboard.press('Tab');
    const state = await target.evaluate((one) => {
      const now = document.activeElement;
      if (now !== one) return { lost: now === document.body || now === null };
      // A link that covers its card, and a choice in a row, are marked by what is around them.
      const around = [one, one.nextElementSibling, one.closest('.card'), one.closest('label')].filter(Boolean);
      const isDrawn = ({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && outlineWidth !== '0px';
      const marked = around.some((part) => isDrawn(getComputedStyle(part))) || getComputedStyle(one).boxShadow !== 'none';
      const { top, bottom } = one.getBoundingClientRect();
      return { there: true, marked, seen: 0 <= top && bottom <= innerHeight };
    });
    assert.ok(!state.lost, `the focus is lost after ${step + 1} times Tab`);
    if (!state.there) continue;
    assert.ok(state.marked, 'the focus cannot be seen');
    assert.ok(state.seen, 'what has the focus is out of sight');
    return;
  }
  throw new Error(`${most} times Tab do not lead there`);
}

const rests = (page, id) => page.waitForFunction((one) => document.activeElement?.id === one, id);

export function tell(given) {
  for (const [hand, name] of [[WIDE_KEYS, 'Wanda'], [NARROW_KEYS, 'Nadja']]) {
    test(`An agent is created ${hand.name}`, async () => {
      const { browser, server, signedIn, place } = given;
      const context = await newContext(browser, server, { ...hand.options, storageState: signedIn });
      const page = await context.newPage();
      const { keyboard } = page;
      if (hand === WIDE_KEYS) {
        await page.goto(`${place}/agents`);
        const bar = page.getByRole('main').or(page.getByRole('banner'));
        await tabTo(page, bar.getByRole('link', { name: 'New agent' }).first(), 300);
        await keyboard.press('Enter');
      } else {
        await page.goto(`${place}/agents/new`);
      }
      await page.getByRole('heading', { level: 1, name: 'New agent' }).waitFor();
      await rests(page, 'f-name');
      assert.equal(await tooWide(page), '');

      // Escape leaves a field and nothing else: Tab goes on where it was.
      const search = page.locator('#f-search');
      await goTo(page, search);
      await keyboard.type('nobody');
      await page.getByText('No role matches “nobody”').waitFor();
      await keyboard.press('Escape');
      assert.match(page.url(), /\/agents\/new$/);
      await goTo(page, page.getByRole('button', { name: 'Search roles' }), 1);
      await keyboard.press('Shift+Tab');
      await rests(page, 'f-search');
      await keyboard.press('ControlOrMeta+a');
      await keyboard.type('competitors');
      await page.locator('.roles').getByText('1 role', { exact: true }).waitFor();
      assert.equal(await page.locator('.roles .card:visible').count(), 1);
      await keyboard.press('Enter');
      await page.waitForURL(/search=competitors/);
      await rests(page, 'f-name');
      assert.equal(await tooWide(page), '');

      await goTo(page, page.locator('.roles').getByRole('link', { name: 'Market Researcher' }));
      await keyboard.press('Enter');
      await page.locator('.roles summary', { hasText: 'Market Researcher' }).waitFor();
      await rests(page, 'f-name');
      await keyboard.type(name);
      const thinking = page.locator('input[name="thinking"]:checked');
      const before = await thinking.inputValue();
      await goTo(page, thinking);
      await keyboard.press('ArrowRight');
      const after = await thinking.inputValue();
      assert.notEqual(after, before);
      assert.ok(await thinking.evaluate((one) => one === document.activeElement), 'the focus goes along');
      assert.equal(await tooWide(page), '');
      await goTo(page, page.getByRole('button', { name: 'Create agent' }));
      await keyboard.press('Enter');
      await page.getByRole('heading', { level: 1, name }).waitFor();
      assert.equal(await tooWide(page), '');

      const headers = { 'x-hq-workspace': place.split('/').at(-1) };
      const told = await page.request.get(`/api/v1/agents/${name.toLowerCase()}`, { headers });
      const agent = await told.json();
      assert.deepEqual([agent.template, agent.thinking], ['market-researcher', after]);
      assert.deepEqual(context.faults(), []);
      await context.close();
    });
  }
}
