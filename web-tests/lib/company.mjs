// A small company as it could be after some days, for the screenshots: agents, tasks in every state,
// finished work, a talk. Made through the same forms that a person sends.

import assert from 'node:assert/strict';

import { newContext } from './browser.mjs';
import { invite, join, PATIENCE, setUp, waiting } from './story.mjs';

const AGENTS = [
  { name: 'Ada', emoji: '🧭', template: 'assistant', description: 'Research and comparisons', budget: '40', exec: 'on' },
  { name: 'Quill', emoji: '✍️', template: 'default', description: 'Texts for customers and the shop', budget: '25' },
  { name: 'Otto', emoji: '📮', template: 'default', description: 'Answers mails of the fleet customers', exec: 'on' },
  { name: 'Bea', emoji: '🧮', template: 'default', description: 'Invoices, prices and small sums' },
];

const TASKS = [
  { title: 'Compare leasing prices of five cargo-bike rivals', assignee: 'ada', priority: 'urgent', description: 'We set our own price on Monday. Please compare **monthly price**, *deposit* and what an early return costs.\n\n- VeloLease, Cargoroo, Packrad, Lastwerk, Tandem\n- one table, then three sentences\n- say where a number is older than a year' },
  { title: 'Write the welcome mail for new fleet customers', assignee: 'quill', priority: 'high' },
  { title: 'Answer the three open questions of the bakery in Leith', assignee: 'otto', priority: 'medium' },
  { title: 'Check the November invoices against the contracts', assignee: 'bea', priority: 'high' },
  { title: 'Agree with the insurer on the new terms', assignee: 'mira', priority: 'high', status: 'in_progress', due: 2 },
  { title: 'Find a second workshop in the north of the city, with room for at least six long bikes', assignee: 'mira', priority: 'medium', status: 'blocked', due: -1 },
  { title: 'Decide on the colours of the spring series', assignee: 'mira', priority: 'low', due: 9 },
  { title: 'Order twelve child seats', assignee: '', priority: 'medium' },
  { title: 'Übersetzung der Anleitung für Köln, naïve façade, Łódź, Ελλάδα', assignee: '', priority: 'low' },
  { title: 'Print the price list', assignee: 'mira', priority: 'low', status: 'cancelled' },
  { title: 'Agree on the five firms to compare', assignee: 'mira', priority: 'medium', status: 'done' },
  { title: 'Send the tender to the town hall', assignee: 'mira', priority: 'urgent', status: 'missed', due: -3 },
];

const ROUTINES = [
  { name: 'Plan the day', agent: 'ada', cadence_type: 'weekdays', time_of_day: '07:45', instruction: 'Say in five lines what is due and what waits for whom.' },
  { name: 'Invoices of the month', agent: 'bea', cadence_type: 'monthly', time_of_day: '09:00', instruction: 'Check the invoices of the last month against the contracts.' },
  { name: 'Mails of the fleet customers', agent: 'otto', cadence_type: 'weekly', time_of_day: '16:30', instruction: 'Sort what has come in and answer what is simple.' },
  { name: 'Words for a new stream', agent: 'quill', when: 'event', event: 'stream.created', instruction: 'Suggest three lines that say what it is for.' },
];

const PEOPLE = [
  { name: 'Tom Okafor', email: 'tom@marlow.example', password: 'seven lanterns over a quiet canal', role: 'Member' },
  { name: 'Bea Nováková', email: 'bea@marlow.example', password: 'nine umbrellas in one hall', role: 'Admin' },
  { name: 'Maximiliane-Theodora von Hohenzollern-Sigmaringen zu Österreich', email: 'm.t@marlow.example', password: 'eleven swans behind a ferry', role: 'Viewer' },
];

function day(offset) {
  return offset === undefined ? '' : new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
}

/** Makes the company; ends on the task that waits for a review. */
export async function foundCompany(page, server) {
  await setUp(page, server);
  const place = new URL(page.url()).pathname.match(/^\/w\/[^/]+/)[0];
  const send = async (path, form) => {
    const answer = await page.request.post(`${server.url}${place}${path}`, {
      form,
      headers: { origin: server.url },
      maxRedirects: 0,
    });
    assert.ok(answer.status() < 400, `${path}: ${answer.status()} ${(await answer.text()).slice(0, 400)}`);
    return answer.headers().location ?? '';
  };

  for (const agent of AGENTS) await send('/agents', { thinking: 'low', ...agent });
  const made = [];
  for (const { due, ...task } of TASKS) made.push(await send('/tasks', { description: '', status: 'todo', ...task, due: day(due) }));

  // Four pieces arrive: two are decided, one goes round again, the first waits.
  for (const [at, url] of made.slice(0, 4).entries()) {
    await page.goto(url);
    await waiting(page).waitFor(PATIENCE);
    if (at === 2) {
      await waiting(page).click();
      await page.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
    }
  }
  await page.goto(`${place}/agents/ada/chat`);
  await page.getByLabel('Message to Ada').fill('Which of the five rivals answered last week?');
  await page.keyboard.press('Enter');
  await page.getByText('For real answers, connect a provider').waitFor(PATIENCE);
  await page.goto(made[0]);
  await page.getByLabel('Comment', { exact: true }).fill('Looks good so far. I read it after lunch.');
  await page.getByLabel('Note only').check();
  await page.getByRole('button', { name: 'Comment' }).click();
  await page.getByText('I read it after lunch.').waitFor();
  for (const routine of ROUTINES) await send('/routines', { when: 'schedule', action: 'wake', ...routine });
  return { place, review: made[0], send };
}

/**
 * More people, who also work: what one of them has changed, another has changed again in part. Gives
 * the history of that task and the preview of undoing the first change.
 */
export async function joinCompany(browser, server, page, { place, send }) {
  const colleagues = [];
  for (const { role, ...person } of PEOPLE) {
    const context = await newContext(browser, server);
    colleagues.push(await context.newPage());
    await join(colleagues.at(-1), await invite(page, place, role), person);
  }
  await invite(page, place, 'Viewer');
  const task = await send('/tasks', { title: 'Prepare the service days', description: 'Two days in a row.\nEvery bike is looked at once.', assignee: '', priority: 'medium', status: 'todo' });
  const edit = async (who, title, description) => {
    await who.goto(`${task}?edit=1`);
    await who.getByLabel('Title', { exact: true }).fill(title);
    if (description) await who.getByLabel('Description').fill(description);
    await who.getByRole('button', { name: 'Done', exact: true }).click();
    await who.getByRole('heading', { level: 1, name: title }).waitFor();
  };
  await edit(page, 'Prepare the winter service days', 'Three days in a row, in the north and in the south.\nEvery bike is looked at once.');
  await edit(colleagues[0], 'Prepare the service days of the winter, with a bike to lend for each customer');
  await Promise.all(colleagues.map((one) => one.context().close()));
  await page.goto(task);
  const history = await page.locator('.history-fold a').getAttribute('href');
  await page.goto(history);
  const undo = await page.getByRole('link', { name: 'Undo', exact: true }).nth(1).getAttribute('href');
  return { history, undo };
}

/** A backup, and the proof that it can be restored. */
export async function backUp(page, place) {
  await page.goto(`${place}/settings/backups`);
  await page.getByRole('button', { name: 'Back up now' }).click();
  await page.getByRole('table', { name: /^Backups/ }).waitFor(PATIENCE);
  await page.getByRole('button', { name: 'Run restore drill' }).click();
  await page.locator('.facts.big > div', { hasText: 'Last restore drill' }).getByText('Done').waitFor(PATIENCE);
}
