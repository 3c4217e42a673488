// Screenshots of every page into out/, at three widths, light and dark; those that the
// documents show are copied to docs/shots. Made by `make shots`, never part of `make test`.

import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';

import { MIDDLE, newContext, PHONE, startBrowser, WIDE } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';
import { backUp, foundCompany, joinCompany } from './lib/company.mjs';
import { startModel } from './lib/model.mjs';
import { finish, talk, workDay } from './lib/workday.mjs';
import { everyPage, kindOf } from './stories/access.mjs';

const OUT = fileURLToPath(new URL('out/', import.meta.url));
const README = fileURLToPath(new URL('../docs/shots/', import.meta.url));
const given = {};

before(async () => {
  await mkdir(OUT, { recursive: true });
  given.server = await startServer();
  given.browser = await startBrowser();
  given.model = await startModel();
});

after(async () => {
  await given.browser?.close();
  given.model?.free();
  await given.server?.stop();
  await given.model?.stop();
});

function fileName(path, size, theme) {
  const page = kindOf(path).replace('/*', '-one').replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'dashboard';
  return `${OUT}${page}-${size.width}-${theme}.png`;
}

test('screenshots of every page', async () => {
  const { browser, server, model } = given;
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
  const first = [task, history, undo, `${place}/agents/quill`, run, `${place}/agents/ada/chat`, `${place}/settings/usage`, `${place}/search?q=bike`, `${place}/`];
  const pages = (await everyPage(page, ...first)).pages;
  await page.goto(run);
  const changed = await page.locator('.trace > li', { has: page.locator('.diff') }).first().getAttribute('id');
  await maker.close();

  for (const size of [WIDE, MIDDLE, PHONE]) {
    for (const theme of ['light', 'dark']) {
      const context = await newContext(browser, server, { size, theme, storageState: signedIn });
      const page = await context.newPage();
      for (const path of pages) {
        await page.goto(path);
        await page.evaluate(() => document.fonts.ready);
        await page.screenshot({ path: fileName(path, size, theme) });
      }
      await page.goto(`${place}/tasks`);
      await page.keyboard.press('Control+k');
      await page.locator('#palette-list [role="option"]').first().waitFor();
      await page.keyboard.type('bike');
      await page.locator('#palette-list mark').first().waitFor();
      await page.screenshot({ path: fileName('/palette', size, theme) });
      // The middle of the run, with a change and what came of a command.
      await page.goto(`${run}#${changed}`);
      await page.screenshot({ path: fileName('/run-middle', size, theme) });
      await context.close();
    }
  }

  const find = (pattern) => pages.find((path) => pattern.test(path));
  const shown = {
    dashboard: [`${place}/`, WIDE],
    task: [task, WIDE],
    run: [run, WIDE],
    'run-dark': ['/run-middle', WIDE, 'dark'],
    'run-phone': ['/run-middle', PHONE],
    chat: [`${place}/agents/ada/chat`, WIDE],
    usage: [`${place}/settings/usage`, WIDE],
    agent: [find(/\/agents\/(?!new)[^/]+$/), WIDE],
    'tasks-phone': [find(/\/tasks$/), PHONE],
    history: [find(/\/history\/tasks\/[^/]+$/), WIDE],
    undo: [find(/\/undo\?/), WIDE],
    health: [find(/\/health$/), WIDE],
    backups: [find(/\/backups$/), WIDE],
    members: [find(/\/settings\/members$/), WIDE],
    palette: ['/palette', WIDE],
    inbox: [find(/\/inbox\?show=over$/), WIDE],
    routines: [find(/\/routines$/), WIDE],
    notifications: [find(/\/notifications$/), WIDE],
    activity: [find(/\/activity$/), WIDE],
    search: [find(/\/search\?/), WIDE],
  };
  await mkdir(README, { recursive: true });
  for (const [name, [path, size, theme = 'light']] of Object.entries(shown)) {
    if (!path) throw new Error(`no page found for docs/shots/${name}.png`);
    await copyFile(fileName(path, size, theme), `${README}${name}.png`);
  }
});
