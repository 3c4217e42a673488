// Words as they are written, and what was written before.

import { tellAll } from '../lib/suite.mjs';
import * as history from '../stories/history.mjs';
import * as shelf from '../stories/shelf.mjs';
import * as writer from '../stories/writer.mjs';

tellAll([writer, history, shelf]);
