//! Tests of cached counts, on a store with two record types.

use std::cell::Cell;
use std::sync::Arc;

use kernel::id::SystemIds;
use kernel::time::{SystemClock, from_ms};
use kernel::{Actor, AgentId, Cause, Part, TaskId, TypedId};
use serde::{Deserialize, Serialize};
use store::{
    Class, NoFaults, Options, Range, Read as _, ReadExt as _, Record, Store, StoreError, Table,
};
use tempfile::TempDir;

use super::Numbers;

#[derive(Serialize, Deserialize)]
struct Note {
    id: TaskId,
}

impl Record for Note {
    type Id = TaskId;
    const TABLE: Table = Table::new(100, "note");
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> TaskId {
        self.id
    }
    fn sample() -> Self {
        Self { id: id(1) }
    }
}

#[derive(Serialize, Deserialize)]
struct Folder {
    id: AgentId,
}

impl Record for Folder {
    type Id = AgentId;
    const TABLE: Table = Table::new(110, "folder");
    const CLASS: Class = Class::Tracked;
    fn id(&self) -> AgentId {
        self.id
    }
    fn sample() -> Self {
        Self { id: id(1) }
    }
}

fn id<T: TypedId>(n: u64) -> T {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    T::from_bytes(bytes)
}

/// A store, cached counts and the number of times they were computed.
struct Counted {
    store: Store,
    numbers: Numbers,
    counted: Cell<u32>,
    _folder: TempDir,
}

impl Counted {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            path: folder.path().join("notes.redb"),
            schema: store::schema![Note, Folder],
            cache: 4 << 20,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
            reactor: None,
            faults: Arc::new(NoFaults),
        };
        let store = Store::open(options).expect("it opens");
        Self { store, numbers: Numbers::default(), counted: Cell::new(0), _folder: folder }
    }

    fn put<R: Record + Send>(&self, record: R) {
        let put = move |tx: &mut store::WriteTx<'_>| tx.put(&record);
        self.store.write_blocking(Actor::System(Part::Cli), Cause::Setup, put).expect("a write");
    }

    /// Returns the number of notes for a query at a given time.
    fn ask(&self, question: &str, at_ms: i64) -> usize {
        let tables = [Note::TABLE.number];
        let answer = self.store.read(|snap| {
            let moment = (&self.store, snap.last_seq()?, from_ms(at_ms));
            self.numbers.get(moment, (question, &tables), || {
                self.counted.set(self.counted.get() + 1);
                Ok::<_, StoreError>(vec![snap.list::<Note>(&Range::all())?.len()])
            })
        });
        answer.expect("numbers")[0]
    }

    fn counted(&self) -> u32 {
        self.counted.take()
    }
}

#[test]
fn numbers_are_counted_once_until_one_of_their_tables_changes() {
    let counted = Counted::new();
    assert_eq!((counted.ask("all", 0), counted.counted()), (0, 1));
    assert_eq!((counted.ask("all", 0), counted.counted()), (0, 0));
    counted.put(Note { id: id(1) });
    assert_eq!((counted.ask("all", 0), counted.counted()), (1, 1));
    counted.put(Folder { id: id(1) });
    assert_eq!((counted.ask("all", 0), counted.counted()), (1, 0));
    counted.put(Note { id: id(2) });
    assert_eq!((counted.ask("all", 0), counted.counted()), (2, 1));
    // More entries than the cache checks.
    for n in 0..300 {
        counted.put(Folder { id: id(n) });
    }
    assert_eq!((counted.ask("all", 0), counted.counted()), (2, 1));
}

#[test]
fn numbers_hold_for_half_a_minute_and_not_before_they_were_counted() {
    let counted = Counted::new();
    for (at, counts) in [(1_000_000, 1), (1_029_999, 0), (1_030_000, 1), (1_029_999, 1)] {
        assert_eq!((counted.ask("all", at), counted.counted()), (0, counts), "at {at}");
    }
}

#[test]
fn each_question_has_numbers_of_its_own_and_the_oldest_go() {
    let counted = Counted::new();
    for question in ["one", "two"] {
        assert_eq!((counted.ask(question, 0), counted.counted()), (0, 1));
    }
    assert_eq!((counted.ask("one", 0), counted.counted()), (0, 0));
    for n in 0..64 {
        counted.ask(&n.to_string(), 0);
    }
    counted.counted();
    assert_eq!((counted.ask("63", 0), counted.counted()), (0, 0));
    assert_eq!((counted.ask("one", 0), counted.counted()), (0, 1));
}
