// Agents at work: talked with, followed, stopped, begun again, and gone on with after HQ has ended.

import { tellAll } from '../lib/suite.mjs';
import * as again from '../stories/again.mjs';
import * as approvals from '../stories/approvals.mjs';
import * as browser from '../stories/browser.mjs';
import * as channels from '../stories/channels.mjs';
import * as chat from '../stories/chat.mjs';
import * as faults from '../stories/faults.mjs';
import * as foreign from '../stories/foreign.mjs';
import * as gateways from '../stories/gateways.mjs';
import * as machines from '../stories/machines.mjs';
import * as runs from '../stories/runs.mjs';
import * as secrets from '../stories/secrets.mjs';
import * as tools from '../stories/tools.mjs';
import * as wheel from '../stories/wheel.mjs';

tellAll([again, chat, runs, browser, wheel, foreign, approvals, secrets, channels, tools, gateways, machines, faults]);
