//! Format 6: routines wait until words have rested, and people choose what bounds runs. Routines and clocks of
//! the former layout are read as they are and written anew when they change; where nobody chose, all is as usual.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 6, name: "m0006_words_at_rest", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Letting routines wait until words have rested"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
