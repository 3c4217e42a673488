// Knowledge: a page written in the editor and stored as one writes, merged with another's words, found by what stands
// in it; files put in and read; readers chosen; without a script on a phone; accessible on every page.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { assertAccessible, tooWide } from '../lib/axe.mjs';
import { newContext, PHONE, twoContexts, WIDE } from '../lib/browser.mjs';

/** A model without a sense, whose weights are random. */
const TINY = join(import.meta.dirname, '../../src/embed/tests/tiny');
const PDF = join(import.meta.dirname, '../../src/extract/tests/files/libreoffice.pdf');
const LEASE = '# Deposit\n\nCustomers pay *one* rate.\n\n[x]: https://example.com\n\n## Return\n\n* within ten days\n* by transfer\n';

export function tell(given) {
  const api = async (page, path, init = {}) => {
    const { server, place } = given;
    const headers = { origin: server.url, 'x-hq-workspace': place.split('/').at(-1) };
    const answer = await page.request.fetch(`${server.url}/api/v1${path}`, { ...init, headers });
    assert.ok(answer.status() < 300, `${path}: ${answer.status()} ${await answer.text()}`);
    return answer.json();
  };
  const written = (page, data) => api(page, '/knowledge', { method: 'POST', data });
  const opened = async (options = {}) => {
    const { browser, server, signedIn } = given;
    const context = await newContext(browser, server, { storageState: signedIn, ...options });
    return { context, page: await context.newPage() };
  };
  const over = async (context) => {
    assert.deepEqual(context.faults(), []);
    await context.close();
  };
  const stored = (page) => page.locator('[data-says]').getByText('Saved', { exact: true }).waitFor();
  const textOf = async (page, id) => (await api(page, `/knowledge/${id}`)).text;

  test('A page is written in the editor, only the touched block changes, and another page shows it at once', async () => {
    const { browser, server, signedIn, place } = given;
    const [here, there] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await here.newPage(), await there.newPage()];
    const { id } = await written(page, { title: 'Lease terms', text: LEASE });
    await other.goto(`${place}/knowledge/${id}`);
    await page.goto(`${place}/knowledge/${id}`);
    await page.getByRole('link', { name: 'Edit' }).click();
    const editor = page.locator('.ProseMirror');
    await editor.getByText('Customers pay').click();
    await page.keyboard.press('End');
    await page.keyboard.type(' At once.');
    await stored(page);
    assert.equal(await textOf(page, id), LEASE.replace('rate.', 'rate. At once.'), 'all other blocks keep their bytes');
    await other.locator('#k-body').getByText('At once.').waitFor();
    await page.getByRole('button', { name: /^Done/ }).click();
    await page.locator('#k-body').getByText('At once.').waitFor();
    await Promise.all([over(here), over(there)]);
  });

  test('Two write the same page: what both changed is made one, and what clashes is chosen', async () => {
    const { context, page } = await opened();
    const { place } = given;
    const { id, text } = await written(page, { title: 'Return check', text: LEASE });
    await page.goto(`${place}/knowledge/${id}?edit=yes`);
    const editor = page.locator('.ProseMirror');
    await editor.getByText('Customers pay').waitFor();
    await api(page, `/knowledge/${id}`, { method: 'PATCH', data: { text: text.replace('ten days', 'five days'), base: text } });
    await editor.getByText('within five days').waitFor();
    await editor.getByText('Customers pay').click();
    await page.keyboard.press('End');
    await page.keyboard.type(' Then ride.');
    await stored(page);
    const now = await textOf(page, id);
    assert.ok(now.includes('within five days') && now.includes('Then ride.'), now);
    await over(context);
  });

  test('Who writes on a page that somebody deletes is told so, and nothing is asked again', async () => {
    const { context, page } = await opened();
    const { place, server } = given;
    const { id } = await written(page, { title: 'Short-lived', text: 'First words.' });
    await page.goto(`${place}/knowledge/${id}?edit=yes`);
    const editor = page.locator('.ProseMirror');
    await editor.getByText('First words.').waitFor();
    const headers = { origin: server.url, 'x-hq-workspace': place.split('/').at(-1) };
    const gone = await page.request.delete(`${server.url}/api/v1/knowledge/${id}`, { headers });
    assert.equal(gone.status(), 204);
    await editor.getByText('First words.').click();
    await page.keyboard.type('Mine. ');
    await page.locator('[data-says]').getByText('Someone deleted this page. Your text is still here.').waitFor();
    let asked = 0;
    page.on('request', (request) => (asked += request.method() === 'PATCH' ? 1 : 0));
    await page.keyboard.type('More. ');
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await editor.getByText('More.').waitFor();
    assert.equal(asked, 0);
    await context.close();
  });

  test('Files are put in, read and found; readers are chosen; a former version comes back', async () => {
    const { context, page } = await opened();
    const { place } = given;
    await page.goto(`${place}/knowledge`);
    await page.getByRole('button', { name: 'New', exact: true }).click();
    await page.getByRole('button', { name: 'Files', exact: true }).click();
    const html = '<h1>Harbour</h1><p>The tide comes at noon.</p>';
    await page.locator('#k-files').setInputFiles({ name: 'tide.html', mimeType: 'text/html', buffer: Buffer.from(html) });
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('.k-leaf').getByText('The tide comes at noon.').waitFor();
    await page.goto(`${place}/knowledge?q=tide+noon`);
    await page.locator('.hit', { hasText: 'tide.html' }).locator('mark').first().waitFor();

    const { id } = await written(page, { title: 'Rules', text: 'First words.' });
    await api(page, `/knowledge/${id}`, { method: 'PATCH', data: { text: 'Second words.', reason: 'better' } });
    await page.goto(`${place}/knowledge/${id}`);
    await page.getByText('Every agent', { exact: true }).click();
    await page.locator('#k-readers [data-saved="done"]').waitFor();
    await page.goto(`${place}/knowledge/context`);
    await page.locator('.k-now').getByText('Second words.').waitFor();
    await page.goto(`${place}/knowledge/${id}/versions/1`);
    await page.getByRole('button', { name: 'Restore version' }).click();
    await page.locator('#k-body').getByText('First words.').waitFor();
    await over(context);
  });

  test('A PDF is found, and its preview opens at the hit and marks it', async () => {
    const { context, page } = await opened();
    const { place } = given;
    await page.goto(`${place}/knowledge`);
    await page.getByRole('button', { name: 'New', exact: true }).click();
    await page.getByRole('button', { name: 'Files', exact: true }).click();
    await page.locator('#k-files').setInputFiles(PDF);
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('.k-leaf').getByText('We deliver').waitFor();
    await page.goto(`${place}/knowledge?q=machine`);
    await page.locator('.hit', { hasText: 'libreoffice.pdf' }).getByRole('link').first().click();
    const preview = page.getByRole('region', { name: 'Preview' });
    await preview.getByText('Page 1 of 1', { exact: true }).waitFor();
    await preview.locator('mark', { hasText: 'machines' }).waitFor();
    await assertAccessible(page, 'the preview of a PDF');
    // A region that is drawn anew keeps the preview.
    const { pathname } = new URL(page.url());
    await api(page, `/knowledge/${pathname.split('/').at(-1)}`, { method: 'PATCH', data: { title: 'Offer of May' } });
    await page.getByRole('heading', { name: 'Offer of May' }).waitFor();
    await preview.locator('mark', { hasText: 'machines' }).waitFor();
    await over(context);
  });

  test('A page is commented on, and others see it at once', async () => {
    const { browser, server, signedIn, place } = given;
    const [here, there] = await twoContexts(browser, server, { storageState: signedIn });
    const [page, other] = [await here.newPage(), await there.newPage()];
    const wide = `In a line $a\\hspace{9999em}b${'+x'.repeat(200)}$ it scrolls.`;
    const { id } = await written(page, { title: 'Opening hours', text: `Nine to five.[^1]\n\n$$\nx^2\n$$\n\n${wide}\n\n[^1]: On weekdays.\n` });
    for (const one of [page, other]) await one.goto(`${place}/knowledge/${id}`);
    await page.getByLabel('Comment', { exact: true }).fill('On Sundays, too?');
    await page.getByRole('button', { name: /^Comment/ }).click();
    await other.locator('#k-talks').getByText('On Sundays, too?').waitFor();
    await page.locator('#k-talks').getByRole('link', { name: 'Reply' }).click();
    await page.getByText(/^Reply to /).waitFor();
    await page.getByLabel('Comment', { exact: true }).fill('No.');
    await page.getByRole('button', { name: /^Comment/ }).click();
    await other.locator('#k-talks .answers').getByText('No.').waitFor();
    // The footnote leads down and back.
    await page.locator('#k-body sup').getByRole('link', { name: '1' }).click();
    await page.locator('#fn-1:target').waitFor();
    await page.getByRole('link', { name: 'Back to reference 1' }).click();
    await page.locator('#fnref-1:target').waitFor();
    await page.locator('#k-body math msup').waitFor();
    assert.equal(await tooWide(page), '', 'a wide formula');
    await assertAccessible(page, 'a page with comments, a footnote and a formula');
    await Promise.all([over(here), over(there)]);
  });

  test('Without a script on a phone a page is made, written and found', async () => {
    const { context, page } = await opened({ size: PHONE, script: false });
    const { place } = given;
    await page.goto(`${place}/knowledge`);
    assert.equal(await tooWide(page), '', 'the list');
    await page.getByRole('button', { name: 'New', exact: true }).click();
    await page.getByRole('button', { name: 'Page', exact: true }).press('Enter');
    await page.locator('#new-page').getByLabel('Title').fill('Winter offer');
    await page.locator('#new-page').getByRole('button', { name: 'Create' }).press('Enter');
    await page.locator('#k-text').fill('No deposit before *15 December*.');
    assert.equal(await tooWide(page), '', 'the editor');
    await page.getByRole('button', { name: /^Done/ }).click();
    await page.locator('#k-body').getByText('No deposit before').waitFor();
    assert.equal(await tooWide(page), '', 'the page');
    await page.goto(`${place}/knowledge?q=december`);
    await page.getByRole('link', { name: 'Winter offer' }).waitFor();
    await over(context);
  });

  test('A model is sent, its hashes are confirmed, passages are embedded; it is turned off and removed', async () => {
    const { context, page } = await opened();
    const { place } = given;
    await written(page, { title: 'Towels', text: 'Two towels lie ready.' });
    await page.goto(`${place}/settings/meaning`);
    const rows = page.locator('#models');
    await rows.getByText('keyword search only').waitFor();
    await rows.getByRole('button', { name: 'Download' }).first().waitFor();
    const files = ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => join(TINY, name));
    await page.getByLabel('Files', { exact: true }).setInputFiles(files);
    await page.getByRole('button', { name: 'Upload' }).click();
    await page.getByRole('heading', { name: 'Uploaded model' }).waitFor();
    await page.getByLabel('Name', { exact: true }).fill('Tiny');
    await page.getByRole('button', { name: 'Confirm and use' }).click();
    await rows.getByText('In use', { exact: true }).waitFor();
    await rows.locator('dd.num', { hasText: /^[1-9]\d*$/ }).waitFor();
    await rows.getByText('Search is ready for keywords and meaning.').waitFor();
    await page.goto(`${place}/knowledge?q=towels`);
    await page.getByLabel('Search mode').selectOption('meaning');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('Semantic match', { exact: true }).first().waitFor();

    // The palette adds such passages below what it has found by words; one opens where it stands.
    await page.keyboard.press('Control+k');
    const lines = page.locator('#palette-list');
    await lines.getByRole('option').first().waitFor();
    await page.keyboard.type('linen on chairs');
    await lines.getByText('Semantic matches', { exact: true }).waitFor();
    await assertAccessible(page, 'the palette with what is found by meaning');
    await page.keyboard.press('ArrowDown');
    const near = lines.locator('[id^="palette-m-"]').first();
    const where = await near.getAttribute('href');
    await near.click();
    await page.locator('#cited').waitFor();
    assert.equal(new URL(page.url()).pathname, where.split('?')[0]);
    await page.goto(`${place}/settings/meaning`);
    await rows.getByRole('button', { name: 'Turn off' }).click();
    await page.getByRole('dialog').getByRole('button', { name: /^Turn off/ }).click();
    await rows.getByText('keyword search only').waitFor();
    await rows.getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByRole('button', { name: /^Remove/ }).click();
    await page.locator('#models', { hasNotText: 'Tiny' }).waitFor();
    await over(context);
  });

  test('Every page of knowledge is accessible in both themes and at two widths', async () => {
    const { browser, server, signedIn, place } = given;
    const { context, page } = await opened();
    const folder = await api(page, '/knowledge/folders', { method: 'POST', data: { name: 'Contracts', icon: '📁' } });
    const made = await written(page, { title: 'Price sheet', text: LEASE, folder: 'Contracts', tags: ['prices'], scope: 'agent', agents: ['ada'] });
    await api(page, `/knowledge/${made.id}`, { method: 'PATCH', data: { text: 'A bike costs 89.', reason: 'plainer words' } });
    const at = `${place}/knowledge`;
    const paths = [at, `${at}?q=bike`, `${at}?folder=${folder.id}`, `${at}/${made.id}`, `${at}/${made.id}?p=0`, `${at}/${made.id}?edit=yes`, `${at}/${made.id}/versions/2`, `${at}/context?agent=ada`, `${place}/settings/meaning`];
    await context.close();
    const remarks = [];
    for (const look of [{ theme: 'light', size: WIDE }, { theme: 'dark', size: PHONE }]) {
      const seen = await newContext(browser, server, { storageState: signedIn, ...look });
      const one = await seen.newPage();
      for (const path of paths) {
        await one.goto(path);
        if (path.includes('edit=')) await one.locator('.ProseMirror').waitFor();
        const wide = await tooWide(one);
        if (wide) remarks.push(`${path}: ${wide}`);
        await assertAccessible(one, `${path} (${look.theme})`).catch((error) => remarks.push(error.message));
      }
      remarks.push(...seen.faults());
      await seen.close();
    }
    assert.equal(remarks.length, 0, remarks.join('\n\n'));
  });
}
