// What pages do before HQ has answered, without HQ, and when somebody comes back to them: changes are shown at
// once and taken back when they are refused, nothing flickers, nothing is lost, and a finger is as good as a key.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts } from '../lib/browser.mjs';

/** What a browser notes of answers that refuse, and of requests that could not be sent. */
const EXPECTED = ['422', 'net::ERR_', 'Failed to fetch'];
const faultsOf = (context) => context.faults().filter((fault) => !EXPECTED.some((words) => fault.includes(words)));

export function tell(given) {
  const make = async (page, title, form = {}) => {
    const { server, place } = given;
    const headers = { origin: server.url };
    const made = await page.request.post(`${server.url}${place}/tasks`, { form: { title, ...form }, headers, maxRedirects: 0 });
    assert.equal(made.status(), 303, await made.text());
  };
  const rowOf = (page, title) => page.locator('.row', { hasText: title });
  const refused = (page) => page.locator('.toast[data-tone="danger"]');

  /** Holds what is sent to an address until it is let go; what is sent can be changed. */
  const hold = async (page, address) => {
    let letGo;
    const held = new Promise((resolve) => (letGo = resolve));
    await page.route(address, async (route) => {
      await held;
      await route.continue();
    });
    return letGo;
  };
  const spoil = (page, address, postData) => page.route(address, (route) => route.continue({ postData }));

  test('A status is shown at once, stays as it is when HQ agrees, and goes back when HQ refuses', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Swift answer');
    await make(page, 'Swift refusal');
    await page.goto(`${place}/tasks?q=swift`);
    const row = rowOf(page, 'Swift answer');
    await row.evaluate((one) => {
      const { id } = one;
      window.seen = [];
      const look = () => {
        const state = document.getElementById(id)?.dataset.state ?? 'gone';
        if (window.seen.at(-1) !== state) window.seen.push(state);
      };
      look();
      new MutationObserver(look).observe(document.getElementById('main'), { subtree: true, childList: true, attributes: true });
    });
    const letGo = await hold(page, '**/status');
    const answered = page.waitForResponse((answer) => answer.url().endsWith('/status'));
    await row.locator('.state').click();
    await page.locator('.row[data-state="done"]', { hasText: 'Swift answer' }).waitFor();
    // What another does meanwhile is drawn when the answer is there, not over the guess.
    await make(page, 'Swift newcomer');
    letGo();
    assert.equal((await answered).status(), 200);
    await rowOf(page, 'Swift newcomer').waitFor();
    assert.deepEqual(await page.evaluate(() => window.seen), ['todo', 'done']);

    await page.unroute('**/status');
    await spoil(page, '**/status', 'status=nonsense');
    await rowOf(page, 'Swift refusal').locator('.state').click();
    await refused(page).getByText('nonsense').waitFor();
    await page.locator('.row[data-state="todo"]', { hasText: 'Swift refusal' }).waitFor();
    assert.equal(await rowOf(page, 'Swift refusal').locator('.state use').getAttribute('href').then((href) => href.split('#')[1]), 'i-todo');
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Keys alone choose rows and change them; all of them show it before HQ has answered', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Keyed alpha');
    await make(page, 'Keyed beta');
    await page.goto(`${place}/tasks?q=keyed`);
    const letGo = await hold(page, '**/tasks/bulk');
    for (const key of ['j', 'x', 'j', 'x', 'd']) await page.keyboard.press(key);
    await page.locator('#bulk-due').waitFor();
    await page.keyboard.press('Enter');
    for (const title of ['Keyed alpha', 'Keyed beta']) await rowOf(page, title).locator('.due', { hasText: 'Today' }).waitFor();
    letGo();
    await page.getByText('Changed 2 tasks').waitFor();
    assert.deepEqual(await page.locator('.rows .due:visible').allInnerTexts(), ['Today', 'Today']);
    await page.locator('#bulk').waitFor({ state: 'hidden' });

    await page.unroute('**/tasks/bulk');
    await page.keyboard.press('a');
    await page.locator('#bulk-assignee').waitFor();
    await page.locator('#bulk-assignee').getByRole('button', { name: /\(you\)/ }).press('Enter');
    await page.getByText('Changed 1 task', { exact: true }).waitFor();
    await page.keyboard.press('e');
    await page.locator('.row[data-state="done"]', { hasText: /Keyed/ }).waitFor();
    assert.equal(await page.locator('.row[data-cursor]').count(), 1, 'the place in the list is kept');

    await page.keyboard.press('k');
    await page.keyboard.press('p');
    await page.locator('#bulk-priority').waitFor();
    await spoil(page, '**/tasks/bulk', 'tasks=MC-1&priority=nonsense');
    await page.locator('#bulk-priority').getByText('Urgent').click();
    await refused(page).getByText('nonsense').waitFor();
    assert.equal(await page.locator('.rows [data-prio="urgent"]').count(), 0);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('What is typed into an open menu stays in it: words make a label, letters find a line', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Typed gamma');
    await make(page, 'Typed delta');
    await page.goto(`${place}/tasks?q=typed`);
    await page.keyboard.press('j');
    await page.keyboard.press('l');
    await page.keyboard.type('new tyre dept');
    assert.equal(await page.getByLabel('Find or create a label').inputValue(), 'new tyre dept');
    assert.equal(await page.locator('#bulk-label button[value]:visible').count(), 0, 'no other label has these letters');
    await page.keyboard.press('Enter');
    await page.getByText('Changed 1 task', { exact: true }).waitFor();
    await page.locator('.row [data-shows="label"]', { hasText: 'new tyre dept' }).waitFor();
    assert.deepEqual(await page.locator('.rows .row').evaluateAll((all) => all.map((one) => one.dataset.state)), ['todo', 'todo']);

    await page.keyboard.press('s');
    await page.keyboard.type('blo');
    await page.keyboard.press('Enter');
    await page.locator('.row[data-state="blocked"]').waitFor();
    // A row that changes its group leaves both open.
    await page.locator('details[data-of="blocked"] .row').waitFor();
    await page.locator('details[data-of="todo"] .row').waitFor();

    // The same on the page of a task, where the menu begins with what it is now.
    await rowOf(page, 'Typed').filter({ hasNotText: 'new tyre dept' }).getByRole('link', { name: /^Typed/ }).click();
    await page.getByRole('heading', { level: 1, name: /^Typed/ }).waitFor();
    await page.keyboard.press('p');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Medium/);
    await page.keyboard.type('u');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Urgent' }).waitFor();
    await page.keyboard.press('l');
    await page.keyboard.type('týrë');
    assert.equal(await page.locator('#m-labels button[value]:visible').count(), 1, 'only the label with these letters is left, whatever their accents');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'new tyre dept' }).waitFor();
    await page.keyboard.press('d');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Today');
    await page.keyboard.type('2');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'due-day');
    await page.keyboard.press('Escape');
    await page.locator('#m-due').waitFor({ state: 'hidden' });
    // A part by its title alone, one after the other.
    await page.getByLabel('Add a subtask').fill('Order the rubber');
    await page.keyboard.press('Enter');
    await page.locator('#task-parts').getByRole('link', { name: 'Order the rubber' }).waitFor();
    await page.keyboard.type('Cut it');
    await page.keyboard.press('Enter');
    await page.locator('#task-parts').getByRole('link', { name: 'Cut it' }).waitFor();
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Whoever finishes one task after the other by keys stays in the list, and takes the last step back by Ctrl Z', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    for (const nth of ['one', 'two', 'three', 'four', 'five']) await make(page, `Rowing ${nth}`);
    await page.goto(`${place}/tasks?q=is:open+rowing&sort=created`);
    const titles = () => page.locator('.row .title').allInnerTexts();
    const before = await titles();
    const here = page.locator('.row[data-cursor] .title');
    const isAt = async (title) => {
      await here.getByText(title, { exact: true }).waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.innerText), title, 'what has the focus opens it');
    };
    await page.keyboard.press('j');
    await page.keyboard.press('ArrowDown');
    await isAt(before[1]);
    for (const nth of [1, 2, 3]) {
      await page.keyboard.press('e');
      await rowOf(page, before[nth]).waitFor({ state: 'detached' });
      await isAt(before[nth + 1]);
    }
    await page.keyboard.press('k');
    await isAt(before[0]);
    await page.keyboard.press('ArrowDown');
    // The last one goes: the cursor stands on the one before.
    await page.keyboard.press('e');
    await rowOf(page, before[4]).waitFor({ state: 'detached' });
    await isAt(before[0]);
    assert.ok((await page.locator('.toast:has(form)').count()) <= 3, 'they do not pile up');
    await page.keyboard.press('Control+z');
    await rowOf(page, before[4]).waitFor();
    await page.getByText(/^Undone: /).waitFor();
    assert.deepEqual(await titles(), [before[0], before[4]]);
    await page.keyboard.press(' ');
    await page.locator('#bulk').waitFor();
    // Who wants no single keys has none, also in the next page.
    await page.keyboard.press('?');
    await page.getByRole('switch', { name: 'Single-key shortcuts' }).uncheck();
    await page.goto(`${place}/tasks?q=is:open+rowing&sort=created`);
    for (const key of ['j', 'e', '?']) await page.keyboard.press(key);
    assert.equal(await page.locator('.row[data-cursor], dialog[open]').count(), 0);
    assert.deepEqual(await titles(), [before[0], before[4]]);
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Search everything' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('All that match are chosen in the bar, also those that were not scrolled in, and change as one', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    for (let n = 1; n <= 55; n += 1) await make(page, `Matching ${n}`);
    await page.goto(`${place}/tasks?q=matching`);
    const more = page.locator('#bulk [data-choose-all]');
    const chosen = page.locator('#bulk > b');
    for (const key of ['j', 'x']) await page.keyboard.press(key);
    await page.getByRole('button', { name: 'Select all 50 shown' }).press('Enter');
    assert.equal(await chosen.innerText(), '50 selected');
    await assertAccessible(page, 'a list of which every row is selected');
    await page.getByRole('button', { name: 'Select all 55 that match' }).press('Enter');
    assert.equal(await chosen.innerText(), '55 selected');
    assert.ok(await more.isHidden(), 'there are no more');
    assert.equal(await page.locator('#bulk button:focus').count(), 1, 'the focus stays in the bar');
    // What is scrolled in belongs to it; one that is left out makes it a choice of rows again.
    await page.locator('.rows .row').nth(49).scrollIntoViewIfNeeded();
    await page.locator('.rows .row').nth(54).waitFor();
    assert.equal(await page.locator('.rows .row[data-chosen]').count(), 55);
    await page.locator('.rows .tick').nth(54).uncheck();
    assert.equal(await chosen.innerText(), '54 selected');
    await page.goto(`${place}/tasks?q=matching`);
    for (const key of ['j', 'x']) await page.keyboard.press(key);
    await more.press('Enter');
    await more.press('Enter');
    await page.keyboard.press('Control+k');
    await page.locator('#palette-many', { hasText: '55 tasks' }).waitFor();
    await page.keyboard.press('Escape');

    // A refusal takes back what is shown and leaves the choice; the change itself goes by the query.
    await page.route('**/tasks/bulk', (route) => route.continue({ postData: `${route.request().postData()}x` }), { times: 1 });
    await page.keyboard.press('p');
    await page.locator('#bulk-priority').getByText('Urgent').click();
    await refused(page).first().waitFor();
    assert.equal(await page.locator('.rows [data-prio="urgent"]').count(), 0);
    assert.equal(await chosen.innerText(), '55 selected');
    await page.keyboard.press('p');
    await page.locator('#bulk-priority').getByText('Urgent').click();
    await page.getByText('Changed 55 tasks').waitFor();
    await page.locator('#bulk').waitFor({ state: 'hidden' });
    await page.goto(`${place}/tasks?q=matching+priority:urgent`);
    assert.equal(await page.locator('.group .count').first().innerText(), '55');
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Properties of a task show a choice before HQ has answered, and what they were when HQ refuses', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Guessed properties');
    await page.goto(`${place}/tasks?q=guessed`);
    await rowOf(page, 'Guessed properties').getByRole('link').click();
    const rail = page.locator('#task-props');
    const shown = (field) => rail.locator(`.prop[data-shows="${field}"]`);
    const pick = async (menu, name) => {
      await page.locator(`[popovertarget="${menu}"]`).click();
      await page.locator(`#${menu}`).getByRole('button', { name }).press('Enter');
    };
    const sign = (field) => shown(field).locator('use').getAttribute('href').then((href) => href.split('#')[1]);
    await shown('priority').getByText('Medium').waitFor();

    const letGo = await hold(page, /\/tasks\/[A-Z]+-\d+\/\w+$/);
    const answers = [];
    page.on('response', (answer) => answer.request().method() === 'POST' && answers.push(answer.status()));
    await pick('m-priority', 'Urgent');
    await pick('m-status', 'In progress');
    await pick('m-assign', /\(you\)/);
    await pick('m-due', 'Tomorrow');
    await page.locator('[popovertarget="m-start"]').click();
    await page.locator('#m-start').getByRole('button', { name: 'Today' }).press('Enter');
    const says = async () => Promise.all(['priority', 'status', 'assignee', 'due', 'start'].map((field) => shown(field).locator('> span').last().innerText()));
    const wanted = ['Urgent', 'In progress', 'Mira Lindqvist', 'Tomorrow', 'Today'];
    assert.deepEqual(await says(), wanted);
    assert.deepEqual([await sign('priority'), await sign('status')], ['i-urgent', 'i-in_progress']);
    assert.equal(await shown('due').getAttribute('data-empty'), null);
    assert.deepEqual(answers, [], 'nothing was answered yet');
    await assertAccessible(page, 'properties that HQ has not confirmed');
    letGo();
    await page.waitForFunction(() => document.querySelector('#task-time')?.textContent.includes('set the due date'));
    assert.deepEqual(await says(), wanted, 'HQ says the same');
    assert.ok(answers.length === 5 && answers.every((status) => status === 200), `${answers}`);
    await page.reload();
    assert.deepEqual(await says(), wanted);

    await page.unroute(/\/tasks\/[A-Z]+-\d+\/\w+$/);
    for (const [field, menu, name, address] of [
      ['priority', 'm-priority', 'Low', '**/priority'],
      ['due', 'm-due', 'No date', '**/due'],
      ['assignee', 'm-assign', 'Unassigned', '**/assign'],
    ]) {
      const was = await shown(field).innerHTML();
      await page.route(address, (route) => route.continue({ postData: 'priority=odd&due=odd&assignee=odd' }));
      const answered = page.waitForResponse(address);
      await pick(menu, name);
      assert.equal((await answered).status(), 422);
      await refused(page).getByText('odd').first().waitFor();
      assert.equal(await shown(field).innerHTML(), was, `${field} is what it was`);
      await refused(page).getByRole('button').first().click();
      await page.unroute(address);
    }
    assert.deepEqual(await says(), wanted);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('The palette offers what rows that are ticked can get before everything else, by keys alone', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Pallet alpha');
    await make(page, 'Pallet beta');
    await page.goto(`${place}/tasks?q=pallet`);
    for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
    await page.locator('#bulk').waitFor();

    await page.keyboard.press('Control+k');
    const lines = page.locator('#palette-list [role="option"]');
    await page.locator('#palette-many', { hasText: '2 tasks' }).waitFor();
    assert.equal(await lines.first().innerText(), 'Set status…');
    await page.keyboard.press('Enter');
    const field = page.getByRole('combobox', { name: 'Search everything' });
    assert.equal(await field.inputValue(), '> Set status: ');
    await page.getByRole('option', { name: 'Set status: In progress' }).waitFor();
    await page.keyboard.type('blo');
    await page.locator('#palette-list [data-active]', { hasText: 'Set status: Blocked' }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('Changed 2 tasks').waitFor();
    assert.equal(await page.locator('.row[data-state="blocked"]', { hasText: 'Pallet' }).count(), 2);
    await page.locator('#bulk').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.getByText(/^Undone: /).waitFor();
    await page.locator('.row[data-state="todo"]', { hasText: 'Pallet beta' }).waitFor();

    await page.keyboard.press('Control+k');
    await lines.first().waitFor();
    assert.equal(await page.locator('#palette-many').count(), 0, 'nothing is ticked any more');
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('A card that may not go there comes back', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Homing card');
    await page.goto(`${place}/tasks?layout=board&q=homing`);
    await spoil(page, '**/move', 'status=nonsense');
    const grip = page.locator('.tile', { hasText: 'Homing card' }).locator('[data-grip]');
    await grip.focus();
    for (const key of [' ', 'ArrowRight', ' ']) await page.keyboard.press(key);
    await refused(page).getByText('nonsense').waitFor();
    await page.getByRole('region', { name: 'To do', exact: true }).getByText('Homing card').waitFor();
    assert.match(await page.locator('#drag-says').innerText(), /back where it was/);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Keys work on a board and on a task: one goes on from where one was', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    for (const title of ['Keyed one', 'Keyed two']) await make(page, title);
    await page.goto(`${place}/tasks?layout=board&q=is:open+keyed`);
    const tile = (title) => page.locator('.tile', { hasText: title });
    await page.keyboard.press('j');
    const first = await page.locator('.tile[data-cursor] .title').innerText();
    await page.keyboard.press('j');
    const second = await page.locator('.tile[data-cursor] .title').innerText();
    assert.notEqual(first, second);
    // A menu that is left without a choice leaves nothing selected.
    await page.keyboard.press('s');
    await page.locator('#bulk-status').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#bulk').waitFor({ state: 'hidden' });
    assert.equal(await page.locator('.tile[data-chosen]').count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), second);
    await page.keyboard.press('s');
    await page.locator('#bulk-status').getByRole('button', { name: 'In progress' }).click();
    await page.locator('.tile[data-state="in_progress"]', { hasText: second }).waitFor();
    await page.waitForFunction((title) => document.activeElement?.textContent.trim() === title, second);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: second }).waitFor();
    await page.keyboard.press('m');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'say-body');
    await page.keyboard.press('Escape');
    await page.keyboard.press('p');
    await page.locator('#m-priority').getByRole('button', { name: 'High' }).click();
    await page.locator('[data-shows="priority"]', { hasText: 'High' }).waitFor();
    await page.waitForFunction(() => document.activeElement?.dataset.shows === 'priority');
    await page.keyboard.press('i');
    await page.getByLabel('Title', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.goto(await page.url().split('?')[0]);
    await page.keyboard.press('e');
    await page.locator('#task-props [data-shows="status"]', { hasText: 'Done' }).waitFor();
    await page.getByRole('button', { name: 'Mark as done' }).waitFor({ state: 'detached' });
    // The button that the key pressed is gone, and Enter presses no other.
    assert.notEqual(await page.evaluate(() => document.activeElement.tagName), 'BUTTON');
    await page.keyboard.press('Enter');
    await page.reload();
    assert.equal(await page.getByText('This task is archived').count(), 0);
    assert.equal(await tile(first).count(), 0);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Without a connection the palette says so, and still has what the page offers', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    await page.keyboard.press('Control+k');
    await page.getByRole('option').first().waitFor();
    await context.setOffline(true);
    await page.getByRole('combobox', { name: 'Search everything' }).fill('new');
    await page.locator('#palette-list').getByText('HQ isn’t responding').waitFor();
    await page.getByRole('option', { name: /New task/ }).first().waitFor();
    await context.setOffline(false);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Without a connection a page says so, keeps what is changed and typed, and catches up by itself', async () => {
    const { browser, server, signedIn, place } = given;
    const [context, elsewhere] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await context.newPage(), await elsewhere.newPage()];
    await make(other, 'Offline errand');
    await page.goto(`${place}/tasks?q=offline`);
    await page.evaluate(() => (window.sameDocument = true));
    await context.setOffline(true);
    await page.getByText('You’re offline').waitFor();
    await assertAccessible(page, 'a list without a connection');
    await rowOf(page, 'Offline errand').locator('.state').click();
    await page.locator('.row[data-state="done"]', { hasText: 'Offline errand' }).waitFor();
    await page.getByText('Your change will be sent when you reconnect').waitFor();
    await rowOf(page, 'Offline errand').getByRole('link').click();
    await page.getByText('This page stays open until you reconnect').waitFor();
    await page.locator('#quick').fill('Offline words');
    await page.keyboard.press('Enter');
    await page.locator('#offline-waits', { hasText: '2 changes will be sent when you reconnect.' }).waitFor();
    assert.equal(await page.locator('#quick').inputValue(), '', 'the next one can be written');
    await page.locator('#quick').fill('Offline line');
    await page.keyboard.press('Enter');
    await page.locator('#offline-waits', { hasText: '3 changes will be sent when you reconnect.' }).waitFor();
    assert.equal(await refused(page).count(), 0, 'nothing says that it was not taken');

    await make(other, 'Offline surprise');
    await context.setOffline(false);
    await page.locator('#offline').waitFor({ state: 'hidden' });
    await rowOf(page, 'Offline surprise').waitFor();
    await page.locator('.row[data-state="done"]', { hasText: 'Offline errand' }).waitFor();
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was never loaded again');
    for (const title of ['Offline words', 'Offline line']) await rowOf(page, title).waitFor();
    await other.goto(`${place}/tasks?q=offline`);
    for (const title of ['Offline words', 'Offline line']) assert.equal(await rowOf(other, title).count(), 1, 'it was sent once');
    await other.locator('.row[data-state="done"]', { hasText: 'Offline errand' }).waitFor();

    await make(other, 'Offline talk');
    await page.goto(`${place}/tasks?q=offline+talk`);
    await rowOf(page, 'Offline talk').getByRole('link').click();
    await page.getByRole('heading', { level: 1, name: 'Offline talk' }).waitFor();
    // Its script listens by then.
    await page.waitForLoadState();
    await context.setOffline(true);
    await page.getByText('You’re offline').waitFor();
    await page.getByLabel('Comment', { exact: true }).fill('Written in a tunnel');
    await page.getByRole('button', { name: 'Comment', exact: true }).click();
    await page.getByText('It will be sent when you reconnect').waitFor();
    await context.setOffline(false);
    await page.locator('.comment', { hasText: 'Written in a tunnel' }).waitFor();
    await page.reload();
    assert.equal(await page.locator('.comment', { hasText: 'Written in a tunnel' }).count(), 1, 'it was sent once');
    assert.deepEqual([...faultsOf(context), ...faultsOf(elsewhere)], []);
    await context.close();
    await elsewhere.close();
  });

  test('Rows that were scrolled in stay when the list renews itself, and Back leads to where one was', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    for (let n = 1; n <= 130; n += 1) await make(page, `Scrolled ${n}`);
    await page.goto(`${place}/tasks?q=scrolled`);
    const rows = page.locator('.rows .row');
    assert.equal(await rows.count(), 50);
    await rows.nth(49).scrollIntoViewIfNeeded();
    await rows.nth(99).waitFor();
    await make(page, 'Scrolled newcomer', { priority: 'urgent' });
    await page.locator('.rows .row', { hasText: 'Scrolled newcomer' }).waitFor({ state: 'attached' });

    const row = rows.nth(72);
    await row.scrollIntoViewIfNeeded();
    const [count, id, { y }] = [await rows.count(), await row.getAttribute('id'), await row.boundingBox()];
    assert.ok((await page.locator('#main').evaluate((one) => one.scrollTop)) > 500, 'it is far down');
    await row.getByRole('link').first().click();
    await page.waitForURL(/\/tasks\/[A-Z]+-\d+$/);
    await page.goBack();
    await page.locator(`#${id}[data-cursor] a:focus`).waitFor();
    const back = await page.locator(`#${id}`).boundingBox();
    assert.ok(Math.abs(back.y - y) < 3, `${back.y} is not where it was, ${y}`);
    assert.equal(await rows.count(), count, 'no more and no fewer are there');
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('On a phone a finger finishes a task or opens its menu, and so does a button', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    await make(page, 'Swiped away');
    await make(page, 'Swiped later');
    const list = `${place}/tasks?q=swiped`;
    const later = rowOf(page, 'Swiped later');
    const menu = page.locator('#row-menu');
    // What has been answered has its place when the list is opened anew, and the rows below it with it.
    const answered = async (deed) => {
      const answer = page.waitForResponse((one) => one.request().method() === 'POST');
      await deed();
      assert.ok((await answer).ok());
      await page.goto(list);
    };

    // Before the first swipe: Chromium takes a tap right behind one for its end.
    await page.goto(list);
    await later.getByRole('button', { name: /^More about/ }).tap();
    await answered(() => menu.getByRole('button', { name: 'Blocked' }).tap());
    await page.locator('.row[data-state="blocked"]', { hasText: 'Swiped later' }).waitFor();

    const finger = await context.newCDPSession(page);
    const touch = (type, ...touchPoints) => finger.send('Input.dispatchTouchEvent', { type, touchPoints });
    const pull = async (row, by) => {
      const box = await row.boundingBox();
      const [x, y] = [box.x + box.width / 2 - by / 2, box.y + box.height / 2];
      await touch('touchStart', { x, y });
      for (let step = 1; step <= 8; step += 1) await touch('touchMove', { x: x + (by * step) / 8, y });
    };
    const moved = (row) => row.evaluate((one) => getComputedStyle(one).translate);

    const away = rowOf(page, 'Swiped away');
    await pull(away, 200);
    assert.equal(await away.getAttribute('data-says'), 'Done');
    assert.equal(await moved(away), 'none', 'nothing moves for those who want less motion');
    await answered(() => touch('touchEnd'));
    await page.locator('.row[data-state="done"]', { hasText: 'Swiped away' }).waitFor();

    await page.emulateMedia({ reducedMotion: 'no-preference' });
    await pull(later, -200);
    assert.notEqual(await moved(later), 'none');
    await touch('touchEnd');
    await menu.waitFor();
    await assertAccessible(page, 'the menu of a row');
    await answered(async () => {
      await menu.getByRole('button', { name: 'Tomorrow' }).click();
      await menu.waitFor({ state: 'hidden' });
    });
    await later.locator('.due', { hasText: 'Tomorrow' }).waitFor();
    // A finger that goes down scrolls and changes nothing.
    const box = await later.boundingBox();
    await touch('touchStart', { x: 150, y: box.y + 20 });
    for (const y of [60, 100, 140]) await touch('touchMove', { x: 150, y: box.y + y });
    await touch('touchEnd');
    assert.equal(await later.getAttribute('data-swiped'), null);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('A link under the pointer is fetched ahead, and an agent is paused from the palette', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    const link = page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /^Agents/ });
    await link.hover();
    await page.locator('.side a[data-ahead]').waitFor();
    await link.click();
    await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor({ state: 'attached' });
    for (const [verb, says] of [['pause', 'Ada is paused'], ['resume', 'Ada is resumed']]) {
      await page.keyboard.press('Control+k');
      await page.keyboard.type(`>${verb} ada`);
      await page.getByRole('option', { name: new RegExp(`^${verb} ada`, 'i') }).waitFor();
      await page.keyboard.press('Enter');
      await page.getByText(says).first().waitFor();
    }
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });
}
