//! Format 4: routines create all tasks of a template, firings record the values, and series record when their tasks
//! are due. Rows of the old layouts remain readable and are rewritten when they change. No other data changes.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 4, name: "m0004_tasks_of_routines", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Adding template tasks to routines, and due dates to recurring tasks"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
