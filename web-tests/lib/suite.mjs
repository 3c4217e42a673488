// A suite: stories in order on a server, a data folder and a browser that no other suite has.

import { after, afterEach, before } from 'node:test';

import { startBrowser, tellOfOpen } from './browser.mjs';
import { found } from './founded.mjs';
import { furnished } from './furnish.mjs';
import { startServer } from './server.mjs';

/** How long what is left open may go on when all is told, in ms. */
const LEFT_OPEN = 5_000;

/** The companies that stories begin with: a small one, the demo company, or none when the first story founds it. */
const COMPANIES = { founded: found, demo: furnished, none: () => ({}) };

/** Tells stories; later ones may use what those before them in the suite have made. */
export function tellAll(stories, { company: name = 'founded' } = {}) {
  const given = {};
  before(async () => {
    given.server = await startServer(name === 'demo' ? { seed: 'small' } : {});
    const company = COMPANIES[name](given.server);
    given.browser = await startBrowser();
    Object.assign(given, await company);
  });
  // A story that failed says what its pages showed, and leaves none of them to the next one.
  afterEach(async ({ passed }) => {
    if (passed === false) await tellOfOpen(given.browser);
  });
  after(async () => {
    await given.browser?.close();
    await given.server?.stop();
    await given.leave?.();
    // What a story that failed has left open keeps nobody waiting.
    setTimeout(() => process.exit(), LEFT_OPEN).unref();
  });
  for (const { tell } of stories) tell(given);
}
