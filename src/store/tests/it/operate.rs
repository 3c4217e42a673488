//! Tests of manual control of consumers, rebuilds, doctor, statistics and compaction.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::consumer::{
    Consume, ConsumeError, Step, Tried, dead_letters, drop_letter, pause, rebuild, resume, retry,
    rewind, skip, standing, state, step,
};
use store::doctor::{Diagnosis, cure, cure_by, diagnose, mend};
use store::stats::{last_compaction, stats};
use store::{Entry, Limits, Op, Opening, ReadExt, StoreError, WriteTx};

use super::check;
use super::toys::{
    ACTOR, CAUSE, Folder, Line, Note, Total, Toys, With, folder, id, note, rows, runtime, tamper,
};

const NUMBER: u16 = 9;

/// Sums the sizes of notes by the first letter of their owner; fails on "poison" while `strict` is set.
#[derive(Default)]
struct Sizes {
    strict: AtomicBool,
}

fn slot(owner: &str) -> u64 {
    u64::from(owner.bytes().next().unwrap_or(b'-'))
}

impl Sizes {
    fn add(tx: &mut WriteTx<'_>, owner: &str, n: u64) -> Result<(), StoreError> {
        let at = id(slot(owner));
        let sum = tx.get::<Total>(at)?.map_or(0, |total| total.n);
        tx.put(&Total { id: at, n: sum + n })
    }
}

impl Consume for Sizes {
    fn number(&self) -> u16 {
        NUMBER
    }
    fn name(&self) -> &'static str {
        "sizes"
    }
    /// Not idempotent, so that entries handled twice or never show.
    fn handle(&self, tx: &mut WriteTx<'_>, entry: &Entry) -> Result<(), ConsumeError> {
        for change in entry.changes.iter().filter(|c| c.table == 100 && c.op == Op::Insert) {
            let key = kernel::key::decode(&change.key).expect("an id");
            let Some(note) = tx.get::<Note>(key)? else { continue };
            if note.owner == "poison" && self.strict.load(Ordering::Relaxed) {
                return Err(ConsumeError::Refused("bad taste".to_owned()));
            }
            Self::add(tx, &note.owner, 1)?;
        }
        Ok(())
    }
    fn tables(&self) -> &'static [u16] {
        &[100]
    }
    fn clear(&self, tx: &mut WriteTx<'_>, limit: usize) -> Result<bool, ConsumeError> {
        let all = tx.list::<Total>(&store::Range::all().limit(limit))?;
        for total in &all {
            tx.delete::<Total>(total.id)?;
        }
        Ok(all.len() < limit)
    }
    fn row(&self, tx: &mut WriteTx<'_>, _: (u16, &[u8]), value: &[u8]) -> Result<(), ConsumeError> {
        let (note, _) = store::record::read::<Note>(value).map_err(StoreError::from)?;
        Ok(Self::add(tx, &note.owner, 1)?)
    }
}

fn take(toys: &Toys, sizes: &Arc<Sizes>) -> Step {
    let own = Arc::clone(sizes) as Arc<dyn Consume>;
    runtime().block_on(step(&toys.store, own)).expect("a step")
}

fn follow(toys: &Toys, sizes: &Arc<Sizes>) {
    while take(toys, sizes) != Step::Idle {}
}

fn total(toys: &Toys, owner: &str) -> u64 {
    toys.get::<Total>(id(slot(owner))).map_or(0, |total| total.n)
}

fn make(toys: &Toys, owners: &[&str]) {
    let first = toys.seq() * 1_000;
    for (n, owner) in owners.iter().enumerate() {
        toys.put(Note::new(note(first + n as u64), owner)).expect("a note");
    }
}

fn act(
    toys: &Toys,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), ConsumeError> + Send + 'static,
) -> Result<(), String> {
    let done = toys.store.write_blocking(ACTOR, CAUSE, move |tx| {
        body(tx).map_err(|error| StoreError::Failed(error.to_string()))
    });
    done.map_err(|error: StoreError| error.to_string())
}

#[test]
fn a_person_pauses_a_consumer_and_lets_it_go_on() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    make(&toys, &["a", "b"]);
    act(&toys, |tx| Ok(pause(tx, NUMBER)?)).expect("paused");
    assert_eq!(take(&toys, &sizes), Step::Paused);
    let stands = standing(&toys.store, &*sizes).expect("a read");
    assert_eq!((stands.behind, stands.state.paused, stands.head), (2, true, 2));
    assert_eq!(stands.behind_since, Some(1_700_000_000_000));
    act(&toys, |tx| Ok(resume(tx, NUMBER)?)).expect("resumed");
    follow(&toys, &sizes);
    assert_eq!(total(&toys, "a") + total(&toys, "b"), 2);
    assert_eq!(standing(&toys.store, &*sizes).expect("a read").behind, 0);
}

