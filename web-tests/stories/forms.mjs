// Every form with input that nobody expects: what is wrong is said beside the field, what was typed
// stays, and nothing is made.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { OWNER, unfolded, write, wrongFields } from '../lib/story.mjs';

const HOSTILE = '<img src=x onerror=alert(1)>“%s”\'; DROP\u202e ทดสอบ 🧑🏽‍🚀';
const LONG = 'Donaudampfschifffahrtsgesellschaft'.repeat(120);
/** As long as nothing may be that is drawn in one line, and longer than most texts. */
const ENDLESS = 'x'.repeat(10_000);

/** Each form: where, what is typed into it, which button (or which form, if its fields are saved at once), and which fields must be refused. */
const FORMS = [
  { path: '/tasks/new', button: 'Create task', typed: { title: LONG, description: HOSTILE, parent: HOSTILE }, wrong: ['title', 'parent'] },
  { path: '/tasks/MC-1?edit=1', button: 'Done', typed: { title: LONG, description: HOSTILE }, wrong: ['title'] },
  // The title that was refused above comes back by itself, with what is wrong with it.
  { path: '/tasks/MC-1', button: 'Comment', typed: { body: ' \n ' }, wrong: ['body', 'title'] },
  { path: '/tasks', button: 'Add', typed: { title: LONG }, wrong: ['title'] },
  { path: '/agents/new', button: 'Create agent', typed: { name: LONG, slug: HOSTILE, emoji_other: HOSTILE, description: HOSTILE, budget: 'much' }, wrong: ['name', 'slug', 'emoji_other', 'budget'] },
  { path: '/agents/ada/settings', saves: '#agent-settings', typed: { name: '', max_output: '-1', budget: '1e9999', budget_soft: '900' }, wrong: ['name', 'max_output', 'budget', 'budget_soft'] },
  { path: '/settings/connections/new?kind=openai-compatible', button: 'Connect and test', typed: { name: 'Cellar', base_url: HOSTILE }, wrong: ['base_url'] },
  { path: '/settings/connections/new?kind=chatgpt', button: 'Continue to sign-in', typed: { name: 'My plan', client_id: 'two words' }, wrong: ['client_id'] },
  { path: '/settings/general', saves: '#general', typed: { name: ' ', emoji: HOSTILE, task_key: '1', budget: '-3', run_cap: HOSTILE }, wrong: ['name', 'emoji', 'task_key', 'budget', 'run_cap'] },
  { path: '/settings/usage', saves: '#workspace-limits', typed: { month: 'much', run: HOSTILE }, wrong: ['month', 'run'] },
  { path: '/settings/audit', saves: '#retention', typed: { days: '0', megabytes: '-1' }, wrong: ['days', 'megabytes'] },
  { path: '/settings/profile', saves: '#own-name', typed: { name: LONG }, wrong: ['name'] },
  { path: '/settings/profile', button: 'Change password', typed: { current: 'not mine', password: 'a long enough sentence' }, wrong: ['current'] },
  { path: '/settings/tokens', button: 'Create token', typed: { name: LONG }, wrong: ['name'] },
  { path: '/settings/labels', button: 'Create label', typed: { name: ENDLESS, description: ENDLESS }, wrong: ['name', 'description'] },
  { path: '/streams?new=1', button: 'Create stream', typed: { name: ENDLESS, description: ENDLESS, goal: ENDLESS, icon: HOSTILE }, wrong: ['name', 'description', 'goal', 'icon'] },
  { path: '/routines/new', button: 'Create routine', typed: { name: ENDLESS, instruction: ENDLESS }, wrong: ['name', 'instruction'] },
];

/** What would run if it were taken for more than words, and what turns round what stands behind it. */
const RUNS = '<script>window.ran=1</script><img src=x onerror="window.ran=2">"\'\u202e {{7*7}} 🧑🏽‍🚀';
const TAG = '<img src=x>\u202e🚀';

