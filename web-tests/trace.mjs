// What a person waits for in a company of 100,000 tasks: the first view of list and board, a change that somebody
// else makes, as it comes to an open page, the palette at each key, and a change of 500 tasks. Chromium's traces are kept in out/. Made by
// `make trace`, never part of `make test`; `SEED=medium make trace` takes the smaller company.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { newContext, startBrowser } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';
import { signIn } from './lib/story.mjs';

const OUT = fileURLToPath(new URL('out/', import.meta.url));
const OWNER = { email: 'mara@tidewater.example', password: 'violet kayak under seven bridges' };
const PLACE = '/w/tidewater-bikes';
const SEED = process.env.SEED || 'large';
const CATEGORIES = ['devtools.timeline', 'blink.user_timing', 'loading', 'rail'];
const VIEWS = 9;
const CHANGES = 15;

/** The middle and the worst of some times. */
function share(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length / 2)], worst: sorted.at(-1) };
}

async function tracing(browser, page, name, body) {
  await browser.startTracing(page, { categories: CATEGORIES });
  try {
    return await body();
  } finally {
    await writeFile(`${OUT}trace-${name}.json`, await browser.stopTracing());
  }
}

/** How long it takes from the address to the last of what is first seen, in milliseconds. */
function painted(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime)).observe({
          type: 'largest-contentful-paint',
          buffered: true,
        });
      }),
  );
}

async function firstView(browser, page, name, path) {
  const times = [];
  await page.goto(path);
  for (let n = 1; n < VIEWS; n += 1) {
    await page.goto('about:blank');
    await page.goto(path);
    times.push(await painted(page));
  }
  // The one that is kept as a trace costs more; it does not count.
  await tracing(browser, page, name, () => page.goto(path));
  return share(times);
}

/** A promise of the moment at which the task of a page is shown in this state. */
function watch(page, id, state) {
  return page.evaluate(
    ([id, state]) => {
      const is = () => document.getElementById(id)?.dataset.state === state;
      globalThis.seen = new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          if (!is()) return;
          observer.disconnect();
          resolve(performance.timeOrigin + performance.now());
        });
        observer.observe(document.body, { subtree: true, childList: true, attributes: true });
      });
    },
    [id, state],
  );
}

