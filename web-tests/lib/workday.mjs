// A day of work with a model, for the screenshots: one long piece of work with all that a run can hold,
// a conversation, programs that go on, and what goes wrong. The model is scripted (`model.mjs`), all
// else is the program as it is.

import { PATIENCE } from './story.mjs';

const LONG_WORK = { timeout: 60_000 };

export const PRICES = 'Compare early-return fees of four cargo-bike firms';
export const LONG =
  'Re-read the whole framework agreement with Hansen & Kröger and list each clause that names a fee, a term or a penalty';

const QUOTES = 'firm,one,five,ten,end\nVelolease,189,172,159,2 rates\nPedalo,205,184,169,?\nLastenrad Nord,179,179,165,?\nCargoHub,219,198,188,none\n';
const NOTES = `# Leasing fees

Four firms, prices a month and bike, from their own pages.

## Velolease
- Delivery: unknown
- Early return: unknown

## CargoHub
- Delivery: included
- Early return: any month, no fee
`;
const KNOWN = [
  { old_text: '- Delivery: unknown\n- Early return: unknown', new_text: '- Delivery: €95 an order, any number of bikes (terms 4.1)\n- Early return: from month 7, two monthly rates a bike (4.2)\n- Handing the bike to a new customer halves the fee (4.2)\n- Deposit: €150 a bike with the first rate (5.1)' },
];
const PATCH = `*** Begin Patch
*** Update File: notes/leasing-fees.md
@@
 ## CargoHub
 - Delivery: included
-- Early return: any month, no fee
+- Early return: any month, no fee, one month's notice in writing
*** Add File: out/mail-to-pedalo.md
+Dear Pedalo team,
+
+what does it cost to return a bike in month nine of a contract of three years?
+Please name the clause, too.
*** End Patch`;
const TABLE = "awk -F, '{ printf \"%-15s %6s %6s %6s   %s\\n\", $1, $2, $3, $4, $5 }' out/quotes.csv && awk -F, 'NR > 1 && $5 == \"?\" { print \"no data on early return: \" $1 > \"/dev/stderr\" }' out/quotes.csv && printf '\\033[32mwrote out/fees.csv (4 rows), 2 firms without an early-return fee\\033[0m\\n'";
const DELIVERED = `| Firm | 1 bike | 5 bikes | 10 bikes | Return in month 9 |
|---|--:|--:|--:|---|
| Velolease | €189 | €172 | €159 | two rates |
| Pedalo | €205 | €184 | €169 | not said, asked by mail |
| Lastenrad Nord | €179 | €179 | €165 | €240 |
| CargoHub | €219 | €198 | €188 | free, one month's notice |

**Lastenrad Nord** is the cheapest for up to six bikes even if each is returned early. From seven bikes on *Velolease* wins.

Uncertain: Pedalo has not answered; its page of terms could not be opened.`;

/** The picture that a message brings along: a price list as a firm would print it. */
async function priceList(browser) {
  const page = await browser.newPage({ viewport: { width: 640, height: 400 } });
  await page.setContent(`<body style="margin:0;font:16px/1.5 Georgia,serif;background:#fbf7ee;color:#2b2418;padding:28px 36px">
    <h1 style="margin:0 0 4px;font-size:26px;color:#7a3b12">Lastenrad Nord</h1><p style="margin:0 0 18px">Price list from 1 October 2026</p>
    <table style="width:100%;border-collapse:collapse">${[['Bikes', 'a month', 'deposit', 'early return'], ['1 to 4', '€ 179', '€ 200', '€ 240'], ['5 to 9', '€ 179', '€ 150', '€ 240'], ['10 and more', '€ 165', '€ 100', '€ 180']]
      .map((row, n) => `<tr>${row.map((cell) => `<td style="padding:9px 4px;border-bottom:1px solid #c9b994;${n ? '' : 'font-weight:bold'}">${cell}</td>`).join('')}</tr>`)
      .join('')}</table><p style="margin:22px 0 0;font-size:13px">Delivery within the city is free. All prices without VAT.</p></body>`);
  const picture = await page.screenshot();
  await page.close();
  return picture;
}

