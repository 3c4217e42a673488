// Lists, boards, calendars and timelines: what they show at once, and what becomes of it; and what is searched for.

import { tellAll } from '../lib/suite.mjs';
import * as board from '../stories/board.mjs';
import * as composer from '../stories/composer.mjs';
import * as directions from '../stories/directions.mjs';
import * as palette from '../stories/palette.mjs';
import * as quick from '../stories/quick.mjs';
import * as rail from '../stories/rail.mjs';

tellAll([quick, board, rail, composer, directions, palette]);
