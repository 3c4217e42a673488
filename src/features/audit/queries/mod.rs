//! Reads of the audit: queries, results and their display.

mod ask;
mod choices;
mod lines;
mod through;
mod values;
mod work;

use store::{Read, ReadExt, StoreError};

use super::model::Keeping;

pub use ask::{AuditParams, AuditQuery, Source, cause_word};
pub use choices::{causes, events, routines, whose};
pub use lines::{Line, Page, RowLine, Teller, as_json_now, lines};
pub use through::{Begun, fired_in};
pub use values::Values;
pub use work::{
    Reach, VERIFY, VERIFY_BLOBS, begin_verify, enforce, export_piece, is_of_accounts, redact,
    store_with, to_redact, with_a_past,
};

/// Stored retention settings, or the defaults.
pub fn keeping(read: &dyn Read) -> Result<Keeping, StoreError> {
    Ok(read.get::<Keeping>(())?.unwrap_or_default())
}