/** Types into a field, also into one that is folded away or that the rich editor shows. */
const fillIn = async (field, text) => ((await field.isVisible()) ? field.fill(text) : write(field, text));

export function tell(given) {
  const send = async (page, path, form) => {
    const { server, place } = given;
    const sent = await page.request.post(`${server.url}${place}${path}`, { form, headers: { origin: server.url }, maxRedirects: 0 });
    assert.equal(sent.status(), 303, `${path}: ${await sent.text()}`);
    return sent.headers().location;
  };

  test('every form says what is wrong beside the field and keeps what was typed', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    const remarks = [];
    for (const { path, button, saves, typed, wrong } of FORMS) {
      await page.goto(`${place}${path}`);
      await page.locator('main details:has(form):not([open])').evaluateAll((all) => all.forEach((one) => (one.open = true)));
      const send = page.getByRole('main').getByRole('button', { name: button, exact: true }).first();
      const form = saves ? page.locator(saves) : send.locator('xpath=ancestor::form');
      // What the browser would stop by itself must be stopped by the server, too.
      await form.evaluate((one) => {
        one.noValidate = true;
        one.querySelectorAll('[maxlength]').forEach((field) => field.removeAttribute('maxlength'));
      });
      for (const [name, text] of Object.entries(typed)) {
        await fillIn(form.locator(`[name="${name}"]`), text);
        if (saves) await form.locator(`[name="${name}"]`).blur();
      }
      if (!saves) await send.click();
      // Each of them: what was refused before may be marked already when this answer is still to come.
      const marked = wrong.map((name) => page.locator(`[name="${name}"][aria-invalid="true"]`).first().waitFor());
      const found = await Promise.all(marked).then(() => wrongFields(page), (error) => [error.message]);
      if (`${found.sort()}` !== `${[...wrong].sort()}`) remarks.push(`${path}: marked ${found}, expected ${wrong}`);
      for (const [name, text] of Object.entries(typed)) {
        const form = page.locator('form', { has: page.locator('[aria-invalid="true"]') });
        const field = form.locator(`[name="${name}"]:not([type="hidden"])`).last();
        if ((await field.getAttribute('type')) === 'password') continue;
        const kept = await field.inputValue().catch(() => undefined);
        if (kept !== text) remarks.push(`${path}: ${name} is now ${kept?.slice(0, 60)}`);
      }
      await assertAccessible(page, `${path} with mistakes`).catch((error) => remarks.push(error.message));
    }
    // A refused form is an answer of 422, which the browser also notes.
    remarks.push(...context.faults().filter((fault) => !fault.includes('422')));
    assert.equal(remarks.length, 0, remarks.join('\n'));
    await context.close();
  });

  test('what was typed when the sign-in had ended is there again, and goes once it has arrived', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const kept = () => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('hq-draft:')).length);
    for (const { path, button, fields } of [
      { path: '/tasks/new', button: 'Create task', fields: { Title: 'Grease the hubs', Description: 'Front *and* back.' } },
      { path: '/settings/task-templates/new', button: 'Save template', fields: { Name: 'Spring check' } },
    ]) {
      await page.goto(`${place}${path}`);
      const field = (name) => page.getByRole('main').getByLabel(name, { exact: true }).first();
      for (const [name, text] of Object.entries(fields)) await fillIn(field(name), text);
      if (path.includes('template')) await field('Title').fill('Look at the brakes');
      await context.clearCookies();
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.getByLabel('Email').fill(OWNER.email);
      await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await page.getByText('Your unsent text is back').waitFor();
      for (const [name, text] of Object.entries(fields)) assert.equal(await field(name).inputValue(), text, path);
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.waitForURL((url) => !url.pathname.endsWith('/new'));
      await page.waitForFunction(() => !Object.keys(localStorage).some((key) => key.startsWith('hq-draft:')));
      assert.equal(await kept(), 0, 'nothing is kept that has arrived');
    }
    // What the address asks for was chosen after what was typed before.
    const [title, repeats] = [page.getByRole('main').getByLabel('Title', { exact: true }).first(), page.locator('[name=cadence_type]')];
    await page.goto(`${place}/tasks/new`);
    await title.fill('Count the spokes');
    await page.goto(`${place}/tasks/new?cadence_type=weekly`);
    await page.getByText('Your unsent text is back').waitFor();
    assert.deepEqual([await title.inputValue(), await repeats.inputValue()], ['Count the spokes', 'weekly']);
    await repeats.selectOption('daily');
    await page.reload();
    await page.getByText('Your unsent text is back').waitFor();
    assert.equal(await repeats.inputValue(), 'daily', 'and was changed since');
    // The live stream of a page whose sign-in has ended is refused.
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('401')), []);
    await context.close();
  });

  test('words that would run are shown as words wherever they stand', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    const task = await send(page, '/tasks', { title: RUNS, description: `So: ${RUNS}\n\n${ENDLESS}`, labels: 'hostile' });
    const name = task.split('/').at(-1);
    await send(page, `/tasks/${name}/comment`, { body: `So: ${RUNS}\n\n${ENDLESS}` });
    await send(page, '/settings/labels', { name: TAG, description: RUNS });
    const stream = await send(page, '/streams', { name: TAG, description: RUNS, goal: RUNS });
    const routine = { agent: 'ada', when: 'schedule', cadence_type: 'monthly', action: 'wake' };
    const made = await send(page, '/routines', { ...routine, name: RUNS, instruction: RUNS });
    const view = await send(page, '/views', { noun: 'tasks', name: TAG, q: 'label:hostile' });
    // No field takes a NUL; a program may send one.
    for (const [path, form] of [
      ['/tasks', { title: 'a\0b', description: 'c\0d' }],
      [`/tasks/${name}/comment`, { body: 'e\0f' }],
      ['/settings/labels', { name: 'nul', description: 'g\0h' }],
      ['/streams', { name: 'i\0j', goal: 'k\0l' }],
      ['/routines', { ...routine, name: 'm\0n', instruction: 'o\0p' }],
    ]) await send(page, path, form);
    const lists = ['/tasks', '/tasks?layout=board', '/tasks?layout=timeline', '/settings/labels', '/streams', '/routines', '/activity', '/notifications', '/'];
    const remarks = [];
    for (const path of [task, stream, made, view, `${task}?edit=1`, `${made}/edit`, ...lists.map((one) => `${place}${one}`)]) {
      await page.goto(path);
      const found = await page.evaluate(() => ({
        ran: window.ran,
        drawn: document.querySelectorAll('img[src="x"], main script').length,
      }));
      const wide = await tooWide(page);
      if (found.ran || found.drawn || wide) remarks.push(`${path}: ${JSON.stringify(found)} ${wide}`);
    }
    await page.goto(task);
    const head = await page.getByRole('heading', { level: 1 }).innerText();
    assert.ok(head.includes('<script>window.ran=1</script><img src=x'), 'a title is shown as it was typed');
    // Markdown leaves out tags, and nothing else.
    for (const part of ['#task-text', '.timeline']) {
      const words = await page.locator(part).first().innerText();
      assert.ok(words.includes('window.ran=1') && words.includes('{{7*7}}') && words.includes(ENDLESS), `it is there to be read: ${part}`);
    }
    await page.goto(`${place}/tasks`);
    await page.getByRole('button', { name: 'More', exact: true }).click();
    await page.locator('.side [data-palette]').click();
    await page.getByRole('combobox', { name: 'Search everything' }).fill('window.ran');
    await page.getByRole('option', { name: '<script>window.ran=1</script>' }).first().waitFor();
    assert.equal(await page.evaluate(() => window.ran), undefined);
    remarks.push(...context.faults());
    assert.equal(remarks.length, 0, remarks.join('\n'));
    await context.close();
  });

  test('a new task is written over its list, keeps what was typed, and is stood on there when it is made', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const layer = page.getByRole('dialog', { name: 'New task' });
    const title = layer.getByLabel('Title', { exact: true });
    await page.goto(`${place}/tasks?q=layered`);
    await page.keyboard.press('c');
    await title.fill('Layered: true the wheels');
    await assertAccessible(page, 'a new task over its list');
    await page.keyboard.press('Escape');
    await layer.waitFor({ state: 'detached' });
    await page.keyboard.press('c');
    await page.getByText('Your unsent text is back').waitFor();
    assert.equal(await title.inputValue(), 'Layered: true the wheels');
    await layer.locator('summary', { hasText: 'More' }).click();
    await layer.getByLabel('Part of').fill('no such task');
    await page.keyboard.press('Control+Enter');
    // What was refused is where the cursor is.
    await layer.locator('[name=parent][aria-invalid=true]:focus').waitFor();
    await layer.getByLabel('Part of').fill('');
    await context.setOffline(true);
    await page.keyboard.press('Control+Enter');
    // The message can be read and pressed although the form lies over the page.
    const unsent = page.locator('#toasts > .toast').filter({ hasText: 'Not sent: no connection' });
    await unsent.locator('[data-dismiss]').click();
    await unsent.waitFor({ state: 'detached' });
    // It is sent by itself once the connection is there again.
    await context.setOffline(false);
    await layer.waitFor({ state: 'detached' });
    await page.locator('.row[data-cursor]').getByRole('link', { name: 'Layered: true the wheels' }).waitFor();
    assert.match(page.url(), /tasks\?q=layered$/, 'the list stays');
    await page.keyboard.press('c');
    assert.equal(await title.inputValue(), '', 'nothing is kept that has arrived');
    await layer.getByRole('button', { name: 'Cancel' }).click();
    await page.locator('#toasts').getByRole('link', { name: 'Open' }).click();
    await page.getByRole('heading', { level: 1, name: 'Layered: true the wheels' }).waitFor();
    // The form that was refused, and the connection that was away.
    assert.deepEqual(context.faults().filter((fault) => !/422|ERR_INTERNET_DISCONNECTED/.test(fault)), []);
    await context.close();
  });

  test('a button that makes something makes one thing, however often it is pressed', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const main = page.getByRole('main');
    const field = (name) => main.getByLabel(name, { exact: true }).first();
    const press = (name) => main.getByRole('button', { name, exact: true }).dblclick();
    await page.goto(`${place}/tasks/new`);
    await field('Title').fill('Pressed twice');
    await press('Create task');
    await page.getByRole('heading', { level: 1, name: 'Pressed twice' }).waitFor();
    await page.goto(`${place}/tasks/new?cadence_type=weekdays`);
    await field('Title').fill('Pressed each day');
    await press('Create task');
    await page.waitForURL(/\/tasks\/recurring\/./);
    await page.goto(`${place}/tasks/recurring`);
    assert.equal(await main.getByRole('link', { name: 'Pressed each day' }).count(), 1);
    await page.goto(`${place}/settings/tokens`);
    await (await unfolded(page, 'New token', 'Name')).fill('Pressed twice');
    await press('Create token');
    await main.locator('.code[data-line] code').first().waitFor();
    assert.equal(await main.getByRole('row', { name: /Pressed twice/ }).count(), 1, 'and its secret is shown');
    await page.goto(`${place}/tasks?q=pressed`);
    await main.locator('#quick').fill('Pressed in the list');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await main.locator('.row', { hasText: 'Pressed in the list' }).waitFor();
    await page.reload();
    assert.equal(await main.locator('.row', { hasText: 'Pressed in the list' }).count(), 1);
    assert.equal(await main.locator('.row', { hasText: 'Pressed twice' }).count(), 1);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