/** What the scripted model answers to each piece of work. */
export function tellStories(model) {
  // The long piece of work, up to its question and on from the answer.
  model.tell(
    /Early-return fees|early-return fees of four/,
    { thinks: 'Four firms and one question: what does it cost to hand a bike back early? First the task itself, then what lies in the folder already, then one firm after the other.', says: 'I will read the task, collect the prices in one table, and look up the early-return rule of each firm.', calls: [['task_get', {}]], pace: 9 },
    { calls: [['progress', { text: 'reading the offers, 1 of 4', plan: [{ step: 'Collect the prices', state: 'doing' }, { step: 'Look up early-return rules', state: 'todo' }, { step: 'Write the comparison', state: 'todo' }] }], ['list', { path: 'scratch/inbox' }]], pace: 4 },
    (messages) => ({ thinks: 'There is a picture of a price list. I read it rather than guess.', calls: [['read', { path: JSON.stringify(messages).match(/[\w-]*price-list\.png/)?.[0]?.replace(/^/, 'scratch/inbox/') ?? 'scratch/inbox/price-list.png' }]], pace: 6 }),
    { thinks: 'Lastenrad Nord: €179, early return €240. The three others have pages.', calls: [['web_fetch', { url: 'https://pedalo.example/terms-and-conditions/business-leasing/2026' }], ['write', { path: 'out/quotes.csv', content: QUOTES }]], pace: 5 },
    { refuses: { status: 529, message: 'Overloaded', code: 'overloaded_error', headers: { 'retry-after': '1' } }, says: "Pedalo's page cannot be reached from here; I note that and go on. Now the table.", calls: [['exec', { command: TABLE }]], pace: 8 },
    { calls: [['write', { path: 'notes/leasing-fees.md', content: NOTES }]], pace: 4 },
    { thinks: 'Section 4 of the terms has the numbers that were missing.', calls: [['edit', { path: 'notes/leasing-fees.md', edits: KNOWN }]], pace: 4 },
    { calls: [['apply_patch', { input: PATCH }]] },
    { calls: [['exec', { command: 'grep -rn "fee" contracts/ | head -5; false' }]] },
    { says: 'Two small questions can be answered beside this. I hand them on.', calls: [['subagent_spawn', { name: 'fee-reader', task: 'Read notes/leasing-fees.md and name the cheapest firm for six bikes.', budget: 0.1 }], ['subagent_spawn', { name: 'mail-checker', task: 'Check the mail in out/mail-to-pedalo.md for tone.', budget: 0.1 }]] },
    { calls: [['subagent_wait', {}]] },
    { thinks: 'Both agree. Before I write the comparison I must know whether the deposit counts, because it turns the order around for one bike.', calls: [['ask_person', { question: 'Should the deposit count as a cost in the comparison? It is paid back at the end, but it is €200 a bike for up to a year.', options: ['Count it', 'Skip it', 'Show both'] }]], pace: 5 },
    { says: 'Understood. I write the comparison with the deposit left out.', calls: [['deliverable_submit', { kind: 'text', title: 'Early-return fees of four firms', body: DELIVERED, note: 'Pedalo is open: the mail to them lies in out/mail-to-pedalo.md.' }]], pace: 9 },
    { calls: [['memory_append', { text: 'Mira leaves deposits out of price comparisons.', lasting: true }]] },
    { calls: [['comment_add', { body: 'The comparison waits for you. Pedalo has **not** answered yet; I would write to them on Monday.' }]] },
    { calls: [['work_done', { summary: 'Four firms compared; the early-return fee of Pedalo is open.', task_state: 'in_review' }]] },
  );
  model.tell(/\[Subagent Task[\s\S]*(cheapest firm)/, { thinks: 'Six bikes at each price.', calls: [['read', { path: 'notes/leasing-fees.md' }]], pace: 10, first: 400 }, { says: 'For six bikes **Lastenrad Nord** is the cheapest: 6 × €179 = €1,074 a month.', pace: 30 });
  model.tell(/\[Subagent Task[\s\S]*(for tone)/, { says: 'The mail is polite and clear. I would name the contract, so that they find it.', pace: 30, first: 700 });

  // Programs that go on.
  model.tell(
    /Watch the shop/,
    // It has ended before anything waits: its end wakes nobody.
    { calls: [['exec', { command: 'for f in a b c; do echo "checking $f"; sleep 0.05; done; echo "3 links are dead" >&2; exit 3', background: true }]] },
    { says: 'I start the watcher and leave it running.', calls: [['exec', { command: "i=0; while :; do i=$((i+1)); printf '%s  GET /bikes/long-%02d  200  %d ms\\n' \"$(date +%T)\" $((i%40)) $((20+i*7%90)); sleep 2; done", background: true }]] },
    { calls: [['wait_until', { minutes: 600, reason: 'the shop opens at eight, then I look at what the watcher saw' }]] },
    { calls: [['work_done', { summary: 'Watched.', task_state: 'complete' }]] },
  );
  // The same call again and again.
  model.tell(/Find the lost invoice/, ...Array.from({ length: 40 }, () => ({ thinks: 'Perhaps it is there now.', calls: [['search', { query: 'invoice 2025-1187' }]] })));
  model.tell(/framework agreement/, { thinks: 'A very long name.', calls: [['work_fail', { reason: 'The agreement is not in my folder and not on the task. I need the file; its name is probably framework-agreement-2026-final.pdf.' }]] });
  // No word of what became of it.
  model.tell(/Tidy the shelf/, { says: 'I have looked at it.' }, { says: 'It is tidy, I think.' });

  // Somebody is at work for as long as the pictures take.
  model.tell(/three headlines/, { thinks: 'Spring, long bikes, first warm days.', calls: [['progress', { text: 'writing the second of three' }]] }, { says: 'Three ideas so far, the second is the best: **Carry spring home.** It says what the bike does and when, and it', pace: 4, holds: 18 });

  // The conversation.
  model.tell(/picture of their price list/, { thinks: 'A picture and a question. The list says it plainly.', says: 'I read it: **€179** a month for up to nine bikes, €165 from ten on.\n\n- Deposit: €200, €150 from five bikes on, €100 from ten on\n- Early return: €240 a bike\n\nShall I put it beside the others?', pace: 3 });
  model.tell(
    /what would five bikes cost/i,
    { thinks: 'Five bikes, twelve months, deposit apart.', calls: [['read', { path: 'scratch' }], ['task_list', {}]] },
    { says: '| | Velolease | Lastenrad Nord |\n|---|--:|--:|\n| Five bikes, a month | €860 | €895 |\n| First year | €10,320 | **€10,740** |\n| Back in month 9 | +€1,720 | +€1,200 |\n\nThe sum, so that you can check it:\n\n```python\nfirst_year = 5 * rate * 12\nearly = first_year * 9 / 12 + 5 * fee\n```\n\n> Delivery is not in it: €95 an order at Velolease, free at Lastenrad Nord.', pace: 3 },
  );
  model.tell(/and what would you charge/i, { thinks: 'Our own price has to stay under the first-year total of the cheaper rival and still cover a spare bike.', says: 'I would include the spare bike from five bikes on and raise the rate to **€176**. That keeps us under the first-year total of Velolease, and the workshop log says that a spare is out only', pace: 6, holds: 55 });
}

/** Connects the scripted model, with prices; gives the connection's id. */
export async function connect({ page, place, send, model, name = 'Harbour models' }) {
  await send('/settings/connections', { kind: 'openai-compatible', name, base_url: model.url, key: '', default_model: 'claude-sonnet-5' });
  await page.goto(`${place}/settings/connections`);
  const section = page.locator('section[id^="conn-"]', { hasText: name });
  const connection = (await section.getAttribute('id')).replace('conn-', '');
  for (const [id, input, output, cache] of [['claude-sonnet-5', '2', '10', '0.2'], ['claude-haiku-5-5', '0.1', '0.5', '0.01']]) {
    await send('/settings/usage/prices', { model: id, connection, begins: '', input, output, cache_read: cache, cache_write: '' });
  }
  return connection;
}

/** Connects the scripted model, with prices, and lets the company work with it. Ends when all is as the pictures show it. */
export async function workDay({ browser, server, page, place, send, model }) {
  tellStories(model);
  const connection = await connect({ page, place, send, model });
  await send('/settings/connections/default', { pick: `${connection}/claude-sonnet-5` });

  // A picture comes by chat, then the long piece of work.
  await page.goto(`${place}/agents/ada/chat`);
  await page.getByLabel('Message to Ada').fill('Lastenrad Nord sent a picture of their price list. What does it say?');
  await page.getByLabel('Attach files').setInputFiles([{ name: 'price-list.png', mimeType: 'image/png', buffer: await priceList(browser) }]);
  await page.keyboard.press('Enter');
  await page.getByText('Shall I put it beside the others?').waitFor(PATIENCE);
  const task = await send('/tasks', { title: PRICES, assignee: 'ada', priority: 'high', status: 'todo', description: 'What does it cost to hand a bike **back early**? One table, then three sentences.' });
  await page.goto(task);
  await page.getByRole('region', { name: 'Question from Ada' }).first().waitFor(LONG_WORK);
  const run = new URL(await page.getByRole('link', { name: 'Watch', exact: true }).getAttribute('href'), server.url).pathname;
  // What goes wrong, and what goes on.
  for (const [title, assignee] of [['Watch the shop until it opens', 'otto'], ['Find the lost invoice of the harbour café', 'quill'], ['Tidy the shelf of drafts', 'bea'], [LONG, 'bea']]) {
    await send('/tasks', { title, assignee, priority: 'medium', status: 'todo', description: '' });
  }
  return { task, run, connection };
}

/** Answers the question of the long piece of work, which then comes to its end. */
export async function finish({ page, run }) {
  await page.goto(run);
  await page.getByRole('button', { name: 'Skip it' }).click();
  await page.locator('.run-facts').getByText('Done', { exact: true }).waitFor(LONG_WORK);
}

/** A conversation with all that one can hold; ends while its last answer is being written. */
export async function talk({ page, place }) {
  await page.goto(`${place}/agents/ada/chat`);
  const field = page.getByLabel('Message to Ada');
  await field.fill('Good. And what would five bikes cost us in the first year?');
  await page.keyboard.press('Enter');
  await page.getByText('Delivery is not in it').waitFor(PATIENCE);
  await field.fill('And what would you charge?');
  await page.keyboard.press('Enter');
  await page.getByText('says that a spare').waitFor(PATIENCE);
  await field.fill('Count only full-size bikes, not the three trailers.');
  await page.keyboard.press('Enter');
  await page.locator('.mine[data-queued]').waitFor(PATIENCE);
}
