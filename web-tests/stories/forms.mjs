// Every form with input that nobody expects: what is wrong is said beside the field, what was typed
// stays, and nothing is made.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { OWNER, wrongFields } from '../lib/story.mjs';

const HOSTILE = '<img src=x onerror=alert(1)>“%s”\'; DROP\u202e ทดสอบ 🧑🏽‍🚀';
const LONG = 'Donaudampfschifffahrtsgesellschaft'.repeat(120);

/** Each form: where, what is typed into it, which button, and which fields must be refused. */
const FORMS = [
  { path: '/tasks/new', button: 'Create', typed: { title: LONG, description: HOSTILE, parent: HOSTILE }, wrong: ['title', 'parent'] },
  { path: '/tasks/MC-1?edit=1', button: 'Done', typed: { title: LONG, description: HOSTILE }, wrong: ['title'] },
  // The title that was refused above comes back by itself, with what is wrong with it.
  { path: '/tasks/MC-1', button: 'Comment', typed: { body: ' \n ' }, wrong: ['body', 'title'] },
  { path: '/tasks', button: 'Add', typed: { title: LONG }, wrong: ['title'] },
  { path: '/agents/new', button: 'Create agent', typed: { name: LONG, slug: HOSTILE, emoji_other: HOSTILE, description: HOSTILE, budget: 'much' }, wrong: ['name', 'slug', 'emoji_other', 'budget'] },
  { path: '/agents/ada/settings', button: 'Save', typed: { name: '', max_output: '-1', budget: '1e9999', budget_soft: '900' }, wrong: ['name', 'max_output', 'budget', 'budget_soft'] },
  { path: '/settings/connections/new?kind=openai-compatible', button: 'Connect and test', typed: { name: 'Cellar', base_url: HOSTILE }, wrong: ['base_url'] },
  { path: '/settings/connections/new?kind=chatgpt', button: 'Go on to sign in', typed: { name: 'My plan', client_id: 'two words' }, wrong: ['client_id'] },
  { path: '/settings/general', button: 'Save', typed: { name: ' ', emoji: HOSTILE, task_key: '1', budget: '-3', run_cap: HOSTILE }, wrong: ['name', 'emoji', 'task_key', 'budget', 'run_cap'] },
  { path: '/settings/profile', button: 'Save name', typed: { name: LONG }, wrong: ['name'] },
  { path: '/settings/profile', button: 'Change password', typed: { current: 'not mine', password: 'a long enough sentence' }, wrong: ['current'] },
  { path: '/settings/tokens', button: 'Create token', typed: { name: LONG }, wrong: ['name'] },
];

export function tell(given) {
  test('every form says what is wrong beside the field and keeps what was typed', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    const remarks = [];
    for (const { path, button, typed, wrong } of FORMS) {
      await page.goto(`${place}${path}`);
      const send = page.getByRole('main').getByRole('button', { name: button, exact: true }).first();
      const form = send.locator('xpath=ancestor::form');
      // What the browser would stop by itself must be stopped by the server, too.
      await form.evaluate((one) => {
        one.noValidate = true;
        one.querySelectorAll('[maxlength]').forEach((field) => field.removeAttribute('maxlength'));
      });
      for (const [name, text] of Object.entries(typed)) await form.locator(`[name="${name}"]`).fill(text);
      await send.click();
      const marked = page.locator('[aria-invalid="true"]');
      const found = await marked.first().waitFor().then(() => wrongFields(page), (error) => [error.message]);
      if (`${found.sort()}` !== `${[...wrong].sort()}`) remarks.push(`${path}: marked ${found}, expected ${wrong}`);
      for (const [name, text] of Object.entries(typed)) {
        const field = page.locator(`form [name="${name}"]:not([type="hidden"])`).last();
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
      { path: '/tasks/new', button: 'Create', fields: { Title: 'Grease the hubs', Description: 'Front *and* back.' } },
      { path: '/settings/task-templates/new', button: 'Save template', fields: { Name: 'Spring check' } },
    ]) {
      await page.goto(`${place}${path}`);
      const field = (name) => page.getByRole('main').getByLabel(name, { exact: true }).first();
      for (const [name, text] of Object.entries(fields)) await field(name).fill(text);
      if (path.includes('template')) await field('Title').fill('Look at the brakes');
      await context.clearCookies();
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.getByLabel('Email').fill(OWNER.email);
      await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
      await page.getByText('What you had typed is back').waitFor();
      for (const [name, text] of Object.entries(fields)) assert.equal(await field(name).inputValue(), text, path);
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.waitForURL((url) => !url.pathname.endsWith('/new'));
      await page.waitForFunction(() => !Object.keys(localStorage).some((key) => key.startsWith('hq-draft:')));
      assert.equal(await kept(), 0, 'nothing is kept that has arrived');
    }
    // The live stream of a page whose sign-in has ended is refused.
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('401')), []);
    await context.close();
  });
}