/** Changes the status from a page; the moment before it was sent. */
function change(page, name, status) {
  return page.evaluate(
    async ([name, status]) => {
      const began = performance.timeOrigin + performance.now();
      const answer = await fetch(`/api/v1/tasks/${name}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json', 'x-hq-workspace': 'tidewater-bikes' },
        body: JSON.stringify({ status }),
      });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      return began;
    },
    [name, status],
  );
}

async function changeElsewhere(browser, mine, other, path) {
  await other.goto(path);
  await mine.goto(`${PLACE}/`);
  const row = other.locator('li.row[data-state]').first();
  const id = await row.getAttribute('id');
  const name = await row.locator('[data-task]').first().getAttribute('data-task');
  const now = await row.getAttribute('data-state');
  let next = now === 'in_progress' ? 'todo' : 'in_progress';
  const times = [];
  const once = async () => {
    // Changes that follow each other within 100 ms are gathered on purpose; these do not.
    await other.waitForTimeout(300);
    await watch(other, id, next);
    const began = await change(mine, name, next);
    times.push((await other.evaluate(() => globalThis.seen)) - began);
    next = next === 'todo' ? 'in_progress' : 'todo';
  };
  await once();
  times.length = 0;
  for (let n = 0; n < CHANGES; n += 1) await once();
  const measured = share(times);
  await tracing(browser, other, 'change', once);
  return measured;
}

/** From a key in the palette to the lines that HQ found for it, in milliseconds; one key after the other. */
async function palette(browser, page, path, words) {
  // A page behind another one is drawn once a second.
  await page.bringToFront();
  await page.goto(path);
  await page.keyboard.press('Control+k');
  await page.getByRole('option').first().waitFor();
  const field = page.getByRole('combobox', { name: 'Search everything' });
  const type = async (text) => {
    const times = [];
    for (const key of text) {
      await page.evaluate(() => {
        const list = document.getElementById('palette-list');
        globalThis.drawn = new Promise((resolve) => {
          const begin = () => {
            const began = performance.now();
            const drawn = () => requestAnimationFrame(() => resolve(performance.now() - began));
            list.addEventListener('htmx:after:settle', drawn, { once: true });
          };
          addEventListener('keydown', begin, { capture: true, once: true });
        });
      });
      await page.keyboard.press(key);
      times.push(await page.evaluate(() => globalThis.drawn));
    }
    return times;
  };
  // The first question of all opens the index.
  await type(words[0]);
  const times = [];
  for (const word of words.slice(1)) {
    await field.fill('');
    await page.waitForTimeout(300);
    times.push(...(await type(word)));
  }
  await field.fill('');
  await tracing(browser, page, 'palette', () => type(words[0]));
  return share(times);
}

/** Changes 500 tasks of a list as one, and takes it back: what a person waits for each. */
async function bulk(browser, page) {
  const send = (path, body) =>
    page.evaluate(
      async ([path, body]) => {
        const began = performance.now();
        const answer = await fetch(`/api/v1/${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-hq-workspace': 'tidewater-bikes' },
          body: JSON.stringify(body),
        });
        const said = await answer.json();
        if (!answer.ok) throw new Error(JSON.stringify(said));
        return { took: performance.now() - began, said };
      },
      [path, body],
    );
  await page.goto(`${PLACE}/tasks`);
  const tasks = await page.evaluate(async () => {
    const keys = [];
    let after = '';
    while (keys.length < 500) {
      const answer = await fetch(`/api/v1/tasks?q=is:open&limit=100${after}`, { headers: { 'x-hq-workspace': 'tidewater-bikes' } });
      const said = await answer.json();
      keys.push(...said.items.map((task) => task.key));
      after = `&after=${said.next}`;
    }
    return keys.slice(0, 500);
  });
  const times = [];
  const once = async (due_at) => times.push((await send('tasks/bulk', { tasks, due_at })).took);
  for (let day = 10; day < 10 + VIEWS; day += 1) await once(`2031-03-${day}`);
  const measured = share(times);
  await tracing(browser, page, 'bulk', () => once(null));
  return measured;
}

function line(what, promise, { p50, worst }) {
  const kept = p50 <= promise;
  const cells = [what.padEnd(30), `≤ ${promise} ms`.padEnd(12), `${p50.toFixed(0)} ms`.padEnd(10), `${worst.toFixed(0)} ms`.padEnd(10)];
  console.log(`${cells.join('')}${kept ? '' : 'MISSED'}`);
  return kept;
}

await mkdir(OUT, { recursive: true });
const server = await startServer({ seed: SEED });
const browser = await startBrowser();
let kept = true;
try {
  const context = await newContext(browser, server);
  const [mine, other] = [await context.newPage(), await context.newPage()];
  await signIn(mine, OWNER);
  await mine.waitForURL(new RegExp(`${PLACE}/`));
  console.log(`${`${SEED} company`.padEnd(30)}${'promise'.padEnd(12)}${'p50'.padEnd(10)}worst`);
  const list = await firstView(browser, mine, 'list', `${PLACE}/tasks`);
  kept = line('first view of the list', 300, list) && kept;
  const board = await firstView(browser, mine, 'board', `${PLACE}/tasks?layout=board`);
  kept = line('first view of the board', 300, board) && kept;
  const seen = await changeElsewhere(browser, mine, other, `${PLACE}/tasks?q=is:open&sort=priority&group=none`);
  kept = line('a change on another page', 50, seen) && kept;
  const keys = await palette(browser, mine, `${PLACE}/tasks`, ['brake', 'wheel', 'invoice', 'leasing', 'mara']);
  kept = line('a key in the palette', 50, keys) && kept;
  kept = line('500 tasks changed as one', 300, await bulk(browser, mine)) && kept;
  const faults = context.faults();
  if (0 < faults.length) throw new Error(faults.join('\n'));
} finally {
  await browser.close();
  await server.stop();
}
process.exitCode = kept ? 0 : 1;
