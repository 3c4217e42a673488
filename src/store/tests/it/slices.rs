//! Tests of returning a store to a point in time, slice by slice: the result does not depend on the slices, and long
//! busy periods work.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use kernel::Cause;
use kernel::time::Clock as _;
use store::undo::moment::{go_back, go_back_by};
use store::{Range, Read as _, Record as _, StoreError, codec};

use super::check;
use super::toys::{ACTOR, Folder, Job, Line, Note, Toys, folder, id, note};

type Rows = BTreeMap<(u16, Vec<u8>), Vec<u8>>;

/// All rows of these tables, without their revs.
fn rows(toys: &Toys, tables: &[u16]) -> Rows {
    let mut rows = Rows::new();
    for table in tables.iter().copied() {
        let read = toys.store.read(|snap| {
            snap.raw_scan(table, &Range::all(), &mut |key, row| {
                rows.insert((table, key.to_vec()), row[codec::HEADER..].to_vec());
                ControlFlow::Continue(())
            })
        });
        read.map_err(|error: StoreError| error).expect("rows can be read");
    }
    rows
}

fn tracked(toys: &Toys) -> Rows {
    rows(toys, &[Note::TABLE.number, Folder::TABLE.number])
}

/// A deterministic random generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn some(&mut self, n: u64) -> Option<u64> {
        Some(self.below(2 * n)).filter(|one| *one < n)
    }
}

enum Act {
    Put(Note),
    Folder(Folder),
    Job(Job),
    Line(Line),
    Delete(u64),
    DeleteFolder(u64),
}

fn act(dice: &mut Dice, fresh: u64) -> Act {
    match dice.below(10) {
        0 => {
            // Never its own ancestor, so that the previous state can be restored.
            let n = dice.below(3);
            let inside = dice.some(3).filter(|inside| *inside < n);
            Act::Folder(Folder { id: folder(n), inside: inside.map(folder) })
        }
        1 => Act::Delete(dice.below(6)),
        2 => Act::DeleteFolder(dice.below(3)),
        3 => Act::Job(Job { id: id(fresh), note: dice.some(6).map(note), open: true }),
        4 => Act::Line(Line { id: id(fresh), note: note(dice.below(6)), amount: 3 }),
        _ => Act::Put(Note {
            slug: dice.some(3).map(|n| format!("slug-{n}")),
            folder: dice.some(3).map(folder),
            parent: dice.some(6).map(note),
            guard: dice.some(6).map(note),
            size: i64::try_from(dice.below(9)).expect("small"),
            ..Note::new(note(dice.below(6)), ["ada", "bo", "cy"][dice.below(3) as usize])
        }),
    }
}

fn commit(toys: &Toys, acts: Vec<Act>) {
    let done = toys.write(move |tx| {
        for act in acts {
            // ok: a refused act has no effect.
            let _ = tx.attempt(|tx| match &act {
                Act::Put(note) => tx.put(note),
                Act::Folder(folder) => tx.put(folder),
                Act::Job(job) => tx.put(job),
                Act::Line(line) => tx.put(line),
                Act::Delete(n) => tx.delete::<Note>(note(*n)).map(|_| ()),
                Act::DeleteFolder(n) => tx.delete::<Folder>(folder(*n)).map(|_| ()),
            });
        }
        Ok(())
    });
    done.expect("the rest is written");
}

#[test]
fn a_store_goes_back_to_the_same_in_slices_of_any_size() {
    for seed in 1..=80u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let toys = Toys::open();
        let lines = |toys: &Toys| rows(toys, &[Line::TABLE.number]);
        let mut moments = vec![(toys.clock.now(), tracked(&toys), lines(&toys))];
        for step in 0..12 {
            toys.clock.advance_ms(10);
            let acts = (0..=dice.below(4)).map(|n| act(&mut dice, step * 10 + n)).collect();
            commit(&toys, acts);
            moments.push((toys.clock.now(), tracked(&toys), lines(&toys)));
        }
        let (at, then, log) = &moments[dice.below(moments.len() as u64) as usize];
        let slice = 1 + dice.below(4) as usize;
        let back = go_back_by(&toys.store, *at, (ACTOR, Cause::Restore), slice);
        let back = back.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Work that was deleted with its note has no former state.
        assert!(back.left.keys().all(|table| *table == "job"), "seed {seed}: {back:?}");
        assert_eq!(tracked(&toys), *then, "seed {seed}, slices of {slice}");
        assert_eq!(lines(&toys), *log, "seed {seed}, slices of {slice}");
        check::all_fits(&toys.store);
    }
}

#[test]
fn a_record_that_has_changed_thousands_of_times_goes_back() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "ada")).expect("a note");
    let (at, then) = (toys.clock.now(), tracked(&toys));
    toys.clock.advance_ms(10);
    let before = toys.seq();
    for n in 0..5_200i64 {
        toys.put(Note { size: n, ..Note::new(note(1), "bo") }).expect("another change");
    }
    let back = go_back(&toys.store, at, (ACTOR, Cause::Restore)).expect("it goes back");
    assert_eq!((back.to, back.entries), (before, 5_200));
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!(tracked(&toys), then);
}
