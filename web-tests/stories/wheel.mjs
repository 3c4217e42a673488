// What people give and allow in the browser of an agent, by the keyboard alone on a narrow screen: a file for a page that
// asks for one while they drive, and a yes before the agent acts, which is for the page as it was.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { startModel } from '../lib/model.mjs';
import { asOwner, PATIENCE, tabTo, until } from '../lib/story.mjs';
import { connect } from '../lib/workday.mjs';

const OFFERS = '<!doctype html><title>Offers</title><input type=file autofocus aria-label=Offer onchange="document.title = this.files[0].name">';
// The word on its button is what the server says at this moment.
const SHOP = `<!doctype html><title>Shop</title><button id=b>Greet</button><script>
b.onclick = () => fetch('/pressed', { method: 'POST', body: b.textContent });
setInterval(async () => { const word = await (await fetch("/word")).text(); if (word !== b.textContent) b.textContent = word; }, 100);</script>`;

const CORNER = `<!doctype html><title>Corner</title><button id=b style="position:fixed;left:75%;top:75%;width:4%;height:4%"></button><script>
let n = 0; b.onclick = () => { document.title = 'Pressed ' + (n += 1); };</script>`;

/** A site on this machine; `pressed` are the words of buttons that were clicked. */
async function openSite() {
  const site = { word: 'Greet', asked: 0, pressed: [] };
  const server = createServer(async (request, answer) => {
    answer.setHeader('content-type', 'text/html');
    if (request.url === '/word') {
      site.asked += 1;
      answer.end(site.word);
      return;
    }
    if (request.url === '/pressed') for await (const piece of request) site.pressed.push(String(piece));
    answer.end({ '/offers': OFFERS, '/corner': CORNER }[request.url] ?? SHOP);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // A story that fails does not stop it.
  server.unref();
  const host = `127.0.0.1:${server.address().port}`;
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return Object.assign(site, { host, url: `http://${host}/`, stop });
}

async function isNarrow(page) {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `nothing is wider than the screen: ${width}`);
}

export function tell(given) {
  test('whoever drives gives a file to a page that asks for one, by the keyboard on a narrow screen', async () => {
    const { browser, server, place, signedIn } = given;
    const site = await openSite();
    const context = await newContext(browser, server, { size: PHONE, touch: false, storageState: signedIn });
    const page = await context.newPage();
    const { put } = asOwner(page, given);
    await put('/reach', { opened: [site.host] });
    await put('/agents/ada/browser', { on: true });
    await page.goto(`${place}/agents/ada/browser`);
    await tabTo(page, page.getByLabel('Address to open'), 200);
    await page.keyboard.type(`${site.url}offers`);
    await page.keyboard.press('Enter');
    await page.locator('.live[data-live]').waitFor();
    await page.getByRole('tab', { name: 'Offers' }).waitFor();

    await page.keyboard.press('w');
    await page.getByText('You’re in control, Ada waits').waitFor();
    await page.getByText('Ctrl Alt Q leaves it').waitFor();
    await page.keyboard.press('Space');
    const pick = page.getByLabel('The page asks for a file');
    await pick.waitFor();
    await assertAccessible(page, 'a page that asks for a file');
    await isNarrow(page);
    await pick.setInputFiles({ name: 'offer.txt', mimeType: 'text/plain', buffer: Buffer.from('Paint, red') });
    await page.getByRole('tab', { name: 'offer.txt' }).waitFor();
    await pick.waitFor({ state: 'hidden' });

    // The next one gets none.
    await page.keyboard.press('Space');
    await pick.waitFor();
    await page.getByRole('button', { name: 'Cancel' }).press('Enter');
    await pick.waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+Alt+q');
    await page.getByText('Ada is in control').waitFor();
    assert.deepEqual(context.faults(), []);
    await put('/agents/ada/browser', { on: false });
    await context.close();
    site.stop();
  });

  test('on a phone two fingers enlarge and move the picture, and a tap presses what lies there', async () => {
    const { browser, server, place, signedIn } = given;
    const site = await openSite();
    const context = await newContext(browser, server, { size: PHONE, touch: true, storageState: signedIn });
    const page = await context.newPage();
    const { put } = asOwner(page, given);
    await put('/reach', { opened: [site.host] });
    await put('/agents/ada/browser', { on: true });
    // It may run already.
    await page.goto(`${place}/agents/ada/browser`);
    const address = page.getByLabel('Address to open');
    if (await address.isVisible()) {
      await address.fill(`${site.url}corner`);
      await page.getByRole('button', { name: 'Open browser' }).tap();
    }
    await page.locator('.live[data-live]').waitFor();
    await page.getByRole('button', { name: 'Take control' }).tap();
    await page.getByText('You’re in control, Ada waits').waitFor();
    await page.getByLabel('Address', { exact: true }).fill(`${site.url}corner`);
    await page.keyboard.press('Enter');
    await page.getByRole('tab', { name: 'Corner' }).waitFor();

    const canvas = page.locator('[data-b="canvas"]');
    await canvas.scrollIntoViewIfNeeded();
    const spot = async () => {
      const box = await canvas.boundingBox();
      return { x: box.x + box.width * 0.77, y: box.y + box.height * 0.77, box };
    };
    const tap = async () => {
      const { x, y } = await spot();
      await page.touchscreen.tap(x, y);
    };
    await tap();
    await page.getByRole('tab', { name: 'Pressed 1' }).waitFor();

    const hand = await context.newCDPSession(page);
    const fingers = (type, ...points) => hand.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    const small = await spot();
    await fingers('touchStart', [small.x - 10, small.y], [small.x + 10, small.y]);
    for (const apart of [20, 30, 35]) await fingers('touchMove', [small.x - apart, small.y], [small.x + apart, small.y]);
    await fingers('touchEnd');
    const large = await spot();
    assert.ok(Math.abs(large.box.width / small.box.width - 3.5) < 0.1, `the picture is enlarged: ${large.box.width}`);
    assert.ok(Math.abs(large.x - small.x) < 3 && Math.abs(large.y - small.y) < 3, 'what lies between the fingers stays there');
    await tap();
    await page.getByRole('tab', { name: 'Pressed 2' }).waitFor();

    await fingers('touchStart', [large.x - 60, large.y - 40], [large.x - 20, large.y - 40]);
    await fingers('touchMove', [large.x - 90, large.y - 60], [large.x - 50, large.y - 60]);
    await fingers('touchEnd');
    const moved = await spot();
    assert.ok(Math.abs(moved.x - large.x + 30) < 3 && Math.abs(moved.y - large.y + 20) < 3, 'two fingers move it');
    await tap();
    await page.getByRole('tab', { name: 'Pressed 3' }).waitFor();
    await isNarrow(page);
    await assertAccessible(page, 'an enlarged picture of a browser');

    const smaller = page.getByRole('button', { name: 'Zoom out' });
    while (await smaller.isEnabled()) await smaller.tap();
    assert.ok(Math.abs((await canvas.boundingBox()).width - small.box.width) < 1, 'as it was');
    await page.getByRole('button', { name: 'Zoom in' }).tap();
    await page.getByText('150 %').waitFor();
    await page.getByRole('button', { name: 'Hand back' }).tap();
    await context.close();
    site.stop();
  });

  test('a yes to an act is for the page as it was, and a page that changed is asked for anew', async () => {
    const { browser, server, place, signedIn } = given;
    const site = await openSite();
    const model = await startModel();
    const context = await newContext(browser, server, { size: PHONE, touch: false, theme: 'dark', storageState: signedIn });
    const page = await context.newPage();
    try {
      const greet = (messages) => {
        const told = messages.map(({ content }) => (typeof content === 'string' ? content : JSON.stringify(content ?? ''))).join('\n');
        const [, ref] = told.match(/button \\?"Greet\\?" \[(e\d+)\]/) ?? [];
        return { calls: [['browser', { action: 'click', ref: ref ?? 'e1' }]] };
      };
      model.tell(/Greet the shop/, { calls: [['browser', { action: 'open', url: site.url }]] }, greet, {
        calls: [['work_done', { summary: 'The shop is greeted.', task_state: 'complete' }]],
      });
      const { put, send } = asOwner(page, given);
      const connection = await connect({ page, place, send, model, name: 'Shop models' });
      await send('/settings/connections/default', { pick: 'practice' });
      await send('/agents', { name: 'Noor', template: 'default', emoji: '🛒', description: '', thinking: 'none', model: `${connection}/claude-sonnet-5` });
      await put('/reach', { opened: [site.host] });
      await put('/agents/noor/browser', { on: true });
      await send('/tasks', { title: 'Greet the shop', assignee: 'noor', priority: 'high', status: 'todo', description: '' });

      await page.goto(`${place}/approvals`);
      const asks = page.getByRole('region', { name: 'Approval for Noor' });
      await asks.waitFor(PATIENCE);
      await asks.getByText('asks before it acts in its browser').waitFor();
      await asks.getByText(`Click the button "Greet" at http://${site.host}`).waitFor();
      await asks.getByRole('img').first().waitFor();
      await assertAccessible(page, 'a question before an act');
      await isNarrow(page);

      // The page becomes another one while somebody thinks about it.
      site.word = 'Delete all';
      const before = site.asked;
      await until('the new word', () => before + 3 < site.asked);
      await tabTo(page, asks.getByRole('button', { name: 'Allow' }), 200);
      await page.keyboard.press('Enter');
      await asks.getByText(/Click the button "Delete all"/).waitFor(PATIENCE);
      assert.deepEqual(site.pressed, [], 'nothing was clicked');
      site.word = 'Greet';
      const again = site.asked;
      await until('the old word', () => again + 3 < site.asked);
      await page.reload();
      await tabTo(page, asks.getByRole('button', { name: 'Allow' }), 200);
      await page.keyboard.press('Enter');
      await asks.getByText(/Click the button "Greet"/).waitFor(PATIENCE);
      await tabTo(page, asks.getByRole('button', { name: 'Allow' }), 200);
      await page.keyboard.press('Enter');
      await until('the click', () => 0 < site.pressed.length);
      assert.deepEqual(site.pressed, ['Greet']);
      await asks.waitFor({ state: 'detached', ...PATIENCE });
      assert.deepEqual(context.faults(), []);
      await put('/agents/noor/browser', { on: false });
    } finally {
      await context.close();
      await model.stop();
      site.stop();
    }
  });
}
