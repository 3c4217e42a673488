// Sources: a folder added with the form, followed while its page stands open, found, paused, removed; without a script
// on a phone; accessible on every page.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

export function tell(given) {
  let root;
  after(() => root && rm(root, { recursive: true, force: true }));

  const opened = async (options = {}) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const over = async (context) => {
    // A refused form is an answer of 422, which the browser also notes.
    assert.deepEqual(context.faults().filter((fault) => !fault.includes('422')), []);
    await context.close();
  };

  test('A folder is added, and its page shows what changes there', async () => {
    root = await mkdtemp(join(tmpdir(), 'hq-sources-'));
    for (const name of ['handbook', 'notes']) await mkdir(join(root, name));
    await writeFile(join(root, 'handbook', 'lease.md'), '# Lease terms\n\nThe deposit is cobalt.\n');
    await writeFile(join(root, 'notes', 'a-b_c.txt'), 'Words without a heading.');
    await given.server.restart({ settings: { HQ_PRACTICE_PAUSE_MS: '8', HQ_SOURCE_FOLDERS: root } });
    const { context, page } = await opened();
    await page.goto(`${given.place}/knowledge`);
    await page.getByRole('link', { name: 'Sources' }).click();
    await page.getByRole('link', { name: 'Add source' }).first().click();
    await page.getByRole('link', { name: 'Folder', exact: true }).click();
    const folder = page.getByLabel('Folder', { exact: true });
    await folder.fill('/etc');
    await page.getByRole('button', { name: 'Add source' }).click();
    await page.getByText('isn’t in any folder').first().waitFor();
    await folder.fill(join(root, 'handbook'));
    await page.getByRole('button', { name: 'Add source' }).click();
    const items = page.locator('#source');
    await items.getByRole('link', { name: 'Lease terms' }).waitFor();

    // A sync that is asked for is seen where the page stands open.
    await writeFile(join(root, 'handbook', 'lease.md'), '# Terms of lease\n\nThe deposit is vermilion.\n');
    await page.getByRole('button', { name: 'Sync now' }).click();
    await items.getByRole('link', { name: 'Terms of lease' }).click();
    await page.locator('#k-body').getByText('vermilion').waitFor();
    await page.getByText('Synced from').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Edit' }).count(), 0, 'nobody writes it here');
    await page.goto(`${given.place}/knowledge?q=vermilion`);
    await page.locator('.hit', { hasText: 'Terms of lease' }).waitFor();
    await over(context);
  });

  test('Without a script on a phone a source is added, rests and goes', async () => {
    const { context, page } = await opened({ size: PHONE, script: false });
    await page.goto(`${given.place}/knowledge/sources/new?connector=folder`);
    await page.getByLabel('Folder', { exact: true }).fill(join(root, 'notes'));
    await page.getByLabel('Name', { exact: true }).fill('My notes');
    assert.equal(await tooWide(page), '', 'the form');
    await page.getByRole('button', { name: 'Add source' }).press('Enter');
    await page.getByRole('heading', { name: 'My notes' }).waitFor();
    const at = page.url();
    for (let look = 0; look < 50 && !(await page.getByRole('link', { name: 'a b c' }).count()); look += 1) await page.goto(at);
    assert.equal(await tooWide(page), '', 'the page');
    await page.locator('article').getByRole('button', { name: 'More' }).press('Enter');
    await page.getByRole('button', { name: 'Pause' }).press('Enter');
    await page.locator('#source').getByText('Paused').waitFor();
    await page.locator('article').getByRole('button', { name: 'More' }).press('Enter');
    await page.getByRole('button', { name: 'Remove' }).first().press('Enter');
    await page.locator('#remove-source').getByRole('radio', { name: /Keep them as pages/ }).press('Space');
    await page.locator('#remove-source').getByRole('button', { name: 'Remove', exact: true }).press('Enter');
    await page.getByRole('heading', { name: 'Sources' }).waitFor();
    await page.goto(`${given.place}/knowledge?q=heading&kind=page`);
    await page.getByRole('link', { name: 'a b c' }).waitFor();
    await over(context);
  });

  test('Each page is accessible, light and dark, wide and on a phone', async () => {
    const { browser, server, signedIn, place } = given;
    const at = `${place}/knowledge/sources`;
    const { context, page } = await opened();
    await page.goto(at);
    const one = await page.locator('#sources a.title').first().getAttribute('href');
    await context.close();
    const paths = [at, `${at}/new`, `${at}/new?connector=folder`, `${at}/new?connector=web`, one];
    const remarks = [];
    for (const look of [{ theme: 'light', size: WIDE }, { theme: 'dark', size: PHONE }]) {
      const seen = await newContext(browser, server, { storageState: signedIn, ...look });
      const tab = await seen.newPage();
      for (const path of paths) {
        await tab.goto(path);
        const wide = await tooWide(tab);
        if (wide) remarks.push(`${path}: ${wide}`);
        await assertAccessible(tab, `${path} (${look.theme})`).catch((error) => remarks.push(error.message));
      }
      remarks.push(...seen.faults());
      await seen.close();
    }
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });
}
