//! Tests that retention removes images and never an entry: readers continue from any cursor, whatever was removed by
//! age, by size, up to an entry, or for one record.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use kernel::Clock as _;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use store::audit::{Search, search};
use store::consumer::{self, Consume, ConsumeError, Step};
use store::verify::verify;
use store::{Change, Entry, Range, ReadExt as _, Root, StoreError, WriteTx, keep};

use super::check;
use super::toys::{ACTOR, CAUSE, Note, Seen, Toys, id, note, runtime};

/// Number of readers, each with its own pace.
const READERS: u16 = 4;
/// Two hours in milliseconds.
const SPAN: i64 = 2 * 60 * 60 * 1_000;

#[derive(Clone, Debug)]
enum Act {
    /// Sets sizes of notes or deletes them, in one transaction.
    Write(Vec<(u64, Option<i64>)>),
    /// One reader handles new entries.
    Take(u16),
    /// Moves the clock forwards or back.
    Clock(i64),
    /// Retention by age.
    Age(i64),
    /// Retention down to a number of bytes.
    Size(u64),
    /// Retention up to an entry.
    Until(Index),
    Redact(u64),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => vec((0..6u64, option::weighted(0.8, 0..50i64)), 1..4).prop_map(Act::Write),
        4 => (0..READERS).prop_map(Act::Take),
        2 => (-SPAN..SPAN).prop_map(Act::Clock),
        2 => (0..SPAN).prop_map(Act::Age),
        2 => (0..2_000u64).prop_map(Act::Size),
        2 => any::<Index>().prop_map(Act::Until),
        1 => (0..6u64).prop_map(Act::Redact),
        1 => Just(Act::Reopen),
    ]
}

/// Records per entry how often it was handled.
struct Reader(u16);

impl Consume for Reader {
    fn number(&self) -> u16 {
        20 + self.0
    }
    fn name(&self) -> &'static str {
        "reader"
    }
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        let at = id(u64::from(self.0) * 1_000_000 + entry.seq);
        let times = tx.get::<Seen>(at)?.map_or(0, |seen| seen.at);
        Ok(tx.put(&Seen { id: at, at: times + 1 })?)
    }
}

fn take(toys: &Toys, reader: u16) -> Step {
    let reader: Arc<dyn Consume> = Arc::new(Reader(reader));
    runtime().block_on(consumer::step(&toys.store, reader)).expect("a step")
}

fn step(toys: Toys, act: Act) -> Toys {
    match act {
        Act::Write(notes) => write(&toys, notes),
        Act::Take(reader) => {
            assert!(matches!(take(&toys, reader), Step::Took(_) | Step::Idle));
        }
        Act::Clock(ms) => toys.clock.advance_ms(ms),
        Act::Age(ms) => {
            let before = toys.clock.now().as_millisecond() - ms;
            drop_piece(&toys, keep::last_before(&toys.store, before).expect("a place"));
        }
        Act::Size(bytes) => {
            drop_piece(&toys, keep::oldest_within(&toys.store, bytes).expect("a place"));
        }
        Act::Until(at) => drop_piece(&toys, at.index(toys.seq() as usize + 1) as u64),
        Act::Redact(n) => {
            let Root { table, key } = Root::of::<Note>(note(n));
            let done = runtime().block_on(keep::redact(&toys.store, (ACTOR, CAUSE), table, key));
            assert!(matches!(done, Ok(_) | Err(StoreError::UnknownRecord)), "{done:?}");
        }
        Act::Reopen => return toys.reopen(),
    }
    toys
}

fn write(toys: &Toys, notes: Vec<(u64, Option<i64>)>) {
    let written = toys.write(move |tx| {
        for (n, size) in notes {
            match size {
                Some(size) => tx.put(&Note { size, ..Note::new(note(n), "m") })?,
                None => tx.delete::<Note>(note(n)).map(|_| ())?,
            }
        }
        Ok(())
    });
    written.expect("notes");
}

fn drop_piece(toys: &Toys, until: u64) {
    toys.write(move |tx| keep::drop_piece(tx, until)).expect("a piece");
}

/// The parts of an entry that must never be lost.
type Told = (u64, [u8; 32], Vec<Change>);

fn received(toys: &Toys, after: u64) -> Vec<Told> {
    let entries = toys.store.entries_after(after, usize::MAX).expect("the feed");
    entries.iter().map(|entry| (entry.seq, entry.hash, entry.changes.clone())).collect()
}

/// The numbers of all entries, from pages of a search, newest first.
fn by_pages(toys: &Toys) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let ask = Search {
            records: &[],
            before,
            since: None,
            until: None,
            limit: 3,
            within: Duration::from_secs(5),
            by: &|_| true,
            wanted: &|_: &Entry| true,
        };
        let page = search(&toys.store, &ask).expect("a page");
        found.extend(page.entries.iter().map(|entry| entry.seq));
        before = page.next;
        if before.is_none() {
            found.reverse();
            return found;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whoever_stands_anywhere_in_the_feed_goes_on_whatever_retention_took(
        acts in vec(act(), 1..60)
    ) {
        let (mut toys, mut all) = (Toys::open(), Vec::new());
        for act in acts {
            toys = step(toys, act);
            // As they were read when they were new.
            all.extend(received(&toys, all.len() as u64));
        }
        // From the disk, not from the cache.
        let toys = toys.reopen();
        for cursor in 0..=all.len() {
            assert_eq!(received(&toys, cursor as u64), all[cursor..], "from {cursor}");
        }
        assert_eq!(by_pages(&toys), (1..=all.len() as u64).collect::<Vec<_>>());
        for reader in 0..READERS {
            while take(&toys, reader) != Step::Idle {}
        }
        let seen = toys.store.read(|snap| snap.list::<Seen>(&Range::all())).expect("a read");
        assert_eq!(seen.len(), usize::from(READERS) * all.len(), "every entry, for each reader");
        assert!(seen.iter().all(|seen| seen.at == 1), "and each once");
        let report = verify(&toys.store, &mut |_| ControlFlow::Continue(())).expect("a look");
        assert!(report.is_sound(), "{:#?}", report.faults);
        check::all_fits(&toys.store);
    }
}
