// The browser of an agent: a person switches it on, sees how it stands, and forgets what it keeps.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { asOwner } from '../lib/story.mjs';

export function tell(given) {
  test('a browser is switched on and off on the page of its agent', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: WIDE, storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada`);
    await page.getByRole('main').getByRole('link', { name: 'Browser', exact: true }).click();
    await page.getByText('Ada has no browser.').waitFor();
    await page.getByRole('button', { name: 'Turn on' }).click();
    await page.getByText('Ada can use a browser').waitFor();
    await page.getByRole('heading', { name: 'Browser is off' }).waitFor();
    await assertAccessible(page, 'the browser of an agent');

    await page.getByRole('button', { name: 'Reset browser' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset browser' }).click();
    await page.getByText('Ada can use a browser').waitFor();
    await page.getByRole('button', { name: 'Turn off' }).click();
    await page.getByText('Ada has no browser.').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a person opens a browser, takes the wheel by a key, signs in in the dark and hands back', async () => {
    const { browser, server, place, signedIn } = given;
    const sent = [];
    const site = createServer((request, answer) => {
      request.on('data', (data) => sent.push(String(data)));
      answer.setHeader('content-type', 'text/html');
      const fields = '<input name=word type=password autofocus style="font-size:40px"><button>Sign in</button>';
      answer.end(request.method === 'POST' ? '<title>Inside</title><h1>Inside' : `<title>Gate</title><form method=post action=/in>${fields}</form>`);
    }).listen(0, '127.0.0.1');
    await once(site, 'listening');
    const host = `127.0.0.1:${site.address().port}`;
    const context = await newContext(browser, server, { size: WIDE, storageState: signedIn });
    const page = await context.newPage();
    const { put } = asOwner(page, given);
    await put('/reach', { opened: [host] });
    await put('/agents/ada/browser', { on: true });
    await page.goto(`${place}/agents/ada/browser`);
    await page.getByLabel('Address to open').fill(`http://${host}/`);
    await page.getByRole('button', { name: 'Open browser' }).click();
    await page.locator('.live[data-live]').waitFor();
    await page.getByRole('tab', { name: 'Gate' }).waitFor();
    await assertAccessible(page, 'the live view of a browser');

    await page.keyboard.press('w');
    await page.getByText('You’re in control, Ada waits').waitFor();
    await page.getByText('Ctrl Alt Q leaves it').waitFor();
    await page.keyboard.type('a bell');
    await page.getByText('Only you see the page until the form is sent.').waitFor();
    await assertAccessible(page, 'a browser in the dark');
    await page.keyboard.press('Enter');
    await page.getByText('Ctrl Alt Q leaves it').waitFor();
    await page.waitForFunction(() => document.querySelector('[data-b=url]').value.endsWith('/in'));
    assert.deepEqual(sent, ['word=a+bell']);
    await page.getByLabel('Tell Ada what you changed').fill('You are signed in.');
    await page.keyboard.press('Control+Alt+q');
    await page.getByText('Ada is in control').waitFor();
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByRole('heading', { name: 'Browser is off' }).waitFor();
    assert.deepEqual(context.faults(), []);

    const phone = await newContext(browser, server, { size: PHONE, theme: 'dark', storageState: signedIn });
    const small = await phone.newPage();
    await small.goto(`${place}/agents/ada/browser`);
    await small.getByRole('button', { name: 'Open browser' }).click();
    await small.getByRole('button', { name: 'Take control' }).click();
    await small.getByText('You’re in control, Ada waits').waitFor();
    const width = await small.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `nothing is wider than the screen: ${width}`);
    await assertAccessible(small, 'the wheel on a phone');
    await small.getByRole('button', { name: 'Hand back' }).click();
    await small.getByText('Ada is in control').waitFor();
    assert.deepEqual(phone.faults(), []);
    await put('/agents/ada/browser', { on: false });
    await phone.close();
    await context.close();
    site.close();
  });

  test('the switch of a browser works on a phone without script', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark', storageState: signedIn, script: false });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada/browser`);
    await page.getByRole('button', { name: 'Turn on' }).press('Enter');
    await page.getByText('Ada can use a browser').waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `nothing is wider than the screen: ${width}`);
    await page.getByRole('button', { name: 'Turn off' }).press('Enter');
    await page.getByText('Ada has no browser.').waitFor();
    await context.close();
  });
}
