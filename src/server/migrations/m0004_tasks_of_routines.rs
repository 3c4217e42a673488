//! Format 4: routines make all tasks of a template, their firings say with which values, and series say when
//! their tasks are due. Rows of the former layouts are read as they are and written anew when they change;
//! nothing beside them is other than before.

use store::migrate::{Migration, Piece};
use store::{StoreError, WriteTx};

pub const STEP: Migration =
    Migration { to: 4, name: "m0004_tasks_of_routines", describe, run, moves: &[] };

fn describe() -> &'static str {
    "Letting routines make the tasks of templates, and series say when these are due"
}

fn run(_: &mut WriteTx<'_>, _: Option<&[u8]>) -> Result<Piece, StoreError> {
    Ok(Piece::Done)
}
