// One server, one browser, all stories in order: the later ones use what the first has made.

import { after, before } from 'node:test';

import { startBrowser } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';
import * as access from './stories/access.mjs';
import * as again from './stories/again.mjs';
import * as board from './stories/board.mjs';
import * as chat from './stories/chat.mjs';
import * as danger from './stories/danger.mjs';
import * as directions from './stories/directions.mjs';
import * as doors from './stories/doors.mjs';
import * as faults from './stories/faults.mjs';
import * as forms from './stories/forms.mjs';
import * as history from './stories/history.mjs';
import * as loop from './stories/loop.mjs';
import * as onward from './stories/onward.mjs';
import * as palette from './stories/palette.mjs';
import * as people from './stories/people.mjs';
import * as places from './stories/places.mjs';
import * as plain from './stories/plain.mjs';
import * as quick from './stories/quick.mjs';
import * as rail from './stories/rail.mjs';
import * as review from './stories/review.mjs';
import * as routines from './stories/routines.mjs';
import * as runs from './stories/runs.mjs';
import * as talk from './stories/talk.mjs';
import * as views from './stories/views.mjs';
import * as writer from './stories/writer.mjs';

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
plain.tell(given);
doors.tell(given);
forms.tell(given);
talk.tell(given);
again.tell(given);
chat.tell(given);
history.tell(given);
palette.tell(given);
directions.tell(given);
board.tell(given);
rail.tell(given);
writer.tell(given);
quick.tell(given);
review.tell(given);
views.tell(given);
people.tell(given);
places.tell(given);
runs.tell(given);
routines.tell(given);
onward.tell(given);
danger.tell(given);
faults.tell(given);
access.tell(given);
