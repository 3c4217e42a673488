//! Tests of durable consumers of the feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kernel::Cause;
use kernel::time::Clock as _;
use store::consumer::{
    Consume, ConsumeError, Passed, State, Step, dead_letters, dead_letters_after, give_up, pause,
    rebuild, rebuilding, resume, rewind, skip, skip_only, state, step, step_or_pass,
};
use store::undo::moment::go_back;
use store::{Entry, Op, Range, ReadExt, StoreError, WriteTx};

use super::check;
use super::toys::{ACTOR, Folder, Note, Seen, Total, Toys, folder, id, note, runtime};

const NUMBER: u16 = 7;

/// Counts new notes in a `Total`, and fails as their owner says.
#[derive(Default)]
struct Counter {
    tried: AtomicU32,
}

impl Consume for Counter {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        "counter"
    }

    fn concerns(&self, entry: &Entry) -> bool {
        entry.changes.iter().any(|change| change.table == 100)
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        for change in entry.changes.iter().filter(|c| c.table == 100 && c.op == Op::Insert) {
            let made = kernel::key::decode(&change.key).map(|own| tx.get::<Note>(own));
            let owner = made.transpose()?.flatten().map(|n| n.owner).unwrap_or_default();
            let sum = tx.get::<Total>(id(1))?.map_or(0, |total| total.n);
            tx.put(&Total { id: id(1), n: sum + 1 })?;
            match owner.as_str() {
                "poison" => return Err(ConsumeError::Refused("bad taste".to_owned())),
                "panic" => panic!("a bug in a consumer"),
                _ => {}
            }
        }
        Ok(())
    }
}

fn take(toys: &Toys, counter: &Arc<Counter>) -> Step {
    let counter = Arc::clone(counter) as Arc<dyn Consume>;
    runtime().block_on(step(&toys.store, counter)).expect("a step")
}

fn total(toys: &Toys) -> u64 {
    toys.get::<Total>(id(1)).map_or(0, |total| total.n)
}

fn now(toys: &Toys) -> State {
    toys.store.read(|snap| state(snap, NUMBER)).expect("a read")
}

fn make(toys: &Toys, owners: &[&str]) {
    let first = toys.seq();
    for (n, owner) in owners.iter().enumerate() {
        toys.put(Note::new(note(first + n as u64), owner)).expect("a note");
    }
}

#[test]
fn each_entry_takes_effect_once_and_a_consumer_at_rest_writes_nothing() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    assert_eq!(take(&toys, &counter), Step::Idle);
    make(&toys, &["a", "b", "c"]);
    assert_eq!(take(&toys, &counter), Step::Took(3));
    assert_eq!((total(&toys), now(&toys).cursor), (3, 3));
    assert_eq!(take(&toys, &counter), Step::Idle);
    let toys = toys.reopen();
    assert_eq!(take(&toys, &counter), Step::Idle, "the cursor is as durable as the effect");
    make(&toys, &["d"]);
    assert_eq!(take(&toys, &counter), Step::Took(1));
    assert_eq!((total(&toys), toys.seq()), (4, 4), "its own work is no entry");
    check::all_fits(&toys.store);
}

