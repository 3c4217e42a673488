// Title and description written in place: by mouse and by keyboard alone, by two at once, with files, with
// a server that is away, after a reload and after a session that has ended; items of checklists.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { OWNER, write } from '../lib/story.mjs';

// "Not saved" is no such word.
const SAVED = { hasText: /^\s*Saved/ };
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Makes a task that nobody has, and ends on its page. */
async function newTask(page, place, title, description = '') {
  await page.goto(`${place}/tasks/new`);
  await page.getByLabel('Title', { exact: true }).fill(title);
  await write(page.locator('#new-task [name=description]'), description);
  await page.getByRole('button', { name: 'Create task', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
}

const title = (page) => page.getByLabel('Title', { exact: true });
const text = (page) => page.getByRole('textbox', { name: 'Description', exact: true });
const done = (page) => page.getByRole('button', { name: 'Done', exact: true });
const saved = (page) => page.locator('[data-says]').filter(SAVED).waitFor();
const drawn = (page) => page.locator('#task-text .md').first();
/** Where the server has the task of a page. */
const record = (page) => [
  `/api/v1/tasks/${page.url().split('/').at(-1).replace(/[?#].*/, '')}`,
  { headers: { 'x-hq-workspace': page.url().split('/')[4] } },
];
/** What the server has, whatever the page shows. */
const stored = async (page) => (await page.request.get(...record(page))).json();
/** Waits until the server has all these words: "Saved" may still be about the words before. */
const arrived = (page, words) =>
  page.waitForFunction(
    async ([path, how, all]) => {
      const { description } = await (await fetch(path, how)).json();
      return all.every((one) => description.includes(one));
    },
    [...record(page), words],
  );
/** Words that stand in the text, be it read or written just now. */
const shows = (page, words) =>
  page.waitForFunction(
    (sign) => (document.getElementById('f-description')?.value ?? document.getElementById('task-text').innerText).includes(sign),
    words,
  );
/** Begins to write, if nobody does yet. */
async function writing(page) {
  if (!(await text(page).isVisible())) await page.getByRole('link', { name: 'Edit task' }).click();
  await text(page).waitFor();
}
const drafts = (page) => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('hq-draft:')).length);
const quiet = (context, ...known) => context.faults().filter((fault) => !known.some((one) => fault.includes(one)));

