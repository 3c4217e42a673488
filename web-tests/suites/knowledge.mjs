// Knowledge: pages, files, folders and who reads them.

import { tellAll } from '../lib/suite.mjs';
import * as knowledge from '../stories/knowledge.mjs';

tellAll([knowledge]);
