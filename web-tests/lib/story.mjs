// The steps that more than one story takes, by the names that a person reads or hears.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';

export const OWNER = {
  name: 'Mira Lindqvist',
  email: 'mira@marlow.example',
  password: 'a bicycle bell in the fog',
  workspace: 'Marlow Cargo',
};
export const TASK = 'Compare leasing prices of five cargo-bike rivals';

/** Follows the one-time link and fills in the set-up page; ends on the question after the work. */
export async function begin(page, server) {
  await page.goto(server.setupLink);
  await page.getByLabel('Your name').fill(OWNER.name);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await page.getByLabel('Workspace name').fill(OWNER.workspace);
  await page.getByRole('button', { name: 'Create and continue' }).click();
  await page.getByRole('heading', { level: 1, name: /What best describes your work, Mira/ }).waitFor();
}

/** Sets HQ up and chooses nothing on the way; ends on the empty dashboard. */
export async function setUp(page, server) {
  await begin(page, server);
  for (const [press, next] of [
    [/^Skip/, /This machine/],
    ['Continue', 'Connect your AI provider'],
    ['Skip for now', 'Create your first agent'],
    ['Skip for now', 'Welcome, Mira'],
  ]) {
    await page.getByRole('button', { name: press }).click();
    await page.getByRole('heading', { level: 1, name: next }).waitFor();
  }
}

/** The code that an authenticator app shows at a moment for the key on the page. */
export function appCode(key, at = Date.now()) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...key.replace(/\s/g, '')].map((letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const secret = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const tag = createHmac('sha1', secret).update(step).digest();
  const code = (tag.readUInt32BE(tag[19] & 15) & 0x7fffffff) % 1_000_000;
  return String(code).padStart(6, '0');
}

/** Waits until something is so. */
export async function until(what, isSo) {
  const end = Date.now() + PATIENCE.timeout;
  while (!(await isSo())) {
    if (end < Date.now()) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What the owner does beside the page: `send()` forms, `put()` to the API, which other requests ask with `headers`. */
export function asOwner(page, { server, place }) {
  const origin = server.url;
  const headers = { origin, 'x-hq-workspace': place.split('/').at(-1) };
  return {
    headers,
    async send(path, form) {
      const answer = await page.request.post(`${server.url}${place}${path}`, { form, headers: { origin }, maxRedirects: 0 });
      assert.ok(answer.status() < 400, `${path}: ${answer.status()}`);
      return answer.headers().location;
    },
    async put(path, data) {
      const answer = await page.request.put(`${server.url}/api/v1${path}`, { data, headers });
      assert.equal(answer.status(), 200, `${path}: ${await answer.text()}`);
    },
  };
}

export async function signIn(page, { email, password } = OWNER) {
  await page.goto('/login');
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Lets HQ make an agent and give it a task, from the empty dashboard; ends on the task's page. */
export async function tryWithPractice(page) {
  await page.getByRole('main').getByRole('button', { name: 'Try practice mode' }).click();
  await page.waitForURL(/\/tasks\/[A-Z]+-\d+$/);
}

export async function open(page, name) {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: new RegExp(`^${name}`) }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor({ state: 'attached' });
}

/** Makes an agent and ends on its page. */
export async function createAgent(page, name, template = 'Assistant') {
  await open(page, 'Agents');
  await page.getByRole('main').or(page.getByRole('banner')).getByRole('link', { name: 'New agent' }).first().click();
  await page.getByRole('main').getByRole('link', { name: new RegExp(template, 'i') }).first().click();
  await page.locator('.roles summary', { hasText: template }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Create agent' }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

/** A field of a form that may be folded away; the form is unfolded then. */
export async function unfolded(page, title, label) {
  const field = page.getByRole('main').getByLabel(label, { exact: true });
  if (!(await field.isVisible())) await page.getByText(title, { exact: true }).click();
  return field;
}

/** Writes into the field of a text: where the rich editor shows it, the editor takes it over. */
export const write = (field, text) =>
  field.evaluate((one, words) => {
    one.value = words;
    one.dispatchEvent(new InputEvent('input', { bubbles: true }));
  }, text);

/** Makes a task for an agent and ends on its page. */
export async function createTask(page, title, agent) {
  await open(page, 'Tasks');
  await page.getByRole('banner').getByRole('link', { name: 'New task' }).click();
  const form = page.locator('#new-task');
  await form.getByLabel('Title', { exact: true }).fill(title);
  await form.getByLabel('Assignee').selectOption({ label: agent });
  await form.getByRole('button', { name: 'Create task', exact: true }).click();
  // With script the form lies over the list, which stays.
  const made = page.getByRole('heading', { level: 1, name: title });
  const link = page.locator('#toasts').getByRole('link', { name: 'Open' }).last();
  await made.or(link).first().waitFor();
  if (await link.count()) await link.click();
  await made.waitFor();
}

/** Makes an invitation as a role (Member, Viewer, …); gives its link. */
export async function invite(page, place, role) {
  await page.goto(`${place}/settings/members`);
  await page.getByText('Invite someone').click();
  await page.getByRole('radio', { name: new RegExp(role) }).check();
  await page.getByRole('button', { name: 'Create invitation link' }).click();
  return page.locator('.code[data-line] code').first().innerText();
}

/** Follows an invitation as somebody new; ends in the workspace. */
export async function join(page, link, { name, email, password }) {
  await page.goto(link);
  await page.getByRole('heading', { level: 1, name: /^Join / }).waitFor();
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.waitForURL(/\/w\/[^/]+\/$/);
}

/** Goes on with Tab, as somebody without a mouse does, until something has the focus that can be seen. */
export async function tabTo(page, target, most = 120) {
  for (let step = 0; step < most; step += 1) {
    await page.keyboard.press('Tab');
    const state = await target.evaluate((one) => {
      if (one !== document.activeElement) return undefined;
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(one);
      const { top, bottom } = one.getBoundingClientRect();
      const seen = 0 <= top && bottom <= innerHeight;
      return { marked: (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none', seen };
    });
    if (!state) continue;
    if (!state.marked) throw new Error('the focus cannot be seen there');
    if (!state.seen) throw new Error('what has the focus is out of sight');
    return;
  }
  const at = await page.evaluate(() => `${document.activeElement.outerHTML.slice(0, 160)} of ${document.querySelectorAll('a, button, input').length}`);
  throw new Error(`${most} times Tab do not lead there, but to ${at}`);
}

/** Goes to the end of the page, where the composer covers nothing. */
export async function atEnd(page) {
  await page.locator('#main').evaluate((main) => main.scrollTo({ top: main.scrollHeight, behavior: 'instant' }));
}

/** The delivered work that waits for a decision on a task's page. */
export function waiting(page) {
  return page.getByRole('main').getByRole('button', { name: 'Approve', exact: true });
}

/** The names of the fields that are marked as wrong; each must say why. */
export async function wrongFields(page) {
  const fields = await page.locator('[aria-invalid="true"]').all();
  return Promise.all(
    fields.map(async (field) => {
      const says = await field.getAttribute('aria-describedby');
      const text = await page.locator(`#${says}`).innerText();
      if (!text.trim()) throw new Error(`nothing is said beside ${await field.getAttribute('id')}`);
      return field.getAttribute('name');
    }),
  );
}

export const PATIENCE = { timeout: 30_000 };
