// Every page that a person can reach by links, once, in both themes and at two widths: accessible,
// without inline style, without a request to anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

const MOST = 160;
/** Parts of an address that show something else under the same path. */
const TURNS = ['edit', 'kind', 'changes', 'session'];
/** What must have been found and looked at; a page that loses its last link is noticed here. */
const KINDS = [
  '/',
  '/activity',
  '/agents',
  '/agents/*',
  '/agents/*/chat',
  '/agents/*/chat/sessions',
  '/agents/*/chat?edit',
  '/agents/*/chat?session',
  '/agents/*/files',
  '/agents/*/files/*',
  '/agents/*/history',
  '/agents/*/history/*',
  '/agents/*/inbox',
  '/agents/*/runs',
  '/agents/*/settings',
  '/agents/new',
  '/collections',
  '/contacts',
  '/contacts/*',
  '/contacts/new',
  '/inbox',
  '/inbox?show=over',
  '/agents?view=chart',
  '/history/contacts/*',
  '/history/entry/*',
  '/history/prices/*',
  '/history/routines/*',
  '/history/task_rules/*',
  '/history/tasks/*',
  '/notifications',
  '/organizations',
  '/organizations/new',
  '/review',
  '/review?changes',
  '/routines',
  '/routines/new',
  '/routines/events',
  '/runs',
  '/runs/*',
  '/runs/*/context',
  '/runs/*/fork',
  '/runs/*/retry',
  '/search',
  '/settings',
  '/settings/appearance',
  '/settings/connections',
  '/settings/connections/*',
  '/settings/connections/*/sign-in',
  '/settings/connections/new',
  '/settings/connections/new?kind',
  '/settings/fields',
  '/settings/general',
  '/settings/labels',
  '/settings/labels?edit',
  '/settings/mail',
  '/settings/members',
  '/settings/members/*/handover',
  '/settings/members/*/remove',
  '/settings/notifications',
  '/settings/profile',
  '/settings/security',
  '/settings/sign-ins',
  '/settings/task-templates',
  '/settings/task-templates/*',
  '/settings/task-templates/new',
  '/settings/tasks',
  '/settings/tokens',
  '/settings/usage',
  '/settings/usage/budgets',
  '/settings/usage/prices',
  '/streams',
  '/streams/*',
  '/tasks',
  '/tasks/*',
  '/tasks/*/comments/*/edit',
  '/tasks/*?edit',
  '/tasks/from-template',
  '/tasks/from-template/*',
  '/tasks/new',
  '/tasks?layout=board',
  '/tasks?layout=calendar',
  '/tasks?layout=timeline',
  '/tasks/recurring',
  '/tasks/recurring/*',
  '/undo',
  '/workspaces',
  '/workspaces/new',
];

/** What a path shows: two tasks are one kind, and so are two agents or two runs. */
export function kindOf(path) {
  const { pathname, searchParams } = new URL(path, 'http://hq');
  const name = pathname
    .replace(/^\/w\/[^/]+/, '')
    .replace(/\/history\/(\w+)\/[^/]+/, '/history/$1/*')
    .replace(/(?<!history)\/(tasks|agents|runs|connections|comments|members|streams|contacts|organizations|collections|records)\/(?!(new|recurring|from-template|import)(\/|$))[^/]+/g, '/$1/*')
    .replace(/\/(recurring|from-template|task-templates)\/(?!new(\/|$))[^/]+/, '/$1/*');
  const turns = TURNS.filter((turn) => searchParams.has(turn));
  if (searchParams.has('path')) return `${name}/*`;
  if (name === '/tasks' && searchParams.has('layout')) return `${name}?layout=${searchParams.get('layout')}`;
  if (name === '/inbox' && searchParams.get('show') === 'over') return `${name}?show=over`;
  if (name === '/agents' && searchParams.has('view')) return `${name}?view=${searchParams.get('view')}`;
  return turns.length > 0 ? `${name}?${turns.join('&')}` : name;
}

/** What pages need to be reached at all: a connection and a comment of one's own. */
async function furnish(page, { server, place, task }) {
  const send = (path, form) =>
    page.request.post(`${server.url}${path}`, { form, headers: { origin: server.url }, maxRedirects: 0 });
  const comment = await send(`${task}/comment`, { body: 'A word of my own.', note_only: 'on' });
  const connection = { kind: 'openai-compatible', name: 'A server that is off', base_url: 'http://127.0.0.1:9/v1' };
  const connected = await send(`${place}/settings/connections`, connection);
  const account = { kind: 'chatgpt', name: 'A subscription', client_id: 'a-program-of-ours' };
  const added = await send(`${place}/settings/connections/accounts`, account);
  const series = await send(`${place}/tasks`, { title: 'Each working day', cadence_type: 'weekdays' });
  const stream = await send(`${place}/streams`, { name: 'Launch', goal: 'Sell **200**' });
  const label = await send(`${place}/settings/labels`, { name: 'launch', colour: 'c9' });
  const rules = await send(`${place}/settings/tasks`, { delegation: 'reports', missed_after_days: '7' });
  const steps = { name: 'Two steps', title_1: 'The first', title_2: 'The second', after_2: '1', role_2: 'ada' };
  const template = await send(`${place}/settings/task-templates`, steps);
  const contact = await send(`${place}/contacts`, { name: 'Jana Brandt', notes: 'Calls **early**.' });
  for (const answer of [contact, comment, connected, added, series, stream, label, rules, template]) assert.equal(answer.status(), 303, await answer.text());
}

