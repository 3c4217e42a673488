// Customers: contacts as a table and a board, what was talked about, collections, and their lists.

import { tellAll } from '../lib/suite.mjs';
import * as lists from '../stories/customer_lists.mjs';
import * as customers from '../stories/customers.mjs';

tellAll([customers, lists]);
