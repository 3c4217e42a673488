// Words from right to left: what people type runs in its own direction, and the page around it stays where it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

const ARABIC = 'مراجعة عقد الدراجات';
const LATIN = 'Look over the lease';

/** Which way an element runs, and at which of its sides its words begin. */
const runs = (locator) =>
  locator.evaluate((one) => {
    const words = document.createRange();
    words.selectNodeContents(one);
    const [text, box] = [words.getBoundingClientRect(), one.getBoundingClientRect()];
    const { direction, paddingLeft, paddingRight } = getComputedStyle(one);
    const left = Math.abs(text.left - box.left - parseFloat(paddingLeft)) < 2;
    const right = Math.abs(text.right - box.right + parseFloat(paddingRight)) < 2;
    return { direction, left, right };
  });

export function tell(given) {
  test('Arabic runs from the right and Latin from the left, in lists, on cards, on pages and in fields', async () => {
    const { browser, server, signedIn, place } = given;
    for (const size of [WIDE, PHONE]) {
      const context = await newContext(browser, server, { size, storageState: signedIn });
      const page = await context.newPage();
      const made = {};
      for (const title of [ARABIC, LATIN]) {
        const form = { title, description: `${ARABIC}\n\n${LATIN}\n\n- ${ARABIC}\n- ${LATIN}`, labels: 'lease' };
        const sent = await page.request.post(`${server.url}${place}/tasks`, { form, headers: { origin: server.url }, maxRedirects: 0 });
        made[title] = sent.headers().location;
      }
      for (const [title, direction] of [[ARABIC, 'rtl'], [LATIN, 'ltr']]) {
        await page.goto(`${place}/tasks?q=label:lease`);
        const row = page.locator('.row', { hasText: title }).first();
        assert.equal((await runs(row.locator('.title'))).direction, direction, 'in the list');
        assert.equal((await runs(row)).direction, 'ltr', 'the row stays as it is');
        await page.goto(`${place}/tasks?q=label:lease&layout=board`);
        const card = await runs(page.locator('.tile', { hasText: title }).first().locator('.title'));
        assert.equal(card.direction, direction, 'on the board');
        assert.ok(direction === 'rtl' ? card.right : card.left, 'at its side of the card');
        await page.goto(made[title]);
        const head = await runs(page.getByRole('heading', { level: 1 }));
        assert.equal(head.direction, direction, 'on its page');
        assert.ok(direction === 'rtl' ? head.right : head.left, 'at its side of the page');
        for (const part of ['p', 'li']) {
          const words = page.locator(`#task-text .md ${part}`);
          assert.ok((await runs(words.filter({ hasText: ARABIC }).first())).right, `${part} in Arabic`);
          assert.ok((await runs(words.filter({ hasText: LATIN }).first())).left, `${part} in Latin`);
        }
        assert.equal(await page.locator('body').evaluate((one) => getComputedStyle(one).direction), 'ltr');
        await page.locator('#say-body').fill(title);
        assert.equal((await runs(page.locator('#say-body'))).direction, direction, 'while it is typed');
        await page.locator('#say-body').fill('');
      }
      await assertAccessible(page, 'a task with words in two directions');
      assert.deepEqual(context.faults(), []);
      await context.close();
    }
  });
}
