// The one script of HQ's pages. Every page works without it; it makes them live and quick.
// Behaviour hangs on data-* attributes and is delegated from the document, so that swapped-in
// regions need no set-up.
import "./swap.js";
import "./keep.js";
import "./live.js";
import "./keys.js";
import "./layers.js";
import "./palette.js";
import "./forms.js";
import "./files.js";
import "./chat.js";
import "./passkeys.js";
import "./prove.js";
import "./steps.js";
import "./follow.js";
import "./query.js";
import "./names.js";
import "./writer.js";
import "./kept.js";
import "./remarks.js";
import "./select.js";
import "./guess.js";
import "./drag.js";
import "./swipe.js";
import "./ahead.js";
import "./gantt.js";
import "./grid.js";
import "./paste.js";
import "./news.js";
import "./push.js";
import "./time.js";
import "./stay.js";
import "./layer.js";
import "./unsent.js";
import "./zone.js";
import "./setup.js";
