// The composer of a new task: rich text, files, chips, and one task after the other.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';

/** Puts a file on the clipboard of a field, as a copied picture is. */
const pasteFile = (field, name) =>
  field.evaluate((element, file) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File(['van,800'], file, { type: 'text/csv' }));
    element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, name);

export function tell(given) {
  test('a task is composed with rich text, files and chips, and the next one begins with the same chips', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    const layer = page.getByRole('dialog', { name: 'New task' });
    const title = layer.getByLabel('Title', { exact: true });
    await page.goto(`${place}/tasks?q=composed`);
    await page.keyboard.press('c');
    await title.fill('Composed: true the wheels');
    const text = layer.locator('.ProseMirror');
    await text.waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.type('# Wheels');
    await page.keyboard.press('Enter');
    await page.keyboard.type('Front and **back** first');
    await text.getByRole('heading', { name: 'Wheels' }).waitFor();
    assert.equal(await layer.locator('[name=description]').inputValue(), '# Wheels\n\nFront and **back** first');
    await pasteFile(text, 'spokes.csv');
    await layer.getByRole('button', { name: 'Remove spokes.csv' }).waitFor();

    await layer.getByLabel('Priority', { exact: true }).selectOption('urgent');
    assert.ok(await layer.locator('.signs [data-prio=urgent]').isVisible(), 'the chip shows the sign');
    await layer.getByLabel('Due', { exact: true }).fill('tomorrow');
    await layer.getByRole('button', { name: 'Labels' }).click();
    await layer.getByLabel('New labels').fill('Composed, Wheel');
    await page.keyboard.press('Enter');
    await layer.getByRole('button', { name: 'Composed, Wheel' }).waitFor();
    await layer.getByText('Create another').click();
    await assertAccessible(page, 'the composer');

    await title.press('Control+Enter');
    const made = page.locator('#toasts').getByRole('link', { name: 'Open' });
    await made.waitFor();
    await layer.locator('[name=title]:focus').waitFor();
    assert.deepEqual([await title.inputValue(), await layer.locator('[name=description]').inputValue()], ['', '']);
    assert.equal(await layer.getByRole('button', { name: 'Remove spokes.csv' }).count(), 0);
    assert.equal(await layer.getByLabel('Priority', { exact: true }).inputValue(), 'urgent');
    assert.equal(await layer.locator('[name=label]:checked').count(), 2);
    await title.fill('Composed: count the spokes');
    await layer.getByText('Create another').click();
    await page.keyboard.press('Control+Enter');
    await layer.waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'Composed: count the spokes' }).waitFor();

    await page.getByRole('link', { name: 'Composed: true the wheels' }).click();
    await page.getByRole('heading', { level: 1, name: 'Composed: true the wheels' }).waitFor();
    await page.locator('#task-text').getByRole('heading', { name: 'Wheels' }).waitFor();
    await page.locator('#task-files').getByRole('link', { name: 'spokes.csv' }).first().waitFor();
    await page.keyboard.press('c');
    await layer.waitFor();
    assert.equal(await title.inputValue(), '', 'nothing is kept that has arrived');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('the chips of the composer wrap on a phone, and work without script', async () => {
    const { browser, server, signedIn, place } = given;
    for (const theme of ['light', 'dark']) {
      const context = await newContext(browser, server, { storageState: signedIn, size: PHONE, theme });
      const page = await context.newPage();
      await page.goto(`${place}/tasks/new?parent=MC-1`);
      await page.locator('.ProseMirror').waitFor();
      await assertAccessible(page, `the composer on a phone, ${theme}`);
      await page.getByRole('button', { name: 'Labels' }).click();
      await page.getByLabel('New labels').waitFor();
      await assertAccessible(page, `the labels of the composer, ${theme}`);
      assert.deepEqual(context.faults(), []);
      await context.close();
    }
    const context = await newContext(browser, server, { storageState: signedIn, size: PHONE, script: false });
    const page = await context.newPage();
    await page.goto(`${place}/tasks/new?labels=Plain`);
    await page.getByLabel('Title', { exact: true }).fill('Composed: without script');
    await page.getByLabel('Description', { exact: true }).fill('In *Markdown*.');
    await page.getByLabel('Status', { exact: true }).selectOption('blocked');
    await page.getByRole('button', { name: 'Create task', exact: true }).press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Composed: without script' }).waitFor();
    await page.locator('#task-text em', { hasText: 'Markdown' }).waitFor();
    await context.close();
  });
}
