//! Format 2: the store records which rows and history images refer to a blob, so that only unreferenced blobs are
//! deleted.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

/// Rows per transaction.
const PIECE: usize = 500;

pub const STEP: Migration =
    Migration { to: 2, name: "m0002_blob_references", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Recording which records use which files"
}

fn run(tx: &mut WriteTx<'_>, at: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(tx.fill_blob_references(at, PIECE)?.map_or(Piece::Done, Piece::More))
}