#[test]
fn entries_with_nothing_for_a_consumer_are_passed_without_a_transaction() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    let (mut passed, runtime) = (Passed::within(Duration::from_secs(3_600)), runtime());
    let pass = |passed: &mut Passed| {
        let counter = Arc::clone(&counter) as Arc<dyn Consume>;
        runtime.block_on(step_or_pass(&toys.store, counter, passed)).expect("a step")
    };
    toys.put(Folder { id: folder(8), inside: None }).expect("nothing for it");
    toys.put(Folder { id: folder(9), inside: None }).expect("nothing for it");
    assert!(matches!(pass(&mut passed), Step::Passed(left) if !left.is_zero()));
    assert_eq!(now(&toys), State::default(), "nothing was written");
    assert!(matches!(pass(&mut passed), Step::Passed(_)), "the cursor is still to follow");

    make(&toys, &["a"]);
    assert_eq!(pass(&mut passed), Step::Took(1), "what was passed is not looked at once more");
    assert_eq!((total(&toys), now(&toys).cursor), (1, 3));
    assert_eq!(pass(&mut passed), Step::Idle);

    toys.put(Folder { id: folder(10), inside: None }).expect("nothing for it");
    assert!(matches!(pass(&mut passed), Step::Passed(_)));
    let back = |tx: &mut WriteTx<'_>| rewind(tx, &Counter::default(), 0);
    let back = toys.write(move |tx| back(tx).map_err(|e| StoreError::Failed(e.to_string())));
    back.expect("a person sends it back");
    assert_eq!(pass(&mut passed), Step::Took(4), "all of it again");
    assert_eq!((total(&toys), now(&toys).cursor), (2, 4));

    toys.put(Folder { id: folder(11), inside: None }).expect("nothing for it");
    assert_eq!(pass(&mut Passed::within(Duration::ZERO)), Step::Took(1), "the time is over");
    assert_eq!((total(&toys), now(&toys).cursor), (2, 5));
    assert_eq!(counter.tried.load(Ordering::Relaxed), 6);
}

#[test]
fn two_steps_at_once_do_not_take_an_entry_twice() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    make(&toys, &["a", "b", "c"]);
    let steps = runtime().block_on(async {
        let one = step(&toys.store, Arc::clone(&counter) as Arc<dyn Consume>);
        let other = step(&toys.store, Arc::clone(&counter) as Arc<dyn Consume>);
        tokio::join!(one, other)
    });
    let took = [steps.0.expect("a step"), steps.1.expect("a step")];
    assert!(took.contains(&Step::Took(3)), "{took:?}");
    assert_eq!(total(&toys), 3);
}

#[test]
fn a_poisoned_entry_is_tried_five_times_and_then_set_aside() {
    for poison in ["poison", "panic"] {
        let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
        make(&toys, &["a", poison, "b"]);
        for tries in 1..5 {
            assert_eq!(take(&toys, &counter), Step::Failed(tries));
            let state = now(&toys);
            assert_eq!((state.cursor, state.tries), (1, tries), "what came before it stays taken");
            assert_eq!(total(&toys), 1, "nothing of the failed one stays");
        }
        assert_eq!(take(&toys, &counter), Step::Took(1), "set aside, and on with the next");
        assert_eq!(total(&toys), 2);
        let state = now(&toys);
        assert_eq!((state.cursor, state.tries, state.dead_in_a_row), (3, 0, 0));
        let letters = toys.store.read(|snap| dead_letters(snap, NUMBER)).expect("a read");
        let [(2, letter)] = letters.as_slice() else { panic!("{letters:?}") };
        let word = if poison == "poison" { "bad taste" } else { "a bug in a consumer" };
        assert!(letter.error.contains(word), "{letter:?}");
        assert_eq!(letter.at, 1_700_000_000_000);
        assert_eq!(state.last_error.as_deref(), Some(letter.error.as_str()));
    }
}

#[test]
fn failing_entries_with_good_ones_between_wait_for_their_own_tries_alone() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    make(&toys, &["a", "poison", "b", "poison", "c", "poison", "d"]);
    let mut failed = Vec::new();
    loop {
        match take(&toys, &counter) {
            Step::Took(_) => {}
            Step::Failed(tries) => failed.push(tries),
            Step::Idle => break,
            other => panic!("it has taken good ones since: {other:?}"),
        }
    }
    assert_eq!(failed, [1, 2, 3, 4].repeat(3), "each of the three has its own tries");
    assert_eq!((total(&toys), now(&toys).cursor), (4, 7), "the good ones are taken");
    let letters = toys.store.read(|snap| dead_letters(snap, NUMBER)).expect("a read");
    let entries: Vec<u64> = letters.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(entries, [2, 4, 6]);
}

