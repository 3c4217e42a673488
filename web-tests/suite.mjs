// One server, one browser, all stories in order: the later ones use what the first has made.

import { after, before } from 'node:test';

import { startBrowser } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';
import * as access from './stories/access.mjs';
import * as loop from './stories/loop.mjs';

const given = {};

before(async () => {
  given.server = await startServer();
  given.browser = await startBrowser();
});

after(async () => {
  await given.browser?.close();
  await given.server?.stop();
});

loop.tell(given);
access.tell(given);