#[test]
fn a_skipped_entry_is_a_dead_letter_that_can_be_taken_up_again() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    sizes.strict.store(true, Ordering::Relaxed);
    make(&toys, &["a", "poison", "b"]);
    assert_eq!(take(&toys, &sizes), Step::Failed(1));
    act(&toys, |tx| {
        assert_eq!(skip(tx, NUMBER)?, Some(2));
        Ok(())
    })
    .expect("skipped");
    follow(&toys, &sizes);
    assert_eq!((total(&toys, "a"), total(&toys, "b"), total(&toys, "poison")), (1, 1, 0));
    let take_up = || {
        let own = Arc::clone(&sizes);
        toys.write(move |tx| retry(tx, &*own, 2)).expect("a write")
    };
    assert!(matches!(take_up(), Tried::Failed(why) if why.contains("bad taste")), "still poison");
    let letters = toys.store.read(|snap| dead_letters(snap, NUMBER)).expect("a read");
    assert!(matches!(letters.as_slice(), [(2, letter)] if letter.error.contains("bad taste")));
    sizes.strict.store(false, Ordering::Relaxed);
    assert_eq!(take_up(), Tried::Took);
    assert_eq!(total(&toys, "poison"), 1);
    assert!(matches!(take_up(), Tried::Nothing(_)), "it takes effect once");
    assert_eq!(total(&toys, "poison"), 1);
    // There is no entry left to skip.
    act(&toys, |tx| {
        assert_eq!(skip(tx, NUMBER)?, None);
        assert!(!drop_letter(tx, NUMBER, 2)?);
        Ok(())
    })
    .expect("nothing");
}

#[test]
fn a_consumer_that_is_sent_back_takes_exactly_what_lies_behind() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    make(&toys, &["a", "a", "a", "a"]);
    follow(&toys, &sizes);
    assert_eq!(total(&toys, "a"), 4);
    let ahead = act(&toys, |tx| rewind(tx, &Sizes::default(), 9)).expect_err("it lies ahead");
    assert!(ahead.contains("only be rewound"), "{ahead}");
    act(&toys, |tx| rewind(tx, &Sizes::default(), 1)).expect("sent back");
    follow(&toys, &sizes);
    assert_eq!(total(&toys, "a"), 4 + 3, "entries 2 to 4 once more, and not the first");
    assert_eq!(toys.store.read(|snap| state(snap, NUMBER)).expect("a read").cursor, 4);
}

#[test]
fn a_rebuild_begins_from_nothing_and_is_exact_while_others_write() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    for piece in 0..6u64 {
        let made = toys.write(move |tx| {
            for n in 0..400 {
                tx.put(&Note::new(note(1_000_000 + piece * 400 + n), "a"))?;
            }
            Ok(())
        });
        made.expect("notes");
    }
    // Simulates earlier wrong sums.
    toys.put(Total { id: id(slot("a")), n: 77 }).expect("a wrong sum");
    toys.put(Total { id: id(slot("z")), n: 5 }).expect("a sum of nothing");
    let own: Arc<dyn Consume> = sizes.clone();
    act(&toys, move |tx| rebuild(tx, &*own)).expect("begun");
    let mut pieces = 0u64;
    while take(&toys, &sizes) != Step::Idle {
        // Before, between and after the rows already read.
        for at in [pieces, 1_000_500 + pieces * 37, 2_000_000 + pieces] {
            toys.put(Note::new(note(at), "b")).expect("a note");
        }
        if pieces == 3 {
            toys.write(|tx| tx.delete::<Note>(note(1_002_399))).expect("a delete");
        }
        pieces += 1;
        if pieces > 40 {
            act(&toys, |tx| Ok(pause(tx, NUMBER)?)).expect("paused");
            break;
        }
        assert!(pieces < 60, "it ends");
    }
    act(&toys, |tx| Ok(resume(tx, NUMBER)?)).expect("resumed");
    follow(&toys, &sizes);
    let all = toys.store.read(|snap| snap.list::<Note>(&store::Range::all())).expect("a read");
    let b = all.iter().filter(|note| note.owner == "b").count() as u64;
    assert_eq!(total(&toys, "z"), 0, "what it kept is gone");
    // Every existing note was counted once, as a row or as an entry. Notes that replaced another one are changes of
    // that row.
    let a = all.iter().filter(|note| note.owner == "a").count() as u64;
    let counted = total(&toys, "a") + total(&toys, "b");
    assert!(counted == a + b || counted == a + b + 1, "{counted} of {}", a + b);
    assert_eq!(standing(&toys.store, &*sizes).expect("a read").rebuilding, None);
}

