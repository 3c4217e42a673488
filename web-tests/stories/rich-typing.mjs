// Writing with the keyboard alone: Markdown that is typed, the menus, links, tables, checklists, the way out.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { PHONE } from '../lib/browser.mjs';
import { openPage } from '../lib/page.mjs';

const TABLE = '| Part | Price |\n| :--- | ---: |\n| Chain | 24 |\n| Grip | 9 |\n';

export function tell(given) {
  test('a page is written with the keyboard alone', async () => {
    const { page, editor, keys, type, holds, end } = await openPage(given, '');
    await keys('Tab', 'Tab');
    await page.locator('.ProseMirror:focus').waitFor();
    await type('# Terms');
    await keys('Enter');
    await type('Some **bold** and *soft* and ~~gone~~ and `code` words, 2 * 3 and snake_case.');
    await keys('Enter');
    await type('- one');
    await keys('Enter', 'Tab');
    await type('inner');
    await keys('Enter', 'Shift+Tab');
    await type('two');
    await keys('Enter', 'Enter');
    await type('[] open');
    await keys('Enter');
    await type('next');
    await keys('Enter', 'Enter');
    await type('> said');
    await keys('Enter', 'Enter');
    await type('```js');
    await keys('Enter');
    await type('let a;');
    await keys('ArrowDown');
    await type('1. first');
    await keys('Enter', 'Enter');
    await type('A [link](https://example.com/a) here');
    await keys('Enter');
    await type('---');
    await type('End');
    await holds(
      [
        '# Terms',
        'Some **bold** and *soft* and ~~gone~~ and `code` words, 2 * 3 and snake_case.',
        '- one\n  - inner\n- two',
        '* [ ] open\n* [ ] next',
        '> said',
        '```js\nlet a;\n```',
        '1. first',
        'A [link](https://example.com/a) here',
        '---',
        'End',
      ].join('\n\n'),
    );
    await keys('Escape');
    assert.equal(await editor.evaluate((dom) => dom === document.activeElement), false);
    await end();
  });

  test('the menu behind a slash puts blocks in by key', async () => {
    const { page, keys, type, at, holds, end } = await openPage(given, 'Begins.\n');
    await at('Begins');
    await keys('Enter');
    await type('/');
    const menu = page.getByRole('listbox', { name: 'Insert' });
    await menu.waitFor();
    await type('ta');
    assert.deepEqual(await menu.getByRole('option').allInnerTexts(), ['Table\n|', 'Checklist\n[ ]']);
    await keys('ArrowDown', 'ArrowUp', 'Enter');
    await type('Part');
    await keys('Tab');
    await type('Price');
    await keys('Tab');
    await type('Chain');
    await keys('Tab', 'Tab', 'Tab');
    await keys('Tab');
    await holds('Begins.\n\n| Part | Price |\n| --- | --- |\n| Chain |  |\n|  |  |\n|  |  |\n');
    await keys('Control+z');
    await end();
  });

  test('a slash menu that was closed stays closed', async () => {
    const { page, keys, type, at, holds, end } = await openPage(given, 'Begins.\n');
    await at('Begins');
    await type(' and/or /he');
    await page.getByRole('listbox').waitFor();
    await keys('Escape');
    await type('re');
    assert.equal(await page.getByRole('listbox').isVisible(), false);
    await holds('Begins. and/or /here\n');
    await end();
  });

  test('pages and people are named behind their signs', async () => {
    const { page, keys, type, at, holds, end } = await openPage(given, 'See\n');
    await at('See');
    await type(' [[lea');
    await page.getByRole('option', { name: 'Lease terms, 2026' }).waitFor();
    await keys('Enter');
    await type('and [[ret');
    await page.getByRole('option', { name: 'Return check' }).waitFor();
    await keys('Tab');
    await type('with @');
    await page.getByRole('option', { name: 'Juno' }).waitFor();
    assert.equal(await page.getByRole('textbox').first().getAttribute('aria-activedescendant'), await page.getByRole('option').first().getAttribute('id'));
    await type('ju');
    await page.getByRole('option', { name: 'Mira' }).waitFor({ state: 'detached' });
    await keys('Enter');
    await type('now');
    await holds('See [[Lease terms, 2026]] and [Return check](/w/marlow/pages/7) with @juno now\n');
    await end();
  });

  test('Ctrl Enter sends the form, and in code it leaves the code', async () => {
    const { page, keys, at, end } = await openPage(given, 'Words.\n\n```\ncode\n```\n');
    await page.evaluate(() => {
      globalThis.sent = [];
      document.forms[0].addEventListener('submit', (event) => {
        event.preventDefault();
        globalThis.sent.push(new FormData(event.target).get('body'));
      });
    });
    await at('code');
    await keys('Control+Enter');
    assert.deepEqual(await page.evaluate(() => globalThis.sent), []);
    await at('Words');
    await keys('Control+Enter');
    assert.equal(await page.evaluate(() => globalThis.sent.length), 1);
    await end();
  });

  test('the tools of a selection are reached by key', async () => {
    const { page, keys, at, holds, end } = await openPage(given, 'Some words here.\n');
    await at('Some', 'Home');
    await keys('Control+Shift+ArrowRight', 'Alt+F10');
    const bar = page.getByRole('toolbar', { name: 'Selection' });
    await bar.getByRole('button', { name: /^Bold/ }).and(page.locator(':focus')).waitFor();
    await keys('ArrowRight', 'Enter');
    await keys('Escape');
    await holds('*Some* words here.\n');
    assert.equal(await bar.getByRole('button', { name: /^Italic/ }).getAttribute('aria-pressed'), 'true');
    await keys('Control+b', 'Control+Alt+2');
    await holds('## **_Some_** words here.\n');
    await end();
  });

  test('a link is added, changed and removed in its dialog', async () => {
    const { page, keys, type, at, holds, end } = await openPage(given, 'Read this here.\n');
    await at('Read', 'Home');
    await keys('Control+Shift+ArrowRight', 'Control+k');
    const dialog = page.getByRole('dialog', { name: 'Link' });
    await dialog.waitFor();
    await type('example.com/a b');
    await keys('Enter');
    await holds('[Read ](<https://example.com/a b>)this here.\n'.replace('[Read ](', '[Read](').replace(')this', ') this'));
    await at('Read', 'Home');
    await keys('ArrowRight', 'Control+k');
    assert.equal(await dialog.getByLabel('Address').inputValue(), 'https://example.com/a b');
    await keys('Control+a');
    await type('/w/marlow/7');
    await keys('Enter');
    await holds('[Read](/w/marlow/7) this here.\n');
    await at('Read', 'Home');
    await keys('ArrowRight', 'Control+k');
    await dialog.getByRole('button', { name: 'Remove link' }).click();
    await holds('Read this here.\n');
    await at('Read');
    await keys('Control+k');
    await type('https://example.com');
    await keys('Tab');
    await type('Example');
    await keys('Enter');
    await holds('Read this here.[Example](https://example.com)\n');
    await keys('Control+k');
    await type('x');
    await keys('Escape');
    await page.locator('.ProseMirror:focus').waitFor();
    await end();
  });

  test('rows and columns of a table are changed by its menu', async () => {
    const { page, keys, at, holds, end } = await openPage(given, TABLE);
    const act = async (name) => {
      await page.getByRole('button', { name: 'Edit table' }).click();
      await page.getByRole('menuitem', { name }).click();
    };
    await at('Chain');
    await act('Insert row below');
    await page.keyboard.type('Bell');
    await holds('| Part | Price |\n| :--- | ---: |\n| Chain | 24 |\n| Bell |  |\n| Grip | 9 |\n');
    await act('Insert column right');
    await page.keyboard.type('new');
    await act('Align centre');
    await holds('| Part |  | Price |\n| :-- | :-: | --: |\n| Chain |  | 24 |\n| Bell | new |  |\n| Grip |  | 9 |\n');
    await act('Delete column');
    await act('Delete row');
    await holds(TABLE);
    await at('Part');
    await page.getByRole('button', { name: 'Edit table' }).click();
    assert.equal(await page.getByRole('menuitem', { name: 'Insert row above' }).isDisabled(), true);
    await keys('Escape');
    // A row with a bar in a cell, by key alone.
    await at('Grip');
    await keys('Enter');
    await page.keyboard.type('a|b');
    await keys('Tab', 'Tab', 'Enter', 'Enter');
    await page.keyboard.type('Behind');
    await holds(`${TABLE}| a\\|b |  |\n\nBehind\n`);
    await end();
  });

  test('columns of a table get widths by key, by menu and by the pointer', async () => {
    const sized = (left, right) => `| Part | Price |\n| :${'-'.repeat(left - 1)} | ${'-'.repeat(right - 1)}: |\n| Chain | 24 |\n`;
    const { page, editor, keys, at, holds, end } = await openPage(given, sized(20, 30));
    const said = page.locator('.rich [role=status]');
    const col = editor.locator('col').first();
    const act = async (name) => {
      await page.getByRole('button', { name: 'Edit table' }).click();
      await page.getByRole('menuitem', { name }).click();
    };
    assert.equal(await col.getAttribute('width'), '40%');
    await at('Chain');
    await said.waitFor({ state: 'attached' });
    await keys('Alt+ArrowRight');
    await holds(sized(21, 29));
    assert.equal(await said.textContent(), 'Column 1: 42%');
    // The last column grows to the left.
    await at('24');
    await keys('Alt+ArrowRight');
    await holds(sized(20, 30));
    assert.equal(await said.textContent(), 'Column 2: 60%');
    await act('Narrow column');
    await holds(sized(25, 25));
    // By the border between the columns.
    const head = await editor.locator('th').first().boundingBox();
    const { width } = await editor.locator('table').boundingBox();
    const [x, y] = [head.x + head.width - 3, head.y + head.height / 2];
    await page.mouse.move(x - 20, y);
    await page.mouse.move(x, y);
    await page.locator('.rich-column').waitFor();
    await page.mouse.down();
    await page.mouse.move(x - width / 20, y);
    await page.mouse.move(x - width / 10, y);
    await page.mouse.up();
    await holds(sized(20, 30));
    assert.equal(await col.getAttribute('width'), '40%');
    // A new column takes half of the width, and gives it back.
    await at('Chain');
    await act('Insert column right');
    await holds(`| Part |  | Price |\n| :${'-'.repeat(9)} | ${'-'.repeat(10)} | ${'-'.repeat(29)}: |\n| Chain |  | 24 |\n`);
    await act('Delete column');
    await holds(sized(20, 30));
    // Nothing is selected, so what is typed replaces nothing.
    assert.equal(await page.evaluate(() => getSelection().isCollapsed), true);
    await act('Reset widths');
    await holds('| Part | Price |\n| :-- | --: |\n| Chain | 24 |\n');
    assert.equal(await editor.locator('col').count(), 0);
    await page.getByRole('button', { name: 'Edit table' }).click();
    assert.equal(await page.getByRole('menuitem', { name: 'Reset widths' }).isDisabled(), true);
    await keys('Escape');
    await end();
  });

  test('a block is moved, copied, turned and deleted by its handle and by key', async () => {
    const { page, editor, keys, type, at, holds, end } = await openPage(given, 'One\n\nTwo\n\n- Three\n');
    const handle = page.getByRole('button', { name: 'Move or change the block' });
    const act = async (words, name) => {
      await editor.getByText(words).first().hover();
      await handle.click();
      await page.getByRole('menuitem', { name, exact: true }).click();
    };
    await page.locator('.rich-handle').waitFor({ state: 'attached' });
    await at('One');
    await keys('Alt+Shift+ArrowDown');
    await type('!');
    await holds('Two\n\nOne!\n\n- Three\n');
    await act('Two', 'Move down');
    await holds('One!\n\nTwo\n\n- Three\n');
    await act('Two', 'Duplicate');
    await holds('One!\n\nTwo\n\nTwo\n\n- Three\n');
    await act('Two', 'Turn into quote');
    await holds('One!\n\n> Two\n\nTwo\n\n- Three\n');
    await act('Two', 'Delete');
    await holds('One!\n\nTwo\n\n- Three\n');
    await act('Three', 'Turn into numbered list');
    await holds('One!\n\nTwo\n\n1. Three\n');
    // Dragged above the first one.
    const top = await editor.getByText('One!').boundingBox();
    await editor.getByText('Three').hover();
    await handle.hover();
    await page.mouse.down();
    await page.mouse.move(top.x, top.y + top.height);
    await page.mouse.move(top.x, top.y + 2);
    await page.locator('.rich-line').waitFor();
    await page.mouse.up();
    await holds('1. Three\n\nOne!\n\nTwo\n');
    // With keys alone.
    await at('Two');
    await keys('Alt+F10');
    await handle.and(page.locator(':focus')).waitFor();
    await keys('Enter');
    await page.getByRole('menuitem', { name: 'Move up' }).and(page.locator(':focus')).waitFor();
    assert.equal(await page.getByRole('menuitem', { name: 'Move down' }).isDisabled(), true);
    await keys('Enter');
    await holds('1. Three\n\nTwo\n\nOne!\n');
    await end();
  });

  test('a box is ticked, by hand and by key', async () => {
    const { page, holds, end } = await openPage(given, '- [ ] one\n- [x] two\n');
    await page.getByRole('checkbox').first().click();
    await holds('- [x] one\n- [x] two\n');
    await page.getByRole('checkbox').last().focus();
    await page.keyboard.press('Space');
    await holds('- [x] one\n- [ ] two\n');
    await end();
  });

  test('signs that were typed as words stay words', async () => {
    const { keys, type, at, holds, end } = await openPage(given, 'x\n');
    await at('x');
    await keys('Enter');
    await type('1. ');
    await keys('Backspace');
    await type('a # 5 < 6 & &amp; <b> [a] \\n $5');
    await holds('x\n\n1\\. a # 5 < 6 & \\&amp; <b> [a] \\n $5\n');
    await end();
  });

  test('the source is shown and written in, with the cursor where it was', async () => {
    const { page, keys, type, at, holds, end } = await openPage(given, '# One\n\nSome *soft* words.\n');
    await at('Some');
    await keys('Control+Shift+m');
    const field = page.getByRole('textbox', { name: 'Text of the page' });
    assert.equal(await field.evaluate((box) => box.tagName), 'TEXTAREA');
    assert.equal(await page.getByRole('button', { name: 'Markdown' }).getAttribute('aria-pressed'), 'true');
    await type(' **More** here.');
    await keys('Control+Shift+m');
    await page.locator('.ProseMirror strong').getByText('More').waitFor();
    await type('!');
    await holds('# One\n\nSome *soft* words. **More** here.!\n');
    await page.getByRole('button', { name: 'Markdown' }).click();
    await page.getByRole('button', { name: 'Markdown' }).click();
    await page.locator('.ProseMirror').waitFor();
    await end();
  });

  test('the outline follows the headings and leads to them', async () => {
    const { page, keys, type, at, end } = await openPage(given, '# One\n\nwords\n\n## Two\n\nmore\n');
    const outline = page.getByRole('navigation', { name: 'Outline' });
    assert.deepEqual(await outline.getByRole('link').allInnerTexts(), ['One', 'Two']);
    await at('more');
    await keys('Enter');
    await type('## Three');
    await outline.getByRole('link', { name: 'Three' }).and(page.locator('[aria-current]')).waitFor();
    await outline.getByRole('link', { name: 'Two' }).click();
    await page.locator('.ProseMirror:focus').waitFor();
    assert.equal(await outline.locator('[aria-current]').innerText(), 'Two');
    await end();
  });

  for (const [name, size] of [['wide', undefined], ['narrow', PHONE]]) {
    for (const theme of ['light', 'dark']) {
      test(`the editor can be used by all: ${name}, ${theme}`, async () => {
        const text = `# One\n\nA [link](/a) and \`code\`.\n\n- [ ] open\n\n${TABLE}\n\`\`\`js\nlet a;\n\`\`\`\n\n<div>source</div>\n`;
        const { page, type, at, keys, end } = await openPage(given, text, { size, theme });
        await at('Chain');
        await page.getByRole('button', { name: 'Edit table' }).waitFor();
        await isFine(page, `${name} ${theme}, in a table`);
        await at('A link');
        await keys('Enter');
        await type('/');
        await page.getByRole('listbox').waitFor();
        await isFine(page, `${name} ${theme}, with the menu`);
        await keys('Escape', 'Backspace', 'ArrowUp', 'Home', 'Shift+End');
        await page.getByRole('toolbar').waitFor();
        await isFine(page, `${name} ${theme}, with the tools`);
        await end();
      });
    }
  }
}

/* Boxes that stand beside the cursor have their place as a style, which ends with them. */
async function isFine(page, name) {
  await page.evaluate(() => {
    for (const box of document.querySelectorAll('.rich > [style]')) {
      box.dataset.style = box.getAttribute('style');
      box.removeAttribute('style');
    }
  });
  await assertAccessible(page, name);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll('.rich button, .rich [role=option], .rich input')]
      .filter((one) => one.checkVisibility())
      .map((one) => ({ box: (one.matches('.tick') ? one.parentElement : one).getBoundingClientRect(), name: one.ariaLabel ?? one.textContent }))
      .filter(({ box }) => box.width < 24 || box.height < 24)
      .map(({ box, name: own }) => `${own} ${box.width}x${box.height}`),
  );
  assert.deepEqual(small, [], name);
}
