//! Format 3: existing records get all current indexes, references and sums, including those introduced after the
//! records were written.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

/// Rows of a table per transaction.
const PIECE: usize = 500;

pub const STEP: Migration =
    Migration { to: 3, name: "m0003_all_indexes", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Rebuilding all indexes"
}

fn run(tx: &mut WriteTx<'_>, at: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(tx.remake_beside(at, PIECE)?.map_or(Piece::Done, Piece::More))
}
