// Draws the icons of the installed app from static/favicon.svg into static/icons: `node icons.mjs` after a change of it.
// A maskable icon may be cut to any shape, so it fills the square and its sign is smaller; so does Apple's.

import { readFile } from 'node:fs/promises';

import { startBrowser } from './lib/browser.mjs';

const SIZES = { 'icon-192': [192, 1], 'icon-512': [512, 1], 'maskable-512': [512, 0.8], 'touch-180': [180, 0.86] };

const root = new URL('../static/', import.meta.url);
const svg = await readFile(new URL('favicon.svg', root), 'utf8');
const [, ground] = svg.match(/<rect [^>]*fill="(#\w+)"/);
const browser = await startBrowser();
for (const [name, [size, scale]] of Object.entries(SIZES)) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  const square = scale < 1 ? `background:${ground}` : '';
  await page.setContent(`<style>body{margin:0;display:grid;place-content:center;height:100vh;${square}}svg{width:${size * scale}px}</style>${svg}`);
  await page.screenshot({ path: new URL(`icons/${name}.png`, root).pathname, omitBackground: true });
  await page.close();
}
await browser.close();
