// An agent meets the sign-in of somebody else's program, with a second step: it asks, a person takes the wheel, types
// password and code in the dark and hands back, and the agent goes on behind it. What was typed is nowhere afterwards.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext, PHONE } from '../lib/browser.mjs';
import { found } from '../lib/founded.mjs';
import { startModel } from '../lib/model.mjs';
import { startServer } from '../lib/server.mjs';
import { appCode, asOwner, OWNER, PATIENCE, until } from '../lib/story.mjs';
import { connect } from '../lib/workday.mjs';

/** How long a code of an authenticator app is of use, in ms. */
const STEP = 30_000;

/** Another HQ whose owner signs in in two steps: `url`, `place`, `code()`, `stop()`. */
async function openOther(browser) {
  const server = await startServer();
  const { place, signedIn } = await found(server);
  const context = await newContext(browser, server, { storageState: signedIn });
  const page = await context.newPage();
  await page.goto(`${place}/settings/security`);
  await page.getByRole('button', { name: 'Set up' }).click();
  await page.getByRole('img', { name: /QR code/ }).waitFor();
  const key = await page.locator('.steps .code code').innerText();
  const used = Date.now();
  await page.getByLabel('Code', { exact: true }).fill(appCode(key, used));
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByRole('heading', { level: 1, name: 'Your recovery codes' }).waitFor();
  await context.close();
  // The code of the set-up is used up; that of the step behind it counts already.
  const code = () => appCode(key, Math.max(used + STEP, Date.now()));
  return { url: server.url, place, code, log: server.log, stop: server.stop };
}

export function tell(given) {
  test('an agent asks a person through the sign-in of another HQ, in two steps, and goes on behind it', async () => {
    const { browser, server, place, signedIn } = given;
    const other = await openOther(browser);
    const model = await startModel();
    const context = await newContext(browser, server, { size: PHONE, touch: false, storageState: signedIn });
    const page = await context.newPage();
    const heard = [];
    const hearing = (calls) => (messages) => {
      heard.push(JSON.stringify(messages));
      return { calls };
    };
    try {
      model.tell(
        /Read the other board/,
        hearing([['browser', { action: 'open', url: `${other.url}/login` }]]),
        hearing([['ask_person', { question: 'Sign me in at the other HQ', in_browser: true }]]),
        hearing([['browser', { action: 'snapshot' }]]),
        hearing([['browser', { action: 'navigate', url: `${other.url}${other.place}/tasks` }]]),
        hearing([['browser', { action: 'snapshot', find: 'Compare leasing' }]]),
        hearing([['work_done', { summary: 'The other board is read.', task_state: 'complete' }]]),
      );
      const { headers, put, send } = asOwner(page, given);
      const connection = await connect({ page, place, send, model, name: 'Foreign models' });
      await send('/settings/connections/default', { pick: 'practice' });
      await send('/agents', { name: 'Juno', template: 'default', emoji: '🔑', description: '', thinking: 'none', model: `${connection}/claude-sonnet-5` });
      await put('/reach', { opened: [new URL(other.url).host] });
      await put('/agents/juno/browser', { on: true });
      const task = await send('/tasks', { title: 'Read the other board', assignee: 'juno', priority: 'high', status: 'todo', description: '' });

      await until('the question', async () => {
        await page.goto(`${place}/agents/juno/browser`);
        return page.locator('#browser-asks').getByText('Sign me in at the other HQ').isVisible();
      });
      await page.locator('.live[data-live]').waitFor(PATIENCE);
      await page.getByRole('tab', { name: /^Sign in/ }).waitFor(PATIENCE);
      const isAt = (end) => page.waitForFunction((wanted) => document.querySelector('[data-b=url]').value.endsWith(wanted), end);
      const inTheDark = () => page.getByText('Only you see the page until the form is sent.').waitFor();

      await page.keyboard.press('w');
      await page.getByText('You’re in control, Juno waits').waitFor();
      await page.getByText('Ctrl Alt Q leaves it').waitFor();
      await page.keyboard.type(OWNER.email);
      await page.keyboard.press('Tab');
      await page.keyboard.type(OWNER.password);
      await inTheDark();
      await page.keyboard.press('Enter');
      await isAt('/login/code');
      await page.getByText('Ctrl Alt Q leaves it').waitFor();
      const code = other.code();
      await page.keyboard.type(code);
      await inTheDark();
      await page.keyboard.press('Enter');
      await isAt(`${other.place}/`);
      await page.getByLabel('Tell Juno what you changed').fill('You are signed in.');
      await page.keyboard.press('Control+Alt+q');
      await page.getByText('Juno is in control').waitFor();

      // It goes on behind the sign-in, to the end.
      await until('the last turn', () => heard.length === 6);
      const all = heard.join('\n');
      assert.ok(all.includes('You are signed in.'), 'it hears what was left');
      assert.ok(heard.at(-1).includes('Compare leasing prices'), 'it reads what lies behind the sign-in');
      // Nobody but who typed them has seen password and code.
      const places = { prompts: all, 'the log': server.log(), 'the other log': other.log() };
      for (const path of [new URL(task, server.url).pathname, `${place}/activity`, '/api/v1/runs', '/api/v1/activity']) {
        places[path] = await (await page.request.get(`${server.url}${path}`, { headers })).text();
      }
      for (const [where, text] of Object.entries(places)) {
        assert.ok(!text.includes(OWNER.password), `the password stands in ${where}`);
        assert.ok(!new RegExp(`\\b${code}\\b`).test(text), `the code stands in ${where}`);
      }
      assert.deepEqual(context.faults(), []);
      await put('/agents/juno/browser', { on: false });
    } finally {
      await context.close();
      await model.stop();
      await other.stop();
    }
  });
}