/** The pages behind links from `starts`, each kind once, and what was behind links that lead nowhere. */
export async function everyPage(page, ...starts) {
  const kinds = new Map();
  const dead = [];
  const queue = starts;
  while (queue.length > 0 && kinds.size < MOST) {
    const path = queue.shift();
    const kind = kindOf(path);
    if (kinds.has(kind)) continue;
    kinds.set(kind, path);
    const answer = await page.goto(path);
    if (answer.status() >= 400) dead.push(`${path} answers ${answer.status()}`);
    queue.push(
      ...(await page
        .locator('a[href^="/"]:not([download], [target])')
        .evaluateAll((links) => links.map((link) => link.getAttribute('href')))),
    );
  }
  return { pages: [...kinds.values()], kinds: [...kinds.keys()], dead };
}

/** A run that has asked a model: only its page leads to what filled its context. */
async function aRunThatAsked(page, list) {
  await page.goto(list);
  const runs = await page
    .locator('main a[href*="/runs/"]')
    .evaluateAll((links) => [...new Set(links.map((link) => link.getAttribute('href')))]);
  for (const run of runs) {
    await page.goto(run);
    if ((await page.locator('main a[href$="/context"]').count()) > 0) return run;
  }
  assert.fail(`no run of ${runs} has asked a model`);
}

export function tell(given) {
  test('every page is accessible in both themes and at two widths', async () => {
    const { browser, server, signedIn, place, task, changes } = given;
    assert.ok(signedIn, 'the loop must have passed first');
    const walker = await newContext(browser, server, { storageState: signedIn });
    const first = await walker.newPage();
    await furnish(first, given);
    const run = await aRunThatAsked(first, `${place}/runs`);
    // Of all tasks the one with a comment of one's own, of all talks the one in which one has said something.
    const starts = [`${place}/`, `${place}/agents/ada/chat`, run, task, changes];
    const { pages, kinds, dead } = await everyPage(first, ...starts);
    await walker.close();
    const missing = KINDS.filter((kind) => !kinds.includes(kind));
    assert.deepEqual(missing, [], `no link leads to some pages; found were ${pages}`);

    const looks = [
      { size: WIDE, theme: 'light' },
      { size: PHONE, theme: 'dark' },
    ];
    const remarks = [...dead];
    await Promise.all(
      looks.map(async (look) => {
        const context = await newContext(browser, server, { ...look, storageState: signedIn });
        const page = await context.newPage();
        for (const path of pages) {
          await page.goto(path);
          await assertAccessible(page, `${path} (${look.theme}, ${look.size.width} px)`).catch((error) =>
            remarks.push(error.message),
          );
        }
        remarks.push(...context.faults());
        await context.close();
      }),
    );
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });

  test('what opens over a page is accessible, too', async () => {
    const { browser, server, signedIn, place, task } = given;
    for (const look of [{ size: WIDE, theme: 'dark' }, { size: PHONE, theme: 'light' }]) {
      const context = await newContext(browser, server, { ...look, storageState: signedIn });
      const page = await context.newPage();
      const open = async (path, opener, layer) => {
        await page.goto(path);
        await page.locator(opener).first().click();
        await page.locator(layer).waitFor();
        // What is still moving in is paler than it will be.
        await page.locator(layer).evaluate((box) => Promise.all(box.getAnimations({ subtree: true }).map((one) => one.finished)));
        await assertAccessible(page, `${path} with ${layer} (${look.theme}, ${look.size.width} px)`);
      };
      await open(`${place}/tasks`, '[popovertarget="filter"]', '#filter');
      await open(`${place}/tasks`, '[popovertarget="sort"]', '#sort');
      await open(`${place}/`, '[popovertarget="account"]', '#account');
      for (const menu of ['m-status', 'm-assign', 'm-due']) await open(task, `[popovertarget="${menu}"]`, `#${menu}`);
      if (look.size === PHONE) await open(`${place}/`, '.tabbar [popovertarget="side"]', '#side');
      else await open(`${place}/`, '[commandfor="help"]', '#help');
      await page.goto(`${place}/nothing-is-here`);
      await assertAccessible(page, `a page that is not there (${look.theme})`);
      await context.close();
    }
  });

  test('the pages before a sign-in are accessible', async () => {
    const { browser, server } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark' });
    const page = await context.newPage();
    for (const path of ['/login', '/no-such-page']) {
      await page.goto(path);
      await assertAccessible(page, path);
    }
    await context.close();
  });

  test('script, style and sprite of a page are at most 80 KB on the way', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const sizes = new Map();
    page.on('requestfinished', async (request) => {
      if (!['script', 'stylesheet', 'image', 'other'].includes(request.resourceType())) return;
      sizes.set(new URL(request.url()).pathname, (await request.sizes()).responseBodySize);
    });
    await page.goto(`${place}/tasks`, { waitUntil: 'load' });
    await page.getByRole('main').locator('.row').first().waitFor();
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    assert.ok(sizes.size >= 2 && total > 0, 'script and style were loaded');
    assert.ok(total <= 80 * 1024, `${total} bytes: ${JSON.stringify([...sizes])}`);
    await context.close();
  });
}
