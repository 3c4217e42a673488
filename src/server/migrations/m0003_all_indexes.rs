//! Format 3: records that were there before have all indexes, references and sums that this program
//! reads them by, also those that came after they were written.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

/// How many rows of a table one transaction looks at.
const PIECE: usize = 500;

pub const STEP: Migration =
    Migration { to: 3, name: "m0003_all_indexes", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Making all indexes anew"
}

fn run(tx: &mut WriteTx<'_>, at: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(tx.remake_beside(at, PIECE)?.map_or(Piece::Done, Piece::More))
}
