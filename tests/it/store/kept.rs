use std::cell::Cell;

use app::kept::Numbers;
use kernel::time::from_ms;
use store::{Range, Read as _, ReadExt as _, Record as _, StoreError};

use super::toys::{Folder, Note, Toys, folder, note};

/// How often it was counted, and what the answer was.
struct Asked {
    toys: Toys,
    numbers: Numbers,
    counted: Cell<u32>,
}

impl Asked {
    fn new() -> Self {
        Self { toys: Toys::open(), numbers: Numbers::default(), counted: Cell::new(0) }
    }

    /// How many notes there are, as somebody asks it at a moment.
    fn ask(&self, question: &str, at_ms: i64) -> usize {
        let tables = [Note::TABLE.number];
        let answer = self.toys.store.read(|snap| {
            let moment = (&self.toys.store, snap.last_seq()?, from_ms(at_ms));
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
    let asked = Asked::new();
    assert_eq!((asked.ask("all", 0), asked.counted()), (0, 1));
    assert_eq!((asked.ask("all", 0), asked.counted()), (0, 0));
    asked.toys.put(Note::new(note(1), "mira")).expect("a note");
    assert_eq!((asked.ask("all", 0), asked.counted()), (1, 1));
    asked.toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    assert_eq!((asked.ask("all", 0), asked.counted()), (1, 0));
    asked.toys.put(Note::new(note(2), "mira")).expect("a note");
    assert_eq!((asked.ask("all", 0), asked.counted()), (2, 1));
    // More than it looks through.
    for n in 0..300 {
        asked.toys.put(Folder { id: folder(n), inside: None }).expect("a folder");
    }
    assert_eq!((asked.ask("all", 0), asked.counted()), (2, 1));
}

#[test]
fn numbers_hold_for_half_a_minute_and_not_before_they_were_counted() {
    let asked = Asked::new();
    for (at, counts) in [(1_000_000, 1), (1_029_999, 0), (1_030_000, 1), (1_029_999, 1)] {
        assert_eq!((asked.ask("all", at), asked.counted()), (0, counts), "at {at}");
    }
}

#[test]
fn each_question_has_numbers_of_its_own_and_the_oldest_go() {
    let asked = Asked::new();
    for question in ["one", "two"] {
        assert_eq!((asked.ask(question, 0), asked.counted()), (0, 1));
    }
    assert_eq!((asked.ask("one", 0), asked.counted()), (0, 0));
    for n in 0..64 {
        asked.ask(&n.to_string(), 0);
    }
    asked.counted();
    assert_eq!((asked.ask("63", 0), asked.counted()), (0, 0));
    assert_eq!((asked.ask("one", 0), asked.counted()), (0, 1));
}