#[test]
fn three_set_aside_in_a_row_pause_it_until_somebody_resumes() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    make(&toys, &["poison", "poison", "poison", "poison", "a"]);
    let mut last = Step::Idle;
    for _ in 0..13 {
        last = take(&toys, &counter);
    }
    assert_eq!(last, Step::Paused, "after three times five tries, less two in passing");
    assert_eq!((now(&toys).paused, now(&toys).cursor), (true, 3));
    let tried = counter.tried.load(Ordering::Relaxed);
    assert_eq!(tried, 15);
    assert_eq!(take(&toys, &counter), Step::Paused);
    assert_eq!(counter.tried.load(Ordering::Relaxed), tried, "it stands still");
    toys.write(|tx| resume(tx, NUMBER)).expect("resumed");
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.push(take(&toys, &counter));
    }
    assert_eq!(steps[4], Step::Took(1));
    assert_eq!((total(&toys), now(&toys).cursor), (1, 5));
    let letters = toys.store.read(|snap| dead_letters(snap, NUMBER)).expect("a read");
    assert_eq!(letters.len(), 4);
}

#[test]
fn only_the_entry_that_is_expected_is_skipped() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    make(&toys, &["a", "poison", "b", "c"]);
    assert_eq!(take(&toys, &counter), Step::Failed(1), "it stands before the second");
    let skip = |entry| {
        let body = move |tx: &mut WriteTx<'_>| {
            Ok(skip_only(tx, NUMBER, entry).map_err(|error| error.to_string()))
        };
        toys.write(body).expect("a write")
    };
    let ahead = skip(3).expect_err("the second is next");
    assert!(ahead.contains("entry 3 isn't the next one"), "{ahead}");
    assert!(ahead.contains("it is at 1, and entry 2 is next"), "{ahead}");
    skip(2).expect("it is the next one");
    let refused = skip(2).expect_err("it was sent twice");
    assert!(refused.contains("entry 2 was already processed or skipped"), "{refused}");
    assert!(refused.contains("it is at 2, and entry 3 is next"), "{refused}");
    assert_eq!(take(&toys, &counter), Step::Took(2));
    let late = skip(4).expect_err("it was taken");
    assert!(late.contains("has processed every entry"), "{late}");
    assert_eq!((total(&toys), now(&toys).cursor), (3, 4), "no good entry is missing");
    let letters = toys.store.read(|snap| dead_letters(snap, NUMBER)).expect("a read");
    let [(2, letter)] = letters.as_slice() else { panic!("{letters:?}") };
    assert!(letter.error.contains("skipped by a person after: bad taste"), "{letter:?}");
}

#[test]
fn what_was_given_up_is_read_page_by_page() {
    let toys = Toys::open();
    let letters = |tx: &mut WriteTx<'_>| {
        for seq in [3, 1, 300, 2] {
            give_up(tx, NUMBER, seq, format!("letter {seq}"))?;
        }
        pause(tx, NUMBER)?;
        give_up(tx, NUMBER + 1, 4, "of another".to_owned())
    };
    toys.write(letters).expect("letters");
    let page = |after, limit| {
        let read = toys.store.read(|snap| dead_letters_after(snap, NUMBER, after, limit));
        read.expect("a read").into_iter().map(|(seq, _)| seq).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2), [1, 2]);
    assert_eq!(page(2, 2), [3, 300]);
    assert_eq!(page(1, 1), [2]);
    assert_eq!(page(300, 2), [0; 0]);
    assert_eq!(page(0, usize::MAX), [1, 2, 3, 300]);
}

