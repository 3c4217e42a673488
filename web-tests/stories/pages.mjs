// Every page of the demo company, in both themes and at two widths: accessible, no wider than the window, without inline
// style, without a script error, without a request to anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { grouped, remarksOn, violationsOf } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';
import { everyOpenPage, everyPage, pageRoutes } from '../lib/pages.mjs';

/** A second theme changes colours and nothing else: the rules that ask for them, in what a page has of its own. */
const COLOURS = { rules: ['color-contrast', 'link-in-text-block'], within: 'main' };
/** Windows in which pages are looked at, at each width. Tabs of one window would be drawn one at a time. */
const WINDOWS = 2;

const textOf = (remarks) => remarks.join('\n');

/** Looks at a page in one theme and at its colours in the other one; gives what is wrong. Frame and menu are looked at once. */
async function lookAt(page, address, [theme, other]) {
  const found = [];
  const width = page.viewportSize().width;
  await page.emulateMedia({ colorScheme: theme });
  const answer = await page.goto(address);
  if (answer.status() !== 200) found.push({ rule: 'answer', selector: String(answer.status()), theme });
  found.push(...(await violationsOf(page)).map((one) => ({ ...one, theme })));
  found.push(...(await remarksOn(page)).map((words) => ({ rule: 'page', selector: words, theme })));
  await page.emulateMedia({ colorScheme: other });
  const { rules, within } = COLOURS;
  found.push(...(await violationsOf(page, address.endsWith('/') ? { rules } : { rules, within })).map((one) => ({ ...one, theme: other })));
  return found.map((one) => ({ ...one, address, width }));
}

/** Looks at all pages at one width; gives what is wrong. */
async function lookAtAll({ browser, server }, addresses, { size, themes, storageState }) {
  const found = [];
  const rest = [...addresses];
  const look = async () => {
    const context = await newContext(browser, server, { size, storageState });
    const page = await context.newPage();
    for (let address = rest.shift(); address; address = rest.shift()) found.push(...(await lookAt(page, address, themes)));
    found.push(...context.faults().map((fault) => ({ rule: 'fault', selector: fault, address: 'a page', width: size.width, theme: themes[0] })));
    await context.close();
  };
  await Promise.all(Array.from({ length: WINDOWS }, look));
  return found;
}

/** One line for all, then one for each rule. */
function summaryOf(pages, found, began) {
  const rules = [...grouped(found, ({ rule }) => rule)].sort(([, a], [, b]) => b.length - a.length);
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  const lines = rules.map(([rule, all]) => `  ${rule}: ${all.length} on ${new Set(all.map((one) => one.address)).size} pages`);
  return [`axe: ${pages} pages at 2 widths in 2 themes in ${seconds} s, ${found.length} violations`, ...lines].join('\n');
}

export function tell(given) {
  test('every page of the program is visited', async () => {
    const { server, http, place, starts, open, visitor } = given;
    const routes = await pageRoutes(server);
    const inside = await everyPage({ http, routes, place, starts });
    const outside = await everyOpenPage({ http: visitor, routes, starts: open });
    given.pages = [...inside.pages.values()];
    given.openPages = [...outside.pages.values()];
    const remarks = [...inside.remarks, ...outside.remarks];
    assert.equal(remarks.length, 0, textOf(remarks));
  });

  test('every page is accessible in both themes and at two widths', async (t) => {
    const { pages, openPages, signedIn } = given;
    assert.ok(pages?.length > 0, 'the pages must have been found first');
    const began = Date.now();
    const looks = [
      { size: WIDE, themes: ['light', 'dark'] },
      { size: PHONE, themes: ['dark', 'light'] },
    ];
    const found = [];
    for (const look of looks) {
      found.push(...(await lookAtAll(given, pages, { ...look, storageState: signedIn })));
      found.push(...(await lookAtAll(given, openPages, look)));
    }
    t.diagnostic(summaryOf(pages.length + openPages.length, found, began));
    const lines = [...grouped(found, ({ rule, selector }) => `${rule}: ${selector.replace(/:nth-child\(\d+\)/g, "")}`)].map(([what, all]) => {
      const places = all.map(({ address, width, theme }) => `    ${address} (${theme}, ${width} px)`);
      return [what, `  ${all[0].help ?? ''} ${all[0].html ?? ''}`, ...places.slice(0, 6), `    ${all.length} in all`].join('\n');
    });
    assert.equal(lines.length, 0, textOf(lines));
  });
}
