// The composer of a new task: rich text, files, chips, and one task after the other.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { FINGER, NARROW_KEYS, WIDE_KEYS } from '../lib/hands.mjs';

/** Puts a file on the clipboard of a field, as a copied picture is. */
const pasteFile = (field, name) =>
  field.evaluate((element, file) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File(['van,800'], file, { type: 'text/csv' }));
    element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, name);

/** What Tab leads to in the form, from where the focus is: fields by name, the editor, buttons by what they say. */
async function tabOrder(page, layer) {
  const order = [];
  for (let step = 0; step < 40 && order.at(-1) !== 'Create task'; step += 1) {
    await page.keyboard.press('Tab');
    const at = await layer.evaluate((dialog) => {
      const one = document.activeElement;
      if (!dialog.contains(one)) return 'outside';
      if (one.matches('.ProseMirror')) return 'text';
      return one.name || one.querySelector('span')?.textContent || one.ariaLabel;
    });
    order.push(at);
  }
  return order;
}

/** What is in no place of the window. */
const outside = (box, { width, height }) => box.x < 0 || box.y < 0 || width < box.x + box.width || height < box.y + box.height;

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

  for (const hand of [WIDE_KEYS, NARROW_KEYS]) {
    test(`a task is composed ${hand.name}, and Escape keeps the draft`, async () => {
      const { browser, server, signedIn, place } = given;
      const context = await newContext(browser, server, { ...hand.options, storageState: signedIn });
      const page = await context.newPage();
      const { keyboard } = page;
      const layer = page.getByRole('dialog', { name: 'New task' });
      const title = `Keyed: pack the panniers ${hand.options.size.width}`;
      await page.goto(`${place}/tasks?q=keyed`);
      await keyboard.press('c');
      await layer.locator('[name=title]:focus').waitFor();
      await keyboard.type(title);
      await layer.locator('.ProseMirror').waitFor();

      // Through all fields in the order in which one sees them.
      const order = await tabOrder(page, layer);
      const fields = ['text', 'status', 'priority', 'assignee', 'Labels', 'due', 'stream', 'More', 'files', 'another', 'Cancel', 'Create task'];
      assert.deepEqual(order.filter((name) => fields.includes(name)), fields, `Tab leads to ${order}`);
      await layer.getByLabel('Priority', { exact: true }).focus();
      await keyboard.type('Urgent');
      assert.equal(await layer.getByLabel('Priority', { exact: true }).inputValue(), 'urgent');
      await layer.getByRole('button', { name: 'Labels' }).focus();
      await keyboard.press('Enter');
      await layer.getByLabel('New labels').focus();
      await keyboard.type('Keyed');
      await keyboard.press('Enter');
      await layer.getByRole('button', { name: /Labels: .*Keyed/ }).waitFor();

      // Escape closes the form; what was typed is there again.
      await layer.locator('[name=title]').focus();
      await keyboard.press('Escape');
      await layer.waitFor({ state: 'detached' });
      await keyboard.press('c');
      await page.getByText('Your unsent text is back').waitFor();
      assert.equal(await layer.locator('[name=title]').inputValue(), title);
      assert.equal(await layer.getByLabel('Priority', { exact: true }).inputValue(), 'urgent');

      // Ctrl+Enter creates it from a chip, too.
      await layer.getByLabel('Status', { exact: true }).focus();
      await keyboard.press('Control+Enter');
      await layer.waitFor({ state: 'detached' });
      await page.locator('.row[data-cursor]').getByRole('link', { name: title }).waitFor();
      assert.deepEqual(context.faults(), []);
      await context.close();
    });
  }

  test(`a task is composed ${FINGER.name}`, async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { ...FINGER.options, storageState: signedIn });
    const page = await context.newPage();
    const layer = page.getByRole('dialog', { name: 'New task' });
    await page.goto(`${place}/tasks?q=tapped`);
    await page.getByRole('link', { name: 'New task' }).first().tap();
    await layer.getByLabel('Title', { exact: true }).fill('Tapped: oil the chain');
    await layer.locator('.ProseMirror').waitFor();
    // The form comes from below, and is as wide as the window.
    await layer.evaluate((dialog) => Promise.all(dialog.getAnimations().map((one) => one.finished)));
    const sheet = await layer.boundingBox();
    assert.deepEqual([sheet.x, sheet.width, Math.round(sheet.y + sheet.height)], [0, PHONE.width, PHONE.height]);

    // A chip opens its choices where they can be seen and pressed.
    await layer.getByRole('button', { name: 'Labels' }).tap();
    const menu = page.getByRole('dialog', { name: 'Labels', exact: true });
    await menu.waitFor();
    assert.ok(!outside(await menu.boundingBox(), PHONE), 'the choices are in the window');
    await menu.getByLabel('New labels').fill('Tapped');
    await page.keyboard.press('Enter');
    await layer.getByRole('button', { name: /Labels: .*Tapped/ }).waitFor();
    await layer.getByLabel('Status', { exact: true }).selectOption('blocked');
    for (const chip of await layer.locator('.chip-field').all()) {
      assert.ok((await chip.boundingBox()).height >= 36, `${await chip.innerText()} is high enough for a finger`);
    }
    await layer.locator('summary', { hasText: 'More' }).tap();
    await layer.getByLabel('Part of').waitFor();
    await assertAccessible(page, 'the composer with all its fields on a phone');
    await layer.getByRole('button', { name: 'Create task' }).tap();
    await layer.waitFor({ state: 'detached' });
    await page.getByRole('main').getByRole('link', { name: 'Tapped: oil the chain' }).first().waitFor();
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
