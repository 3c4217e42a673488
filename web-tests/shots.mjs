// Screenshots of every page of the demo company into out/pages, at two widths, light and dark; and those of a company at
// work that the documents show, into docs/shots. Made by `make shots`, never part of `make test`.

import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

import { newContext, PHONE, startBrowser, WIDE } from './lib/browser.mjs';
import { backUp, foundCompany, joinCompany } from './lib/company.mjs';
import { furnished } from './lib/furnish.mjs';
import { startModel } from './lib/model.mjs';
import { everyOpenPage, everyPage, pageRoutes } from './lib/pages.mjs';
import { startServer } from './lib/server.mjs';
import { finish, talk, workDay } from './lib/workday.mjs';

const PAGES = fileURLToPath(new URL('out/pages/', import.meta.url));
const DOCS = fileURLToPath(new URL('../docs/shots/', import.meta.url));
const THEMES = ['light', 'dark'];

/** `/tasks/{task}?edit` is tasks-task-edit, and `/` the dashboard. */
const nameOf = (kind) => kind.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'dashboard';

/** Opens an address and keeps what the window shows. */
async function shoot(page, address, path) {
  await page.goto(address);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path });
}

test('screenshots of every page', async (t) => {
  const server = await startServer({ seed: 'small' });
  const browser = await startBrowser();
  let company;
  try {
    company = await furnished(server);
    const { http, visitor, place, starts, open, signedIn } = company;
    const routes = await pageRoutes(server);
    const inside = await everyPage({ http, routes, place, starts });
    const outside = await everyOpenPage({ http: visitor, routes, starts: open });
    await rm(PAGES, { recursive: true, force: true });
    await mkdir(PAGES, { recursive: true });
    for (const size of [WIDE, PHONE]) {
      for (const [{ pages }, storageState] of [[inside, signedIn], [outside, undefined]]) {
        const context = await newContext(browser, server, { size, storageState });
        const page = await context.newPage();
        for (const [kind, address] of pages) {
          for (const theme of THEMES) {
            await page.emulateMedia({ colorScheme: theme });
            const path = `${PAGES}${nameOf(kind)}-${size.width}-${theme}.png`;
            // A second theme needs no second load.
            if (theme === THEMES[0]) await shoot(page, address, path);
            else await page.screenshot({ path });
          }
        }
        await context.close();
      }
    }
    t.diagnostic(`${inside.pages.size + outside.pages.size} pages in ${PAGES}`);
    const remarks = [...inside.remarks, ...outside.remarks];
    assert.equal(remarks.length, 0, remarks.join('\n'));
  } finally {
    await browser.close();
    await server.stop();
    await company?.leave();
  }
});

test('pictures of the documents', async () => {
  const server = await startServer();
  const browser = await startBrowser();
  const model = await startModel();
  try {
    await pictures({ server, browser, model });
  } finally {
    await browser.close();
    model.free();
    await server.stop();
    await model.stop();
  }
});

/** The company that the documents show, and its pictures. */
async function pictures({ browser, server, model }) {
  const maker = await newContext(browser, server);
  const page = await maker.newPage();
  const { place, review, send } = await foundCompany(page, server);
  const { history, undo } = await joinCompany(browser, server, page, { place, send });
  await backUp(page, place);
  const { run } = await workDay({ browser, server, page, place, send, model });
  await finish({ page, run });
  await talk({ page, place });
  // Somebody is at work in the pictures, for as long as they take.
  const live = await send('/tasks', { title: 'Write three headlines for the spring series', assignee: 'quill', priority: 'high', status: 'todo', description: '' });
  await page.goto(live);
  await page.getByRole('main').getByRole('link', { name: 'Watch' }).waitFor();
  const task = new URL(review, server.url).pathname;
  const signedIn = await maker.storageState();
  await page.goto(run);
  const changed = await page.locator('.trace > li', { has: page.locator('.diff') }).first().getAttribute('id');
  await maker.close();

  const shown = {
    dashboard: ['/'],
    task: [task],
    run: [run],
    'run-dark': [`${run}#${changed}`, WIDE, 'dark'],
    'run-phone': [`${run}#${changed}`, PHONE],
    chat: ['/agents/ada/chat'],
    usage: ['/settings/usage'],
    agent: ['/agents/quill'],
    'tasks-phone': ['/tasks', PHONE],
    tasks: ['/tasks?group=status'],
    board: ['/tasks?layout=board'],
    calendar: ['/tasks?layout=calendar'],
    timeline: ['/tasks?layout=timeline'],
    history: [history],
    undo: [undo],
    health: ['/settings/health'],
    backups: ['/settings/backups'],
    members: ['/settings/members'],
    palette: ['/tasks'],
    inbox: ['/inbox?show=over'],
    routines: ['/routines'],
    notifications: ['/notifications'],
    activity: ['/activity'],
    search: ['/search?q=bike'],
  };
  await mkdir(DOCS, { recursive: true });
  for (const [name, [path, size = WIDE, theme = 'light']] of Object.entries(shown)) {
    const context = await newContext(browser, server, { size, theme, storageState: signedIn });
    const page = await context.newPage();
    const address = path.startsWith(place) ? path : `${place}${path}`;
    await shoot(page, address, `${DOCS}${name}.png`);
    if (name === 'palette') {
      await page.keyboard.press('Control+k');
      await page.locator('#palette-list [role="option"]').first().waitFor();
      await page.keyboard.type('bike');
      await page.locator('#palette-list mark').first().waitFor();
      await page.screenshot({ path: `${DOCS}palette.png` });
    }
    await context.close();
  }
}
