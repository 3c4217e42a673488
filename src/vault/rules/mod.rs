//! All writes to secrets. Values come sealed: nothing here ever sees one.

mod import;
mod masks;
mod receipts;
mod renewal;
mod secrets;
mod uses;
mod value;

pub use import::{Entry, Existing, ImportOptions, Verdict, fine, import, judge};
pub use masks::{add_mask, remove_mask};
pub use receipts::{confirmed, sent_to};
pub use renewal::remind;
pub use secrets::{NewSecret, Patch, change, create, remove, restore, sweep};
pub use uses::{Used, used};
pub use value::{put_back, set_value};

/// How long a former value can be put back, in hours.
const FORMER_HOURS: i64 = 24;