export function tell(given) {
  test('title and description are written where they stand, by mouse, and are stored by themselves', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await newTask(page, place, 'Oil the chains', 'Every bike.\n\nAlso the **old** ones.');
    await page.getByRole('heading', { level: 1 }).click();
    await title(page).fill('Oil all chains');
    await saved(page);
    await page.getByRole('heading', { level: 1, name: 'Oil all chains' }).waitFor({ state: 'attached' });
    await assertAccessible(page, 'a task that is being written');
    await done(page).click();
    await drawn(page).waitFor();

    await drawn(page).getByText('Also the').click({ position: { x: 6, y: 12 } });
    await text(page).waitFor();
    const at = await text(page).evaluate((box) => box.value.slice(box.selectionStart));
    assert.ok(at.length > 0 && 'Also the **old** ones.'.includes(at), `the cursor stands where was pressed: ${at}`);
    await text(page).fill('Every bike.\n\n# Also\n\nThe **new** ones.');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('region', { name: 'Preview' }).getByRole('heading', { name: 'Also' }).waitFor();
    await text(page).pressSequentially(' And more.');
    await page.getByRole('region', { name: 'Preview' }).getByText('And more.').waitFor();
    await saved(page);
    assert.match((await stored(page)).description, /And more\.$/);
    await done(page).click();
    await drawn(page).getByText('And more.').waitFor();
    assert.equal(await drafts(page), 0, 'nothing is kept that is stored');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('the keyboard alone writes with the slash menu, goes on in lists and ticks items', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await newTask(page, place, 'Pack the van');
    const keys = page.keyboard;
    await keys.press('i');
    await title(page).waitFor();
    await keys.press('End');
    await keys.type(' today');
    await keys.press('Enter');
    await keys.type('/che');
    await page.getByRole('option', { name: 'Checklist' }).waitFor();
    await keys.press('Enter');
    await keys.type('Tent');
    await keys.press('Enter');
    await keys.type('Stove');
    await keys.press('Enter');
    await keys.press('Enter');
    await keys.type('/');
    const menu = page.getByRole('listbox', { name: 'Mentions' });
    await menu.getByRole('option').nth(11).waitFor();
    await keys.press('ArrowDown');
    await keys.press('Tab');
    await keys.type('Later');
    assert.equal(await text(page).inputValue(), '- [ ] Tent\n- [ ] Stove\n## Later');
    await keys.press('Escape');
    await drawn(page).waitFor();
    await page.getByRole('heading', { level: 1, name: 'Pack the van today' }).waitFor();

    await page.getByText('0 of 2 done').waitFor();
    const stove = page.getByRole('checkbox', { name: 'Stove' });
    await stove.focus();
    await keys.press('Space');
    await page.getByText('1 of 2 done').waitFor();
    assert.equal(await stove.getAttribute('aria-checked'), 'true');
    assert.equal(await stove.evaluate((box) => box === document.activeElement), true, 'the focus stays');
    await page.getByRole('checkbox', { name: 'Tent' }).click();
    await page.getByText('2 of 2 done').waitFor();
    assert.equal((await stored(page)).description, '- [x] Tent\n- [x] Stove\n## Later');
    await assertAccessible(page, 'a task with a checklist');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('two who write at once see each other, and whoever comes second in the same line chooses', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const [one, other] = [await context.newPage(), await context.newPage()];
    await newTask(one, place, 'Plan the tour', 'First day.\n\nSecond day.');
    await other.goto(one.url());
    for (const page of [one, other]) {
      await page.getByRole('link', { name: 'Edit task' }).click();
      await text(page).waitFor();
    }
    await text(one).fill('First day: north.\n\nSecond day.');
    await saved(one);
    await other.waitForFunction(() => document.getElementById('f-description').value.startsWith('First day: north.'));
    await text(other).fill('First day: north.\n\nSecond day: south.');
    await saved(other);
    await one.waitForFunction(() => document.getElementById('f-description').value.endsWith('south.'));

    // Both go on in the same line, unseen by each other.
    await context.setOffline(true);
    await text(one).fill('First day: west.\n\nSecond day: south.');
    await text(other).fill('First day: east.\n\nSecond day: south, late.');
    await one.getByText('Your text is saved in this browser.').waitFor();
    await other.getByText('Your text is saved in this browser.').waitFor();
    await context.setOffline(false);
    await Promise.any([one.locator('.clash').waitFor(), other.locator('.clash').waitFor()]);
    const second = (await one.locator('.clash').count()) ? one : other;
    const panel = second.locator('.clash');
    await panel.getByText('First day: west.').waitFor();
    await panel.getByText('First day: east.').waitFor();
    await panel.getByRole('button', { name: 'Keep both' }).click();
    await arrived(second, ['west', 'east', 'south, late']);
    await saved(second);
    await done(second).click();
    await drawn(second).waitFor();
    assert.deepEqual(quiet(context, 'ERR_INTERNET_DISCONNECTED', '409'), []);
    await context.close();
  });

  test('nothing typed is lost when the server is away, the tab is loaded anew or the session has ended', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await newTask(page, place, 'Write the letter', 'Dear all.');
    await page.getByRole('link', { name: 'Edit task' }).click();
    await text(page).waitFor();
    const away = (route) => (route.request().method() === 'PATCH' ? route.abort() : route.continue());
    await context.route('**/api/v1/tasks/*', away);
    await text(page).fill('Dear all.\n\nThe shop is closed.');
    await page.getByText('Your text is saved in this browser.').waitFor();
    assert.equal(await drafts(page), 1);
    await context.unroute('**/api/v1/tasks/*', away);
    await page.reload();
    await shows(page, 'The shop is closed.');
    await page.waitForFunction(() => !Object.keys(localStorage).some((key) => key.startsWith('hq-draft:')));
    assert.match((await stored(page)).description, /closed\.$/);

    // A tab that is closed in mid-save.
    await writing(page);
    await text(page).press('ControlOrMeta+End');
    await text(page).pressSequentially(' For good.');
    const [url, closed] = [page.url(), page.waitForEvent('close')];
    await page.close({ runBeforeUnload: true });
    await closed;
    const again = await context.newPage();
    await again.goto(url);
    await shows(again, 'For good.');

    // Somebody signs this browser out.
    await writing(again);
    await context.clearCookies();
    await text(again).press('ControlOrMeta+End');
    await text(again).pressSequentially(' Yours.');
    await again.getByRole('link', { name: 'Sign in' }).click();
    await again.getByLabel('Email').fill(OWNER.email);
    await again.getByLabel('Password', { exact: true }).fill(OWNER.password);
    await again.getByRole('button', { name: 'Sign in', exact: true }).click();
    await again.waitForFunction(() => document.getElementById('f-description')?.value.includes('Yours.'));
    await saved(again);
    assert.match((await stored(again)).description, /Yours\.$/);

    // A comment that was not sent.
    await done(again).click();
    await again.getByLabel('Comment', { exact: true }).fill('Half a thought');
    await again.reload();
    await again.waitForFunction(() => document.getElementById('say-body').value === 'Half a thought');
    await again.getByRole('button', { name: 'Comment', exact: true }).click();
    await again.getByRole('main').getByText('Half a thought', { exact: true }).first().waitFor();
    await again.reload();
    assert.equal(await again.getByLabel('Comment', { exact: true }).inputValue(), '');
    assert.deepEqual(quiet(context, 'net::ERR_', '401'), []);
    await context.close();
  });

  test('files are dropped and pasted into the words, and pictures are shown there', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await newTask(page, place, 'Show the shed', 'It looks so:');
    await page.getByRole('link', { name: 'Edit task' }).click();
    await text(page).press('End');
    for (const [how, name] of [['drop', 'shed [new].png'], ['paste', 'plan.txt']]) {
      await text(page).evaluate((box, given) => {
        const bytes = Uint8Array.from(atob(given.png), (letter) => letter.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], given.name));
        const event = given.how === 'drop'
          ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
          : new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
        box.setSelectionRange(box.value.length, box.value.length);
        box.dispatchEvent(event);
      }, { how, name, png: how === 'drop' ? PNG : btoa('five bikes') });
      await page.waitForFunction((sign) => document.getElementById('f-description').value.includes(sign), how === 'drop' ? '![' : '[plan.txt](');
    }
    await saved(page);
    await done(page).click();
    const picture = drawn(page).getByRole('img', { name: 'shed [new].png' });
    await picture.waitFor();
    assert.equal(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth)), 1);
    await drawn(page).getByRole('link', { name: 'plan.txt' }).click();
    await page.getByRole('heading', { level: 1, name: 'plan.txt' }).waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('on a phone the words are written in place and nothing is wider than the screen', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    await newTask(page, place, 'Water the plants', '- [ ] Roses\n- [ ] Herbs');
    await page.getByRole('checkbox', { name: 'Herbs' }).tap();
    await page.getByText('1 of 2 done').waitFor();
    await page.getByText('Roses', { exact: true }).tap();
    await text(page).waitFor();
    await text(page).fill('- [ ] Roses\n- [x] Herbs\n- [ ] Ferns');
    await saved(page);
    assert.equal(await tooWide(page), '');
    await assertAccessible(page, 'a task that is being written on a phone');
    await done(page).tap();
    await page.getByText('1 of 3 done').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
