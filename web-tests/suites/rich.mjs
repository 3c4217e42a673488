// The editor of pages alone: a page of its own and a small server in the place of HQ (lib/writing.mjs).

import { after, before } from 'node:test';

import { startBrowser } from '../lib/browser.mjs';
import { startWriting } from '../lib/writing.mjs';
import * as bytes from '../stories/rich-bytes.mjs';
import * as paste from '../stories/rich-paste.mjs';
import * as together from '../stories/rich-together.mjs';
import * as typing from '../stories/rich-typing.mjs';

const given = {};
before(async () => {
  given.server = await startWriting();
  given.browser = await startBrowser();
});
after(async () => {
  await given.browser?.close();
  given.server?.stop();
});
for (const { tell } of [bytes, typing, paste, together]) tell(given);
