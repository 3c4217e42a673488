// Each view of the work, its review, and hiring, with everything that people have to work with.

import { tellAll } from '../lib/suite.mjs';
import * as hiring from '../stories/hiring.mjs';
import * as review from '../stories/review.mjs';
import * as views from '../stories/views.mjs';

tellAll([review, views, hiring]);
