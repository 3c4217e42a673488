// Knowledge: pages, files, folders and who reads them; sources that keep it up to date.

import { tellAll } from '../lib/suite.mjs';
import * as knowledge from '../stories/knowledge.mjs';
import * as sources from '../stories/sources.mjs';

tellAll([knowledge, sources]);
