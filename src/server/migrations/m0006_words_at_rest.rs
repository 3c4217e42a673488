//! Format 6: routines wait for a pause in edits, and run limits are configurable. Routines and clocks of the old
//! layout remain readable and are rewritten when they change. Without a configured limit, the defaults apply.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 6, name: "m0006_words_at_rest", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Letting routines wait for edits to finish"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
