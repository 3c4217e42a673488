// A run that is stopped, and HQ that goes away in the middle of one.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts, WIDE } from '../lib/browser.mjs';
import { SLOW } from '../lib/server.mjs';
import { createTask, PATIENCE, waiting } from '../lib/story.mjs';

export function tell(given) {
  test('Stop on the page of a run ends it; Retry begins anew', async () => {
    const { browser, server, signedIn } = given;
    await server.restart({ settings: SLOW });
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto('/');
    await createTask(page, 'Count the spokes', 'Ada');
    const task = page.url();
    await page.getByRole('main').getByRole('link', { name: 'Watch' }).click(PATIENCE);
    await page.getByRole('heading', { level: 1, name: /Count the spokes/ }).waitFor();
    const head = page.locator('#run-head');
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await head.getByText('Stopped', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'detached' });
    await page.reload();
    await head.getByText('Stopped', { exact: true }).waitFor();

    await head.getByRole('button', { name: 'Retry' }).click();
    await page.getByRole('heading', { level: 1, name: 'Ada' }).waitFor();
    await page.goto(task);
    await page.getByRole('main').getByRole('button', { name: 'Stop', exact: true }).click(PATIENCE);
    await page.getByRole('main').getByRole('link', { name: 'Watch' }).waitFor({ state: 'detached' });
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('Stop in the list on a phone, on the dashboard and in the palette leaves the page where it is', async () => {
    const { browser, server, signedIn, place } = given;
    await server.restart({ settings: SLOW });
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const main = page.getByRole('main');
    const stop = main.getByRole('button', { name: /^Stop R-/ });
    const palette = async () => {
      await page.keyboard.press('Control+k');
      await page.getByRole('combobox', { name: 'Search everything' }).fill('stop hinges');
      await page.getByRole('option', { name: /^Stop R-/ }).click();
    };
    const phone = async () => {
      await page.setViewportSize(PHONE);
      await assertAccessible(page, 'the list of runs on a phone');
      await stop.click();
    };
    for (const [address, press] of [['runs', phone], ['', () => stop.click()], ['', palette]]) {
      await page.setViewportSize(WIDE);
      await page.goto('/');
      await createTask(page, 'Oil the hinges', 'Ada');
      await page.goto(`${place}/${address}`);
      await stop.waitFor(PATIENCE);
      await page.evaluate(() => (window.sameDocument = true));
      await press();
      await stop.waitFor({ state: 'detached' });
      assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was never loaded again');
    }
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('a page and the run that it shows go on by themselves after HQ was killed', async () => {
    const { browser, server, signedIn, place } = given;
    await server.restart({ settings: SLOW });
    const [context, elsewhere] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, list] = [await context.newPage(), await elsewhere.newPage()];
    await list.goto(`${place}/tasks`);
    await page.goto('/');
    await createTask(page, 'Paint the gate', 'Ada');
    await page.getByRole('main').getByRole('link', { name: 'Watch' }).waitFor(PATIENCE);
    await page.evaluate(() => (window.sameDocument = true));

    await server.restart({ signal: 'SIGKILL' });
    await waiting(page).waitFor(PATIENCE);
    await list.getByRole('link', { name: 'Paint the gate' }).waitFor(PATIENCE);
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was never loaded again');
    assert.equal(await waiting(page).count(), 1, 'the work was delivered once');
    await waiting(page).click();
    await page.getByRole('main').getByText('Approved', { exact: true }).first().waitFor();
    await page.locator('#link-state').waitFor({ state: 'hidden' });
    // While it was away nobody answered, and while its stores opened it asked for patience.
    const away = (fault) => fault.includes('net::ERR_') || fault.includes('503');
    const broken = [...context.faults(), ...elsewhere.faults()].filter((fault) => !away(fault));
    assert.deepEqual(broken, []);
    await elsewhere.close();
    await context.close();
  });
}
