//! Format 2: the store knows which rows and kept images hold a blob, so that a file that nothing
//! holds any more can be taken away, and never one that is held.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

/// How many rows one transaction looks at.
const PIECE: usize = 500;

pub const STEP: Migration =
    Migration { to: 2, name: "m0002_blob_references", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Noting which records hold which files"
}

fn run(tx: &mut WriteTx<'_>, at: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(tx.fill_blob_references(at, PIECE)?.map_or(Piece::Done, Piece::More))
}