#[test]
fn a_step_takes_at_most_five_hundred_entries() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    let runtime = runtime();
    runtime.block_on(async {
        let puts = (0..600).map(|n| {
            toys.store.write(super::toys::ACTOR, super::toys::CAUSE, move |tx| {
                tx.put(&Note::new(note(n), "m"))?;
                Ok::<_, StoreError>(())
            })
        });
        futures_util::future::try_join_all(puts).await.expect("notes");
    });
    let mut steps = 0;
    while let Step::Took(n) = take(&toys, &counter) {
        assert!(n <= 500);
        steps += 1;
    }
    assert!(steps >= 2);
    assert_eq!(total(&toys), 600);
}

/// Writes this many rows per entry.
struct Glutton(u64);

impl Consume for Glutton {
    fn number(&self) -> u16 {
        8
    }

    fn name(&self) -> &'static str {
        "glutton"
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        for n in 0..self.0 {
            tx.put(&Seen { id: id(entry.seq * 100_000 + n), at: 1 })?;
        }
        Ok(())
    }
}

#[test]
fn a_consumer_that_writes_much_is_not_stuck_at_the_limit_of_a_transaction() {
    let toys = Toys::open();
    make(&toys, &["a", "b", "c", "d", "e"]);
    let glutton: Arc<dyn Consume> = Arc::new(Glutton(3_000));
    let mut taken = 0;
    while let Step::Took(n) =
        runtime().block_on(step(&toys.store, Arc::clone(&glutton))).expect("a step")
    {
        taken += n;
    }
    assert_eq!(taken, 5);
}

/// Writes thirty rows per note.
struct Scribe;

impl Scribe {
    fn write(tx: &mut WriteTx<'_>, key: &[u8]) -> Result<(), ConsumeError> {
        let own = u64::from_be_bytes(key[8..].try_into().expect("an id"));
        for n in 0..30 {
            let seen = tx.get::<Seen>(id(own * 100 + n))?.map_or(0, |seen| seen.at);
            tx.put(&Seen { id: id(own * 100 + n), at: seen + 1 })?;
        }
        Ok(())
    }
}

impl Consume for Scribe {
    fn number(&self) -> u16 {
        11
    }

    fn name(&self) -> &'static str {
        "scribe"
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        entry.changes.iter().try_for_each(|change| Self::write(tx, &change.key))
    }

    fn tables(&self) -> &'static [u16] {
        &[100]
    }

    fn row(
        &self,
        tx: &mut WriteTx<'_>,
        (_, key): (u16, &[u8]),
        _: &[u8],
    ) -> Result<(), ConsumeError> {
        Self::write(tx, key)
    }
}

#[test]
fn a_rebuild_of_a_consumer_that_writes_much_is_not_stuck_either() {
    let toys = Toys::open();
    let all = |owner: &'static str| {
        for first in [0, 300] {
            let put = move |tx: &mut WriteTx<'_>| {
                (first..first + 300).try_for_each(|n| tx.put(&Note::new(note(n), owner)))
            };
            toys.write(put).expect("notes");
        }
    };
    all("first");
    toys.write(|tx| rebuild(tx, &Scribe).map_err(|error| StoreError::Failed(error.to_string())))
        .expect("begun");
    let (scribe, mut pieces): (Arc<dyn Consume>, _) = (Arc::new(Scribe), 0);
    let is_rebuilding = || toys.store.read(|snap| rebuilding(snap, 11)).expect("a read").is_some();
    while is_rebuilding() {
        let step = runtime().block_on(step(&toys.store, Arc::clone(&scribe))).expect("a step");
        assert!(matches!(step, Step::Took(_)), "{step:?}");
        pieces += 1;
        // Entries of nine thousand rows each, about rows already read and others.
        if pieces == 4 {
            all("second");
        }
    }
    assert!(pieces > 4, "{pieces}");
    let seen = toys.store.read(|snap| snap.list::<Seen>(&Range::all())).expect("a read");
    assert_eq!(seen.len(), 600 * 30);
    assert!(seen.iter().all(|seen| (1..=2).contains(&seen.at)), "each version once at most");
}

