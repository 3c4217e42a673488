// Each view of the work with a mouse, with a finger on a phone, and with the keyboard alone on a wide screen and in a
// narrow window: what other stories do not tell. README.md says which story tells what.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { carry, FINGER, HANDS, NARROW_KEYS } from '../lib/hands.mjs';
import { tabTo } from '../lib/story.mjs';

/** A day of this month, as pages and forms name it: where people are (Berlin), far from its ends. */
function dayOf(number) {
  const month = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', year: 'numeric', month: '2-digit' });
  return `${month.format(new Date())}-${number}`;
}

/** The day so many days from today. */
function dayAhead(number) {
  return new Date(Date.now() + number * 86_400_000).toISOString().slice(0, 10);
}

export function tell(given) {
  /** Opens a page as somebody with these hands, and ends by what it must not do. */
  const as = async (hand, body) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { ...hand.options, storageState: signedIn });
    try {
      await body(await context.newPage());
      assert.deepEqual(context.faults(), [], hand.name);
    } finally {
      await context.close();
    }
  };
  const send = async (page, path, form) => {
    const { server, place } = given;
    const headers = { origin: server.url };
    const sent = await page.request.post(`${server.url}${place}${path}`, { form, headers, maxRedirects: 0 });
    assert.ok(sent.status() < 400, `${path}: ${await sent.text()}`);
    return sent.headers().location;
  };
  const make = (page, title, form = {}) => send(page, '/tasks', { title, ...form });
  const saved = async (page, deed) => {
    // Both at once: when the deed fails, its reason is told, and not that nothing was sent.
    const [answer] = await Promise.all([page.waitForResponse((one) => one.url().endsWith('/move')), deed()]);
    assert.equal(answer.status(), 200);
  };
  /** Lifts something by its handle, moves it and puts it down. */
  const byKeys = async (page, item, ...moves) => {
    await tabTo(page, item.locator('[data-grip]'), 300);
    for (const key of [' ', ...moves, ' ']) await page.keyboard.press(key);
  };

  test('In a narrow window the list is worked with the keyboard alone', () =>
    as(NARROW_KEYS, async (page) => {
      await make(page, 'Narrow first');
      await make(page, 'Narrow second');
      await page.goto(`${given.place}/tasks?q=narrow&sort=created`);
      for (const key of ['j', 'x', 'j', 'x', 'p']) await page.keyboard.press(key);
      await page.locator('#bulk-priority').waitFor();
      await page.keyboard.press('Enter');
      await page.getByText('Changed 2 tasks').waitFor();
      assert.equal(await page.locator('.rows [data-prio="urgent"]').count(), 2);
      await page.keyboard.press('e');
      await page.locator('.row[data-state="done"]', { hasText: 'Narrow' }).waitFor();
    }));

  test('A card goes to another column by finger on a phone, and by keys in a narrow window', async () => {
    const column = (page, name) => page.getByRole('region', { name, exact: true });
    const moves = (hand, title, deed) =>
      as(hand, async (page) => {
        await make(page, title);
        await page.goto(`${given.place}/tasks?layout=board&q=${encodeURIComponent(title)}`);
        await saved(page, () => deed(page, page.locator('.tile', { hasText: title })));
        await page.reload();
        await column(page, 'In progress').getByText(title).waitFor();
      });
    await moves(FINGER, 'Card by finger', (page, card) => carry(page, card, column(page, 'In progress')));
    await moves(NARROW_KEYS, 'Card by keys', (page, card) => byKeys(page, card, 'ArrowRight'));
  });

  test('A task goes to another day by finger on a phone, and by keys in a narrow window', async () => {
    const on = (page, day) => page.locator('td', { has: page.locator(`time[datetime="${dayOf(day)}"]`) });
    const moves = (hand, title, deed) =>
      as(hand, async (page) => {
        await make(page, title, { due: dayOf(20) });
        const address = `${given.place}/tasks?layout=calendar&q=${encodeURIComponent(title)}`;
        await page.goto(address);
        await saved(page, () => deed(page, on(page, 20).locator('.due-pill', { hasText: title })));
        await page.goto(address);
        await on(page, 21).getByText(title).waitFor();
      });
    await moves(FINGER, 'Day by finger', (page, pill) => carry(page, pill, on(page, 21)));
    // The days stand one below the other there.
    await moves(NARROW_KEYS, 'Day by keys', (page, pill) => byKeys(page, pill, 'ArrowDown'));
  });

  test('On a phone a task without a date is carried to a day that is far up', () =>
    as(FINGER, async (page) => {
      await make(page, 'Dateless by finger');
      await page.goto(`${given.place}/tasks?layout=calendar&q=dateless`);
      await page.locator('.tray summary').tap();
      const pill = page.locator('.tray .due-pill', { hasText: 'Dateless by finger' });
      // Held at the edge the days go by, also when the finger rests.
      await saved(page, () => carry(page, pill, page.locator('#main')));
    }));

  test('On a phone and in a narrow window the timeline says the dates, and leads to where they are changed', async () => {
    for (const hand of [FINGER, NARROW_KEYS]) {
      const title = `Span ${hand.name}`;
      await as(hand, async (page) => {
        // In the first weeks of the timeline, and before those that "Later" leads to, whatever the date.
        const days = [-14, -12].map(dayAhead);
        await make(page, title, { start: days[0], due: days[1] });
        const address = `${given.place}/tasks?layout=timeline&q=${encodeURIComponent(title)}`;
        await page.goto(address);
        const line = page.locator('.gantt .names li', { hasText: title });
        const dates = () => line.locator('.meta').innerText();
        const before = await dates();
        assert.match(before, new RegExp(days.map((day) => `\\b${Number(day.slice(-2))}\\b`).join('.*')));
        const head = page.locator('.month-head');
        await hand.press(page, head.getByRole('link', { name: 'Later' }));
        await page.getByText('No tasks in these weeks').waitFor();
        await hand.press(page, head.getByRole('link', { name: 'Today' }));
        await hand.press(page, line.getByRole('link', { name: title }));
        await page.getByRole('heading', { level: 1, name: title }).waitFor();
        const kept = page.waitForResponse((one) => one.url().endsWith('/due'));
        await hand.pick(page, page.locator('[popovertarget="m-due"]'), page.locator('#m-due').getByRole('button', { name: 'No date' }));
        assert.equal((await kept).status(), 200);
        await page.goto(address);
        assert.notEqual(await dates(), before);
      });
    }
  });

  test('A recurring task is looked at, paused, spawned and renamed with everything that one has', async () => {
    for (const [nth, hand] of HANDS.entries()) {
      const [title, later] = [`Series ${nth} of the yard`, `Series ${nth} of the garden`];
      await as(hand, async (page) => {
        await make(page, title, { cadence_type: 'weekdays' });
        await page.goto(`${given.place}/tasks/recurring`);
        const button = (name) => page.getByRole('main').getByRole('button', { name, exact: true });
        await hand.press(page, page.getByRole('link', { name: title, exact: true }));
        await page.getByRole('heading', { level: 1, name: title }).waitFor();
        await hand.press(page, button('Pause'));
        await page.getByText('No tasks are created until it is resumed.').first().waitFor();
        await hand.press(page, button('Resume'));
        await page.getByText(/^Resumed\. Next: /).first().waitFor();
        await hand.type(page, page.getByLabel('Title', { exact: true }), later);
        if (hand.keys) await page.keyboard.press('Enter');
        else await hand.press(page, button('Save changes'));
        await page.getByRole('heading', { level: 1, name: later }).waitFor();
        await hand.press(page, button('Create now'));
        await page.getByRole('heading', { level: 1, name: later }).waitFor();
        await page.waitForURL(/\/tasks\/[A-Z]+-\d+$/);
        await page.goto(`${given.place}/tasks/recurring`);
        await page.locator('.row', { hasText: later }).getByText('1 task').waitFor({ state: 'attached' });
      });
    }
  });

  test('What waits in the inbox of agents is put first and called off with everything that one has', async () => {
    await as(HANDS[0], async (page) => {
      await send(page, '/agents', { name: 'Pia', emoji: '📥', template: 'default', thinking: 'low' });
      await send(page, '/agents/pia/pause', {});
      for (const nth of HANDS.keys()) {
        for (const which of ['early', 'late']) await make(page, `Item ${nth} ${which}`, { assignee: 'pia' });
      }
    });
    for (const [nth, hand] of HANDS.entries()) {
      await as(hand, async (page) => {
        await page.goto(`${given.place}/inbox`);
        const items = page.locator('.items > li');
        const item = (which) => items.filter({ hasText: `Item ${nth} ${which}` });
        const does = async (which, name) =>
          hand.pick(page, item(which).getByRole('button', { name: 'Item actions' }), item(which).getByRole('button', { name, exact: true }));
        await does('late', 'Move to the front');
        await page.getByText('It’s next in line.').waitFor();
        const first = await items.allInnerTexts();
        const at = (which) => first.findIndex((text) => text.includes(`Item ${nth} ${which}`));
        assert.ok(at('late') < at('early'), first.join('\n'));
        for (const which of ['late', 'early']) {
          await does(which, 'Cancel');
          await page.getByText('The item is cancelled.').waitFor();
          await item(which).waitFor({ state: 'detached' });
        }
      });
    }
  });

  test('Delivered work is decided from the review queue with the mouse, by finger, and by keys in a narrow window', async () => {
    for (const hand of HANDS) {
      const piece = `Piece ${hand.name}`;
      await as(hand, async (page) => {
        const task = await make(page, `Work ${hand.name}`);
        const multipart = { title: piece, kind: 'text', text: 'All of it.' };
        const headers = { origin: given.server.url };
        const sent = await page.request.post(`${new URL(task, given.server.url)}/deliver`, { multipart, headers, maxRedirects: 0 });
        assert.equal(sent.status(), 303, await sent.text());
        await page.goto(`${given.place}/review`);
        const head = page.getByRole('heading', { level: 1 });
        const next = page.locator('#desk').getByRole('link', { name: 'Next', exact: true });
        // Where there is no room for the queue, one piece leads to the next.
        for (let n = 0; n < 20 && (await head.innerText()) !== piece; n += 1) {
          if (hand.options.size.width < 768) await hand.press(page, next);
          else await hand.press(page, page.locator('#queue').getByRole('link', { name: piece, exact: true }));
          await page.waitForLoadState();
        }
        assert.equal(await head.innerText(), piece);
        if (hand.keys) {
          await page.keyboard.press('r');
          await page.keyboard.type('Well done.');
          await page.keyboard.press('Escape');
          await page.keyboard.press('a');
        } else {
          await page.getByLabel(/^Note to /).fill('Well done.');
          await hand.press(page, page.getByRole('button', { name: 'Approve' }));
        }
        await page.getByText(`Approved “${piece}”`).first().waitFor();
      });
    }
  });

  test('My work shows what is mine and lets go of what is done, with everything that one has', async () => {
    for (const [nth, hand] of HANDS.entries()) {
      await as(hand, async (page) => {
        const [mine, theirs] = [`Mine ${nth} to do`, `Theirs ${nth} to do`];
        await make(page, mine, { assignee: 'me' });
        await make(page, theirs);
        await page.goto(`${given.place}/tasks`);
        await hand.press(page, page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: /^My work/ }));
        await page.waitForURL(/view=mine/);
        const row = page.locator('.row', { hasText: mine });
        await row.waitFor();
        assert.equal(await page.locator('.row', { hasText: theirs }).count(), 0);
        if (hand.keys) {
          const here = page.locator('.row[data-cursor]');
          for (let n = 0; n < 60 && ((await here.count()) === 0 || !(await here.innerText()).includes(mine)); n += 1) await page.keyboard.press('j');
          await page.keyboard.press('e');
        } else await hand.press(page, row.locator('.state'));
        await row.waitFor({ state: 'detached' });
      });
    }
  });

  test('A notification is dismissed by a swipe on a phone and by a key in a narrow window, and comes back', async () => {
    const swipe = async (page, row) => {
      const cdp = await page.context().newCDPSession(page);
      const { x, y, width, height } = await row.boundingBox();
      const at = (share) => [{ x: x + width * share, y: y + height / 2 }];
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: at(0.2) });
      for (const share of [0.3, 0.45, 0.6, 0.75]) await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: at(share) });
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    };
    const byKey = async (page) => {
      await page.keyboard.press('j');
      await page.keyboard.press('e');
    };
    for (const [hand, dismiss] of [[FINGER, swipe], [NARROW_KEYS, byKey]]) {
      await as(hand, async (page) => {
        await page.goto(`${given.place}/notifications`);
        const row = page.locator('.news li').first();
        const said = await row.locator('h3 b').innerText();
        await dismiss(page, row);
        await page.getByText('Dismissed.').waitFor();
        // Chromium takes a tap right behind a swipe for its end.
        const undo = page.getByRole('button', { name: 'Undo' });
        await (hand.keys ? hand.press(page, undo) : undo.click());
        await page.locator('.news li', { hasText: said }).first().waitFor();
      });
    }
  });
}
