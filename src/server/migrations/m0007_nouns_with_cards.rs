//! Format 7: nouns with a descriptor share one event type, and links can refer to their records. Rows are unchanged.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 7, name: "m0007_nouns_with_cards", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Preparing for new kinds of records"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