#[test]
fn a_rebuild_lets_nobody_go_on_whom_a_person_paused_and_nobody_moves_its_place() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    make(&toys, &["a", "a", "b"]);
    follow(&toys, &sizes);
    let own: Arc<dyn Consume> = sizes.clone();
    act(&toys, move |tx| {
        pause(tx, NUMBER)?;
        rebuild(tx, &*own)
    })
    .expect("begun");
    assert_eq!(take(&toys, &sizes), Step::Paused, "as the person wants it");
    let skipped = act(&toys, |tx| skip(tx, NUMBER).map(drop)).expect_err("not now");
    assert!(skipped.contains("being rebuilt"), "{skipped}");
    let sent = act(&toys, |tx| rewind(tx, &Sizes::default(), 0)).expect_err("not now");
    assert!(sent.contains("being rebuilt"), "{sent}");
    act(&toys, |tx| Ok(resume(tx, NUMBER)?)).expect("resumed");
    follow(&toys, &sizes);
    assert_eq!((total(&toys, "a"), total(&toys, "b")), (2, 1));
    act(&toys, |tx| rewind(tx, &Sizes::default(), 3)).expect("it can be moved again");
}

#[test]
fn a_rebuild_mends_a_consumer_that_has_paused_itself() {
    let (toys, sizes) = (Toys::open(), Arc::new(Sizes::default()));
    sizes.strict.store(true, Ordering::Relaxed);
    make(&toys, &["poison", "poison", "poison"]);
    while take(&toys, &sizes) != Step::Paused {}
    sizes.strict.store(false, Ordering::Relaxed);
    let own: Arc<dyn Consume> = sizes.clone();
    act(&toys, move |tx| rebuild(tx, &*own)).expect("begun");
    follow(&toys, &sizes);
    assert_eq!(total(&toys, "poison"), 3);
}

// ── Doctor ──

fn lived_in() -> Toys {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    for n in 1..=30 {
        let made = toys.write(move |tx| {
            tx.put(&Note {
                folder: Some(folder(1)),
                slug: Some(format!("s{n}")),
                labels: vec![1, 2],
                ..Note::new(note(n), if n % 2 == 0 { "even" } else { "odd" })
            })?;
            tx.put(&Line { id: id(n), note: note(n), amount: 3 })
        });
        made.expect("records");
    }
    toys
}

fn examined(toys: &Toys) -> Diagnosis {
    diagnose(&toys.store, &mut |_| ControlFlow::Continue(())).expect("it can be read")
}

fn first(db: &redb::Database, name: &'static str) -> (Vec<u8>, Vec<u8>) {
    let (_, key, value) = rows(db, &[name]).swap_remove(0);
    (key, value)
}

/// Index by owner, unique slug, references, sum of sizes, sum of lines.
const BESIDE: [&str; 5] = ["t0101", "t0102", "t0002", "t0105", "t0122"];

/// A store of many notes that lacks the rows of one index.
fn without_an_index(toys: Toys) -> Toys {
    tamper(toys, |db| {
        let all = rows(db, &["t0101"]).into_iter();
        all.map(|(name, key, _)| (name, key, None)).collect()
    })
}

