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

/**
 * What axe finds: rule, what it is about and a selector, once for each place. With `rules` only these are asked, such as
 * those whose answer depends on colours; with `within` only there, when the page has it.
 */
export async function violationsOf(page, { rules, within } = {}) {
  // A protocol evaluation, so the page's content policy stays as strict as it is.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(source);
  const runOnly = rules ? { type: 'rule', values: rules } : { type: 'tag', values: RULES };
  // No rule of ours reads style sheets or frames, for which axe would wait.
  const options = { runOnly, resultTypes: ['violations'], preload: false, iframes: false };
  const found = await page.evaluate(async ([within, options]) => {
    const { violations } = await window.axe.run((within && document.querySelector(within)) || document, options);
    return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ target, html }) => ({ target, html })) }));
  }, [within, options]);
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, html }) => ({ rule: id, help, selector: target.flat().join(' '), html: html.slice(0, 160) })),
  );
}

/** What a page does not keep to besides axe's rules: one first heading, no inline style, no wider than its place. */
export async function remarksOn(page) {
  const remarks = [];
  const headings = await page.getByRole('heading', { level: 1 }).count();
  if (headings !== 1) remarks.push(`one first-level heading, not ${headings}`);
  // Chromium leaves an empty one where a script has taken its own away.
  // pdf.js places the words of a page, and measures them on a canvas, through the CSSOM, which the policy allows.
  const styled = page.locator('[style]:not([style=""]):not(.k-pdf *):not(body > canvas[lang])');
  const tags = await styled.evaluateAll((all) => all.map((one) => one.cloneNode().outerHTML));
  if (tags.length > 0) remarks.push(`${tags.length} elements with a style attribute: ${tags.slice(0, 3).join(' ')}`);
  const wide = await tooWide(page);
  if (wide) remarks.push(wide);
  return remarks;
}

/** Things by what they have in common, in the order in which they come. */
export function grouped(all, keyOf) {
  const groups = new Map();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

/** Fails with every remark, each with its rule, what it is about and the first places. */
export async function assertAccessible(page, name) {
  const violations = await violationsOf(page);
  const remarks = [...grouped(violations, ({ rule }) => rule).values()].map((places) => {
    const shown = places.slice(0, 4).map(({ selector, html }) => `    ${selector}\n      ${html}`);
    return `  ${places[0].rule}: ${places[0].help} (${places.length})\n${shown.join('\n')}`;
  });
  remarks.push(...(await remarksOn(page)));
  assert.equal(remarks.length, 0, `${name} at ${page.url()}\n${remarks.join('\n')}`);
}
