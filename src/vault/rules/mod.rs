//! All writes to secrets. Values arrive sealed: rules never see a plain value.

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
pub use secrets::{
    NewSecret, Patch, change, create, erase, remove, remove_of_channel, restore, sweep,
};
pub use uses::{Used, used};
pub use value::{put_back, set_value, set_value_of_channel};

/// Hours in which a former value can be put back.
const FORMER_HOURS: i64 = 24;
