// The field is the truth: what is written goes into it at once, and what others put there comes in without taking
// words or the cursor from anybody.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newContext } from '../lib/browser.mjs';
import { openPage } from '../lib/page.mjs';

const TEXT = '# One\n\nThe first words.\n\nThe second words.\n\n- a\n- b\n';

export function tell(given) {
  test('each change is told as if it had been typed into the field', async () => {
    const { page, at, type, end } = await openPage(given, TEXT);
    await page.evaluate(() => {
      window.told = [];
      document.addEventListener('input', ({ target }) => target.name === 'body' && window.told.push(target.value));
    });
    await at('The first');
    await type('ab');
    assert.deepEqual(await page.evaluate(() => window.told), [TEXT.replace('words.', 'words.a'), TEXT.replace('words.', 'words.ab')]);
    assert.deepEqual(await page.evaluate(() => [...new FormData(document.forms[0])]), [['body', TEXT.replace('words.', 'words.ab')]]);
    await end();
  });

  test('what others wrote comes in, and the cursor stays between the same words', async () => {
    const { page, at, type, set, holds, editor, end } = await openPage(given, TEXT);
    await at('The second');
    await set(TEXT.replace('# One', '# Another beginning\n\nNew *here*.').replace('- b', '- b\n- c'));
    await page.getByRole('heading', { name: 'Another beginning' }).waitFor();
    await type(' Mine.');
    await holds('# Another beginning\n\nNew *here*.\n\nThe first words.\n\nThe second words. Mine.\n\n- a\n- b\n- c\n');
    assert.equal(await editor.locator('em').innerText(), 'here');
    await end();
  });

  test('who goes on writing while others write loses nothing', async () => {
    const { page, at, type, set, holds, editor, end } = await openPage(given, TEXT, { wait: 250 });
    await at('The second');
    await type(' One');
    await set((await page.locator('textarea').inputValue()).replace('first words.', 'first words, theirs.').replace('- b', '- b!'));
    await type(' two');
    await page.waitForTimeout(200);
    await type(' three');
    await set((await page.locator('textarea').inputValue()).replace('# One', '# One of them'));
    await type(' four.');
    const all = '# One of them\n\nThe first words, theirs.\n\nThe second words. One two three four.\n\n- a\n- b!\n';
    await holds(all);
    await editor.getByText('first words, theirs').waitFor();
    await editor.getByText('b!').waitFor();
    await type(' Five.');
    await holds(all.replace('four.', 'four. Five.'));
    await end();
  });

  test('both in one line: each has its words', async () => {
    const { at, type, set, holds, editor, end } = await openPage(given, TEXT, { wait: 200 });
    await at('The first');
    await set(TEXT.replace('The first', 'Their very first'));
    await type(' Mine.');
    await holds(TEXT.replace('The first words.', 'Their very first words. Mine.'));
    await editor.getByText('Their very first words. Mine.').waitFor();
    await end();
  });

  test('one step back takes back what was written here, not what others wrote', async () => {
    const { page, at, type, set, keys, holds, end } = await openPage(given, TEXT);
    await at('The second');
    await type(' Mine.');
    await set(TEXT.replace('The second words.', 'The second words. Mine.').replace('# One', '# Theirs'));
    await page.getByRole('heading', { name: 'Theirs' }).waitFor();
    await keys('Control+z');
    await holds(TEXT.replace('# One', '# Theirs'));
    await end();
  });

  test('a piece that is put into the field, as writer.js does it, comes in as well', async () => {
    const { page, editor, type, end } = await openPage(given, TEXT);
    await page.locator('textarea').evaluate((box) => {
      const at = box.value.indexOf('second');
      box.setRangeText('**third**', at, at + 6, 'preserve');
      box.focus();
    });
    await editor.locator('strong').getByText('third').waitFor();
    assert.equal(await editor.evaluate((dom) => dom === document.activeElement), true);
    await type('x');
    await end();
  });

  test('a region that is swapped gets its editor again, with the cursor where it was', async () => {
    const { page, at, type, holds, end } = await openPage(given, TEXT);
    await at('The second');
    await page.evaluate(() => {
      const form = document.forms[0];
      const next = form.cloneNode(true);
      next.querySelector('.rich').remove();
      const box = next.elements.body;
      box.hidden = false;
      box.value = box.value.replace('# One', '# Swapped');
      form.replaceWith(next);
      document.dispatchEvent(new CustomEvent('htmx:after:swap', { detail: {} }));
    });
    await page.getByRole('heading', { name: 'Swapped' }).waitFor();
    await page.locator('.ProseMirror:focus').waitFor();
    await type(' Mine.');
    await holds(TEXT.replace('# One', '# Swapped').replace('second words.', 'second words. Mine.'));
    assert.equal(await page.locator('.ProseMirror').count(), 1);
    await end();
  });

  test('without a server the field is written in, and without script, too', async () => {
    Object.assign(given.server.given, { text: TEXT, isBrought: false, isAway: true, theme: 'light' });
    const context = await newContext(given.browser, given.server);
    const page = await context.newPage();
    await page.goto('/');
    await page.locator('textarea').fill('# Written\n');
    given.server.given.isAway = false;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await page.getByRole('heading', { name: 'Written' }).waitFor();
    await context.close();
    const plain = await newContext(given.browser, given.server, { script: false });
    const bare = await plain.newPage();
    await bare.goto('/');
    assert.equal(await bare.locator('textarea').isVisible(), true);
    assert.equal(await bare.locator('textarea').inputValue(), TEXT);
    await plain.close();
  });

  test('a server that is away for a while loses no words', async () => {
    const { page, at, type, set, holds, editor, context } = await openPage(given, TEXT);
    given.server.given.isAway = true;
    await at('The second');
    await type(' One');
    await set((await page.locator('textarea').inputValue()).replace('# One', '# Theirs'));
    await page.waitForTimeout(300);
    await type(' two.');
    const all = TEXT.replace('# One', '# Theirs').replace('second words.', 'second words. One two.');
    await holds(all);
    given.server.given.isAway = false;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await editor.getByText('Theirs').waitFor();
    await holds(all);
    await context.close();
  });

  test('writer.js stores what is written in the editor, takes others’ words into it, and keeps it while the server is away', async () => {
    const { given: server } = given.server;
    Object.assign(server, { text: 'One.\n\nTwo.\n', stored: [], isAway: false, wait: 0, merge: (own) => own.replace('One.', '**One** of theirs.') });
    const context = await newContext(given.browser, given.server);
    const page = await context.newPage();
    const editor = page.locator('.ProseMirror');
    const until = async (isSo) => {
      for (let n = 0; n < 200 && !isSo(); n += 1) await page.waitForTimeout(20);
      assert.ok(isSo(), JSON.stringify(server.stored));
    };
    await page.goto('/writer');
    await page.locator('.ProseMirror:focus').waitFor();
    await editor.getByText('Two.').click();
    await page.keyboard.press('End');
    await page.waitForTimeout(30);
    await page.keyboard.type(' Mine.');
    await until(() => server.stored.at(-1) === 'One.\n\nTwo. Mine.\n');
    await editor.locator('strong').getByText('One').waitFor();
    await page.getByText('Saved').waitFor();
    await page.keyboard.type(' More.');
    await until(() => server.stored.at(-1) === '**One** of theirs.\n\nTwo. Mine. More.\n');
    server.isAway = true;
    await page.keyboard.type(' Kept.');
    await page.getByText('Not saved').waitFor();
    await page.reload();
    server.isAway = false;
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await editor.getByText('Kept.').waitFor();
    await until(() => server.stored.at(-1).includes('More. Kept.'));
    await context.close();
  });
}
