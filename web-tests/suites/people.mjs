// A phone without a connection; people and the places that they keep: who may do what, streams, labels, routines,
// notifications and settings.

import { tellAll } from '../lib/suite.mjs';
import * as people from '../stories/people.mjs';
import * as phone from '../stories/phone.mjs';
import * as places from '../stories/places.mjs';
import * as saves from '../stories/saves.mjs';
import * as steps from '../stories/steps.mjs';

tellAll([phone, places, people, steps, saves]);
