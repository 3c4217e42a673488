// The accessibility check: WCAG 2.2 AA and the landmarks that every page has.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/**
 * What makes a page wider than its place, in words; nothing when it fits. Its place is the window, and `main`, which
 * scrolls in it. What scrolls in a box of its own widens neither.
 */
export async function tooWide(page) {
  return page.evaluate(() => {
    const main = document.querySelector('main');
    const by = Math.max(
      document.documentElement.scrollWidth - window.innerWidth,
      document.body.scrollWidth - window.innerWidth,
      main ? main.scrollWidth - main.clientWidth : 0,
    );
    if (by <= 0) return '';
    const edge = (main ?? document.documentElement).getBoundingClientRect();
    const end = main ? edge.left + main.clientLeft + main.clientWidth : window.innerWidth;
    const out = [...(main ?? document.body).querySelectorAll('*')].filter((one) => {
      const { right, width } = one.getBoundingClientRect();
      return 0 < width && end + 0.5 < right + (main?.scrollLeft ?? 0);
    });
    const inner = out.filter((one) => !out.some((other) => other !== one && one.contains(other)));
    const names = inner.slice(0, 3).map((one) => one.outerHTML.slice(0, 120));
    return `${by} px too wide: ${names.join(' | ')}`;
  });
}

/** Fails with every remark, each with its rule, what it is about and the first places. */
export async function assertAccessible(page, name) {
  // A protocol evaluation, so the page's content policy stays as strict as it is.
  await page.evaluate(source);
  const { violations } = await page.evaluate(
    (values) => window.axe.run(document, { runOnly: { type: 'tag', values }, resultTypes: ['violations'] }),
    RULES,
  );
  const remarks = violations.map(({ id, help, nodes }) => {
    const places = nodes.slice(0, 4).map(({ html }) => `    ${html.slice(0, 160)}`);
    return `  ${id}: ${help} (${nodes.length})\n${places.join('\n')}`;
  });
  assert.equal(remarks.length, 0, `${name} at ${page.url()}\n${remarks.join('\n')}`);

  const headings = await page.getByRole('heading', { level: 1 }).count();
  assert.equal(headings, 1, `${name}: one first-level heading, not ${headings}`);
  // Chromium leaves an empty one where a script has taken its own away.
  const styled = await page.locator('[style]:not([style=""])').count();
  assert.equal(styled, 0, `${name}: ${styled} elements with a style attribute`);
  assert.equal(await tooWide(page), '', `${name} at ${page.url()}`);
}
