// A suite: stories in order on a server, a data folder and a browser that no other suite has.

import { after, afterEach, before } from 'node:test';

import { startBrowser, tellOfOpen } from './browser.mjs';
import { found } from './founded.mjs';
import { startServer } from './server.mjs';

/** How long what is left open may go on when all is told, in ms. */
const LEFT_OPEN = 5_000;

/**
 * Tells stories; later ones may use what those before them in the suite have made. They begin with a founded
 * company, or with an empty folder when the first one founds it.
 */
export function tellAll(stories, { isFounded = true } = {}) {
  const given = {};
  before(async () => {
    given.server = await startServer();
    const company = isFounded ? found(given.server) : {};
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
    // What a story that failed has left open keeps nobody waiting.
    setTimeout(() => process.exit(), LEFT_OPEN).unref();
  });
  for (const { tell } of stories) tell(given);
}
