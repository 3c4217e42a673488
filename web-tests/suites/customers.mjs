// Customers: contacts as a table and a board, what was talked about, and collections.

import { tellAll } from '../lib/suite.mjs';
import * as customers from '../stories/customers.mjs';

tellAll([customers]);
