// Every page of the demo company, which is furnished with what it lacks.

import { tellAll } from '../lib/suite.mjs';
import * as pages from '../stories/pages.mjs';

tellAll([pages], { company: 'demo' });
