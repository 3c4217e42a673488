//! Tests of in-memory columns during concurrent writes.

use store::columns::{self, Column as _};

use super::model::NoteColumn;
use super::toys::{Note, Toys, note};

/// How many notes are created while others read.
const MADE: u64 = 2_000;

#[test]
fn columns_miss_no_change_though_a_snapshot_shows_it_before_it_is_told() {
    let toys = Toys::open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..MADE {
                toys.put(Note::new(note(n), "made once")).expect("a write");
            }
        });
        while !writer.is_finished() {
            toys.store
                .read(|snap| columns::with(snap, <[NoteColumn]>::len))
                .expect("the columns as of now");
        }
    });
    let wanted: Vec<NoteColumn> =
        (0..MADE).map(|n| NoteColumn::of(&Note::new(note(n), "made once"), &mut 0)).collect();
    let kept = toys.store.read(|snap| columns::with(snap, <[NoteColumn]>::to_vec));
    assert_eq!(kept.expect("columns"), wanted);
}