#[test]
fn a_store_that_went_back_to_a_moment_is_read_from_its_beginning() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    toys.put(Note::new(note(1), "a")).expect("a note");
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(Note::new(note(2), "b")).expect("a note");
    assert_eq!(take(&toys, &counter), Step::Took(2));
    go_back(&toys.store, at, (ACTOR, Cause::Restore)).expect("it goes back");
    assert_eq!(toys.seq(), 3);
    assert_eq!(take(&toys, &counter), Step::Took(3), "all of it, not only what is new");
}

/// Like `Counter`, but cannot be rebuilt.
struct Tally(Counter);

impl Consume for Tally {
    fn number(&self) -> u16 {
        NUMBER
    }

    fn name(&self) -> &'static str {
        "tally"
    }

    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        self.0.handle(tx, entry)
    }

    fn repeats(&self) -> bool {
        false
    }

    fn reborn(&self, tx: &mut WriteTx<'_>) -> Result<(), ConsumeError> {
        let count = tx.get::<Seen>(id(77))?.map_or(1, |seen| seen.at + 1);
        Ok(tx.put(&Seen { id: id(77), at: count })?)
    }
}

#[test]
fn what_does_not_repeat_and_cannot_be_made_anew_goes_on_behind_what_was_there() {
    let (toys, tally): (_, Arc<dyn Consume>) = (Toys::open(), Arc::new(Tally(Counter::default())));
    let take = || runtime().block_on(step(&toys.store, Arc::clone(&tally))).expect("a step");
    make(&toys, &["a", "b"]);
    assert_eq!(take(), Step::Took(2), "the first life is read from its beginning");
    for paused in [false, true] {
        let at = toys.clock.now();
        toys.clock.advance_ms(10);
        make(&toys, &["c"]);
        assert_eq!(take(), Step::Took(1));
        go_back(&toys.store, at, (ACTOR, Cause::Restore)).expect("it goes back");
        if paused {
            toys.write(|tx| pause(tx, NUMBER)).expect("paused");
            assert_eq!(take(), Step::Paused);
            let skipped = toys.write(|tx| Ok(skip(tx, NUMBER).is_err()));
            assert!(skipped.expect("a write"), "it stands before none of the entries");
            toys.write(|tx| resume(tx, NUMBER)).expect("resumed");
        }
        let counted = total(&toys);
        assert_eq!(take(), Step::Took(0), "nothing is taken twice");
        assert_eq!(now(&toys).incarnation, toys.store.incarnation());
        toys.clock.advance_ms(10);
        make(&toys, &["d"]);
        while matches!(take(), Step::Took(_)) {}
        assert_eq!(total(&toys), counted + 1, "only what is new");
    }
    assert_eq!(toys.get::<Seen>(id(77)).map(|seen| seen.at), Some(2), "told so, each time once");
}

#[test]
fn another_life_of_the_store_is_read_from_its_beginning() {
    let (toys, counter) = (Toys::open(), Arc::new(Counter::default()));
    make(&toys, &["a", "b"]);
    assert_eq!(take(&toys, &counter), Step::Took(2));
    // Like a restore: a new incarnation with the same rows.
    let path = toys.path();
    toys.store.close();
    let db = redb::Database::open(path).expect("nobody else has it");
    let txn = db.begin_write().expect("a transaction");
    let meta = redb::TableDefinition::<&[u8], &[u8]>::new("t0006");
    let fresh = store::codec::encode(&42u64).expect("a number");
    txn.open_table(meta).expect("a table").insert(&b"incarnation"[..], &*fresh).expect("a row");
    txn.commit().expect("a commit");
    drop(db);
    let toys = toys.reopen();
    assert_eq!(toys.store.incarnation(), 42);
    assert_eq!(take(&toys, &counter), Step::Took(2), "its old numbers mean nothing here");
    assert_eq!((now(&toys).incarnation, now(&toys).cursor), (42, 2));
}
