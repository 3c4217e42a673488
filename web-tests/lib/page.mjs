// A page that is open in the editor: what is done in it by hand, and what stands in its field then.

import assert from 'node:assert/strict';

import { newContext } from './browser.mjs';

/** Waits for two frames: the browser has told the editor its cursor by then, however busy it is. */
const frames = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

/** Opens a text in the editor. `given` may hold what the server is to do besides, and size and theme. */
export async function openPage({ server, browser }, text, { size, theme = 'light', ...more } = {}) {
  Object.assign(server.given, { text, theme, isBrought: true, wait: 0, isAway: false }, more);
  const context = await newContext(browser, server, { size, theme });
  const page = await context.newPage();
  await page.goto('/');
  await page.locator('.ProseMirror').waitFor();
  const editor = page.getByRole('textbox', { name: 'Text of the page' });
  const words = (own) => editor.getByText(own, { exact: false }).last();
  return {
    context,
    page,
    editor,
    keys: async (...all) => {
      for (const key of all) {
        await page.keyboard.press(key);
        // Nobody presses the next one within the time that a browser takes to say where its cursor is.
        await page.waitForTimeout(12);
      }
    },
    type: (own) => page.keyboard.type(own),
    /** The cursor at the end of the first line that these words are in, or with `Home` at its beginning. */
    at: async (own, key = 'End') => {
      await words(own).click({ position: { x: 4, y: 6 } });
      await frames(page);
      await page.keyboard.press(key);
      await page.waitForTimeout(30);
      await frames(page);
    },
    text: () => page.locator('textarea[name=body]').inputValue(),
    set: (own) => page.locator('textarea[name=body]').evaluate((box, value) => (box.value = value), own),
    paste: (kinds) =>
      editor.evaluate((dom, all) => {
        const data = new DataTransfer();
        for (const [kind, own] of Object.entries(all)) {
          if (kind.includes('/')) data.setData(kind, own);
          else data.items.add(new File([own], kind, { type: 'image/png' }));
        }
        dom.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
      }, kinds),
    /** Waits until the field holds this text. */
    holds: async (own) => {
      const until = Date.now() + 5000;
      while (Date.now() < until && (await page.locator('textarea[name=body]').inputValue()) !== own) await page.waitForTimeout(20);
      assert.equal(await page.locator('textarea[name=body]').inputValue(), own);
    },
    end: async () => {
      assert.deepEqual(context.faults(), []);
      await context.close();
    },
  };
}

/** The lines of `now` that are not in `old`, and the other way round. */
export function changed(old, now) {
  const [a, b] = [old, now].map((text) => text.split('\n'));
  return { gone: a.filter((line) => !b.includes(line)), come: b.filter((line) => !a.includes(line)) };
}