#[test]
fn however_much_differs_all_of_it_is_put_right() {
    const NOTES: u64 = 12_000;
    let toys = Toys::open();
    for piece in 0..NOTES / 1_000 {
        let made = toys.write(move |tx| {
            let mut ids = piece * 1_000..(piece + 1) * 1_000;
            ids.try_for_each(|n| tx.put(&Note::new(note(n), "m")))
        });
        made.expect("notes");
    }
    let toys = without_an_index(toys);
    let found = examined(&toys);
    assert_eq!((found.differences_count, found.left()), (NOTES, NOTES));
    assert_eq!(found.differences.len(), 10_000, "more are not named");
    let mut rounds = 0;
    let mut watch = |_| ControlFlow::Continue(());
    let mut put_right = |store: &store::Store, found: &mut Diagnosis| {
        rounds += 1;
        runtime().block_on(mend(store, (ACTOR, CAUSE), found))
    };
    let all =
        cure_by(&toys.store, (&[], 5_000), &mut watch, &mut |found| put_right(&toys.store, found));
    let all = all.expect("cured");
    assert_eq!((all.differences_count, all.mended, all.left()), (NOTES, NOTES, 0));
    assert!(examined(&toys).is_sound());
    let toys = without_an_index(toys);
    let once = cure(&toys.store, &[], &mut watch, &mut |found| put_right(&toys.store, found));
    assert_eq!(once.expect("cured").mended, NOTES, "also those that are not named");
    assert!(examined(&toys).is_sound());
    assert_eq!(rounds, 3 + 1);
}

#[test]
fn a_store_that_nobody_touched_has_no_differences() {
    let toys = lived_in();
    let found = examined(&toys);
    assert!(found.is_sound(), "{:?}", found.differences);
    assert_eq!(found.records, 61);
    assert!(found.index_rows > 100 && found.references >= 30 && found.sums > 30, "{found:?}");
}

#[test]
fn doctor_finds_what_is_missing_too_much_or_wrong_and_puts_it_right() {
    for table in BESIDE {
        for what in ["missing", "too much", "wrong"] {
            let toys = tamper(lived_in(), |db| {
                let (key, mut value) = first(db, table);
                match what {
                    "missing" => vec![(table, key, None)],
                    "too much" => {
                        let mut other = key.clone();
                        *other.last_mut().expect("bytes") ^= 0x55;
                        vec![(table, other, Some(value))]
                    }
                    _ => {
                        if let Some(byte) = value.last_mut() {
                            *byte ^= 0x55;
                        } else {
                            // A reference has no value that could be wrong.
                            return vec![(table, key, None)];
                        }
                        vec![(table, key, Some(value))]
                    }
                }
            });
            let mut found = examined(&toys);
            assert!(!found.is_sound(), "{table} {what}");
            assert_eq!(found.beyond, 0, "{table} {what}: {:?}", found.differences);
            let (head, by) = (toys.seq(), (ACTOR, CAUSE));
            runtime().block_on(mend(&toys.store, by, &mut found)).expect("mended");
            assert!(found.mended >= 1, "{table} {what}");
            let after = examined(&toys);
            assert!(after.is_sound(), "{table} {what}: {:?}", after.differences);
            check::all_fits(&toys.store);
            assert_eq!(toys.seq(), head + 1, "that it was mended is on record");
            toys.put(Note::new(note(1), "goes on")).expect("a write");
            check::all_fits(&toys.store);
        }
    }
}

#[test]
fn a_sum_is_put_right_although_it_changed_since_it_was_found_wrong() {
    let toys = tamper(lived_in(), |db| {
        let (key, _) = first(db, "t0105");
        vec![("t0105", key, Some(1_000i64.to_be_bytes().to_vec()))]
    });
    let mut found = examined(&toys);
    for n in 1..=4 {
        toys.put(Note { size: 50, ..Note::new(note(n), "even") }).expect("a change");
    }
    runtime().block_on(mend(&toys.store, (ACTOR, CAUSE), &mut found)).expect("mended");
    check::all_fits(&toys.store);
}

#[test]
fn sums_that_two_doctors_found_wrong_are_put_right_once() {
    let toys = Toys::open();
    let made = toys
        .write(|tx| (0..700).try_for_each(|n| tx.put(&Note::new(note(n), &format!("owner {n}")))));
    made.expect("notes");
    // More rows than one transaction repairs.
    let toys = tamper(toys, |db| {
        let wrong = 1_000i64.to_be_bytes().to_vec();
        rows(db, &["t0105"])
            .into_iter()
            .map(|(name, key, _)| (name, key, Some(wrong.clone())))
            .collect()
    });
    let (mut one, mut other) = (examined(&toys), examined(&toys));
    assert_eq!((one.differences_count, other.differences_count), (700, 700));
    runtime().block_on(mend(&toys.store, (ACTOR, CAUSE), &mut one)).expect("mended");
    runtime().block_on(mend(&toys.store, (ACTOR, CAUSE), &mut other)).expect("looked again");
    assert_eq!((one.mended, other.mended), (700, 0));
    check::all_fits(&toys.store);
}

