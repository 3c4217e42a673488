// Each view of the work and its review, with everything that people have to work with.

import { tellAll } from '../lib/suite.mjs';
import * as review from '../stories/review.mjs';
import * as views from '../stories/views.mjs';

tellAll([review, views]);
