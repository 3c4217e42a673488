// HQ on a phone: the pages that were opened last can be read without a connection, and nobody else reads them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { asOwner, invite, join, OWNER, signIn, until, write } from '../lib/story.mjs';

const INES = { name: 'Ines Duarte', email: 'ines@marlow.example', password: 'nine umbrellas under a plane tree' };
const SAVED = /^Offline – saved copy from \d\d:\d\d\.$/;

/** Paths of the pages that the worker has stored. */
const stored = (page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith('hq-pages-'));
    const pages = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return pages.flat().map(({ url }) => new URL(url).pathname);
  });

async function visit(page, path) {
  await page.goto(path);
  await until(`the copy of ${path}`, async () => (await stored(page)).includes(path));
}

/** Signs in on a phone that stores pages from then on. */
async function onPhone({ browser, server, place }, who = OWNER) {
  const context = await newContext(browser, server, { size: PHONE });
  const page = await context.newPage();
  await signIn(page, who);
  await page.waitForURL(`${place}/`);
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  return { context, page };
}

const faultsOf = (context) => context.faults().filter((fault) => !/ERR_INTERNET_DISCONNECTED|ERR_FAILED/.test(fault));

export function tell(given) {
  test('Pages that were opened last on a phone can be read without a connection', async () => {
    const { place, task } = given;
    const { context, page } = await onPhone(given);
    await visit(page, `${place}/tasks`);
    await visit(page, task);
    const title = await page.getByRole('heading', { level: 1 }).innerText();
    // What has a secret or a form is not stored.
    await page.goto(`${place}/settings/profile`);
    assert.ok(!(await stored(page)).some((path) => path.includes('settings')));

    await context.setOffline(true);
    await page.goto(task);
    await page.getByText(SAVED).waitFor();
    assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), title);
    await assertAccessible(page, 'a saved copy');
    await page.getByRole('link', { name: 'Tasks' }).last().click();
    await page.waitForURL(`${place}/tasks`);
    await page.getByText(SAVED).waitFor();
    // A page that was never opened: nothing is left but to say so, and what there is to read.
    await page.goto(`${place}/streams`);
    await page.getByRole('heading', { level: 1, name: 'You’re offline' }).waitFor();
    await assertAccessible(page, 'a page that is not saved');
    await page.getByRole('link', { name: title }).click();
    await page.getByText(SAVED).waitFor();

    // With the connection the copy gives way to the page.
    await context.setOffline(false);
    await page.getByText(SAVED).waitFor({ state: 'hidden' });
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('A change in a saved copy is sent when the connection is back', async () => {
    const { place, task } = given;
    const { context, page } = await onPhone(given);
    await visit(page, task);
    await context.setOffline(true);
    await page.reload();
    await page.getByText(SAVED).waitFor();
    const said = 'Read on the train';
    await write(page.getByLabel('Comment', { exact: true }), said);
    await page.getByRole('button', { name: 'Comment', exact: true }).click();
    await page.getByText('It will be sent when you reconnect').waitFor();
    await context.setOffline(false);
    await page.locator('.comment', { hasText: said }).waitFor();
    assert.equal(await page.locator('.comment', { hasText: said }).count(), 1);
    await page.goto(`${place}/`);
    assert.deepEqual(faultsOf(context), []);
    await context.close();
  });

  test('Nothing can be read on a phone after signing out', async () => {
    const { place, task } = given;
    const { context, page } = await onPhone(given);
    await visit(page, task);
    await page.getByRole('button', { name: /’s account$/ }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/\/login/);
    await until('the end of the copies', async () => (await stored(page)).length === 0);
    await context.setOffline(true);
    // Without the worker the browser says so itself.
    const came = await page.goto(task).catch(() => undefined);
    if (came) await page.getByRole('heading', { level: 1, name: 'You’re offline' }).waitFor();
    assert.equal(await page.getByText(SAVED).count(), 0);
    await context.setOffline(false);

    // Copies of a sign-in that has ended elsewhere go when the next one is seen.
    await signIn(page);
    await page.waitForURL(`${place}/`);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    await visit(page, task);
    await context.clearCookies();
    await page.goto('/login');
    await until('the end of the copies', async () => (await stored(page)).length === 0);
    await context.close();
  });

  test('A saved copy marks nothing as read, and a workspace that was left cannot be read', async () => {
    const { browser, server, signedIn, place, task } = given;
    const owner = await newContext(browser, server, { storageState: signedIn });
    const desk = await owner.newPage();
    const link = await invite(desk, place, 'Member');
    const joined = await newContext(browser, server);
    await join(await joined.newPage(), link, INES);
    await joined.close();
    const { headers } = asOwner(desk, given);
    const api = `${server.url}/api/v1`;
    const { items } = await (await desk.request.get(`${api}/members`, { headers })).json();
    const ines = items.find(({ name }) => name === INES.name);
    const data = { body: `@${ines.handle} please read this on the train` };
    const said = await desk.request.post(`${api}/tasks/${task.split('/').at(-1)}/comments`, { data, headers });
    assert.equal(said.status(), 201, await said.text());

    const { context, page } = await onPhone(given, INES);
    let opened = 0;
    page.on('request', (request) => (opened += Number(request.url().endsWith('/notifications/opened'))));
    // A page below that of the task does not show the mention.
    await page.goto(`${task}/deliver`);
    await until('the word that it was opened', async () => opened === 1);
    // The page that is stored is the one on which the mention was unread.
    await visit(page, task);
    await until('the word that it was opened', async () => opened === 2);
    await visit(page, `${place}/tasks`);
    await context.setOffline(true);
    opened = 0;
    await page.goto(task);
    await page.getByText(SAVED).waitFor();
    assert.ok(Number(await page.locator('#bell').getAttribute('data-unread')) > 0);
    assert.equal(opened, 0, 'a copy may be older than what was told');
    await context.setOffline(false);
    await page.getByText(SAVED).waitFor({ state: 'hidden' });

    const gone = await desk.request.delete(`${api}/members/${ines.account}`, { headers });
    assert.equal(gone.status(), 200, await gone.text());
    await page.goto(task);
    await until('the end of the copies', async () => !(await stored(page)).some((path) => path.startsWith(place)));
    await context.close();
    await owner.close();
  });

  test('A browser at a desk gets push messages and stores no pages', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    // Chromium without a window always denies notifications.
    await context.addInitScript(() => {
      Object.defineProperty(Notification, 'permission', { get: () => 'granted' });
      Notification.requestPermission = async () => 'granted';
    });
    const page = await context.newPage();
    await page.goto(`${place}/settings/notifications`);
    await page.getByRole('button', { name: 'Turn on in this browser' }).click();
    // There is no push service here; the worker is there all the same.
    const worker = await page.evaluate(async () => (await navigator.serviceWorker.ready).active.scriptURL);
    assert.equal(new URL(worker).search, '');
    assert.deepEqual(await page.evaluate(() => caches.keys()), []);
    await context.close();
  });

  test('What another app shares fills in the form for a new task, and creates nothing', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    const shared = new URLSearchParams({ title: 'Cargo bikes in Ghent', text: 'A report worth reading', url: 'https://bikes.example/ghent' });
    await page.goto(`${place}/share?${shared}`);
    const form = page.locator('#new-task');
    assert.equal(await form.getByLabel('Title', { exact: true }).inputValue(), 'Cargo bikes in Ghent');
    assert.equal(await form.locator('[name=description]').inputValue(), 'A report worth reading\n\nhttps://bikes.example/ghent');
    await page.goto(`${place}/tasks?q=ghent`);
    assert.equal(await page.locator('.row', { hasText: 'Ghent' }).count(), 0);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