#[test]
fn what_only_a_person_can_put_right_is_named_and_left_alone() {
    let toys = tamper(lived_in(), |db| {
        let (key, _) = first(db, "t0100");
        vec![("t0100", key, Some(vec![2, 0]))]
    });
    let found = examined(&toys);
    assert!(found.beyond >= 1, "{found:?}");
    assert!(found.differences.iter().any(|one| one.what.contains("cannot be read")));
}

// ── Sizes and the whole file ──

#[test]
fn sizes_are_told_by_table_and_compaction_gives_room_back() {
    let toys = Toys::open();
    for piece in 0..40u64 {
        let made = toys.write(move |tx| {
            for n in 0..200 {
                let owner = "x".repeat(800);
                tx.put(&Note::new(note(piece * 200 + n), &owner))?;
            }
            Ok(())
        });
        made.expect("notes");
    }
    for piece in 0..40u64 {
        let gone = toys.write(move |tx| {
            for n in 0..190 {
                tx.delete::<Note>(note(piece * 200 + n))?;
            }
            Ok(())
        });
        gone.expect("deletes");
    }
    let before = stats(&toys.store).expect("figures");
    let notes = before.tables.iter().find(|table| table.name == "note").expect("its table");
    assert_eq!(notes.rows, 400);
    assert!(notes.stored > 400 * 800 && before.file >= before.in_use());
    assert_eq!(before.feed, 80);
    let hash = toys.store.entries_after(79, 1).expect("the feed")[0].hash;
    let done = toys.store.compact().expect("compacted");
    assert!(done.after <= done.before);
    assert_eq!(last_compaction(&toys.store).expect("a read"), Some(done));
    assert!(toys.store.check().expect("checked"), "redb finds nothing wrong");
    toys.put(Note::new(note(9), "goes on")).expect("a write");
    assert_eq!(toys.store.entries_after(79, 1).expect("the feed")[0].hash, hash);
    check::all_fits(&toys.store);
    check::all_fits(&toys.reopen().store);
}

#[test]
fn compaction_waits_for_readers_and_writers_wait_for_it() {
    let toys = lived_in();
    let store = toys.store.clone();
    let writer = std::thread::spawn(move || {
        for n in 0..200 {
            let done: Result<(), StoreError> =
                store.write_blocking(ACTOR, CAUSE, move |tx| tx.put(&Note::new(note(n), "w")));
            done.expect("a write");
        }
    });
    for _ in 0..5 {
        let seen: Result<_, StoreError> = toys.store.read(|snap| snap.get::<Note>(note(3)));
        seen.expect("a read");
        toys.store.compact().expect("compacted");
    }
    writer.join().expect("it ends");
    check::all_fits(&toys.store);
    let inside = toys.store.read(|_| toys.store.compact().map(drop));
    assert!(matches!(inside, Err(StoreError::Nested)));
}

#[test]
fn a_wasteful_file_is_compacted_when_it_is_opened() {
    let toys = Toys::open();
    for n in 0..300 {
        toys.put(Note::new(note(n), &"y".repeat(2_000))).expect("a note");
    }
    for n in 0..300 {
        toys.write(move |tx| tx.delete::<Note>(note(n))).expect("a delete");
    }
    runtime().block_on(store::keep::drop_until(&toys.store, ACTOR, 600)).expect("images go");
    let figures = stats(&toys.store).expect("figures");
    runtime().block_on(toys.store.remember(&figures)).expect("remembered");
    let path = toys.path();
    let clock = Arc::clone(&toys.clock);
    toys.store.close();
    let openings = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heard = Arc::clone(&openings);
    let options = store::Options {
        path,
        schema: super::toys::schema(),
        cache: 4 << 20,
        clock,
        ids: Arc::new(kernel::id::SeededIds::new(3)),
        reactor: None,
        faults: Arc::new(store::NoFaults),
    };
    let limits = Limits { waste: 64 * 1024, ..With::default().limits };
    let onlooker = Arc::new(move |opening: Opening| heard.lock().push(opening));
    let store = store::Store::open_watched(options, limits, Some(onlooker)).expect("it opens");
    assert_eq!(*openings.lock(), [Opening::Compacting]);
    assert!(last_compaction(&store).expect("a read").expect("it was compacted").after > 0);
    let report = store::verify::verify(&store, &mut |_| ControlFlow::Continue(()));
    assert!(report.expect("it can be read").is_sound());
}
