//! Format 8: records can be found by name in any script. Reindexes existing names.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

/// Rows of a table per transaction.
const PIECE: usize = 500;

pub const STEP: Migration =
    Migration { to: 8, name: "m0008_names_in_any_writing", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Rebuilding the name indexes"
}

fn run(tx: &mut WriteTx<'_>, at: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(tx.remake_beside(at, PIECE)?.map_or(Piece::Done, Piece::More))
}
