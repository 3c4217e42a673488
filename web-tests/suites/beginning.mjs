// From the set-up in a browser on: the one suite that begins with an empty folder.

import { tellAll } from '../lib/suite.mjs';
import * as access from '../stories/access.mjs';
import * as danger from '../stories/danger.mjs';
import * as doors from '../stories/doors.mjs';
import * as forms from '../stories/forms.mjs';
import * as loop from '../stories/loop.mjs';
import * as onward from '../stories/onward.mjs';
import * as plain from '../stories/plain.mjs';
import * as routines from '../stories/routines.mjs';
import * as talk from '../stories/talk.mjs';

tellAll([loop, plain, doors, forms, talk, routines, onward, danger, access], { company: 'none' });
