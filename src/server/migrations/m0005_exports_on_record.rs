//! Format 5: the feed records exports of a whole workspace. Rows are unchanged.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 5, name: "m0005_exports_on_record", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Recording workspace exports"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
