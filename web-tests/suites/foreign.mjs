// A browser of an agent at the sign-in of somebody else's program.

import { tellAll } from '../lib/suite.mjs';
import * as foreign from '../stories/foreign.mjs';

tellAll([foreign]);
