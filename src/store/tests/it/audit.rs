//! Tests of verification, redaction, retention and search of the feed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kernel::{Clock as _, Event};
use proptest::prelude::*;
use store::audit::{Found, Search, search};
use store::verify::{Verified, verify};
use store::{Entry, Root, StoreError, keep};

mod reading;

use super::check;
use super::toys::{
    ACTOR, CAUSE, Folder, Job, Line, Note, Sealed, Toys, folder, id, note, rows, runtime, says,
    tamper,
};

fn verified(toys: &Toys) -> Verified {
    verify(&toys.store, &mut |_| ControlFlow::Continue(())).expect("it can be read")
}

fn sound(toys: &Toys) -> Verified {
    let report = verified(toys);
    assert!(report.is_sound(), "{:#?}", report.faults);
    report
}

/// A store with every kind of change: inserts, updates, deletions and restored rows of each class.
fn lived_in() -> Toys {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    for n in 1..=12 {
        let made = toys.write(move |tx| {
            tx.put(&Note { folder: Some(folder(1)), ..Note::new(note(n), "first") })?;
            tx.put(&Line { id: id(n), note: note(n), amount: 3 })?;
            tx.put(&Sealed { id: id(n), value: format!("sealed {n}") })?;
            tx.put(&Job { id: id(n), note: None, open: true })?;
            tx.emit(says("made"));
            Ok(())
        });
        made.expect("records");
    }
    for n in 1..=12 {
        toys.clock.advance_ms(1_000);
        toys.put(Note::new(note(n), "second")).expect("a change");
        toys.put(Job { id: id(n), note: None, open: false }).expect("a change");
    }
    for n in 1..=6 {
        toys.write(move |tx| tx.delete::<Note>(note(n))).expect("a delete");
        toys.write(move |tx| tx.delete::<Job>(id(n))).expect("a delete");
    }
    toys.put(Note::new(note(2), "back again")).expect("it comes back");
    toys
}

const FEED: &str = "t0001";
const NOTES: &str = "t0100";
const ANSWERED_FOR: [&str; 5] = [FEED, NOTES, "t0120", "t0130", "t0140"];

#[test]
fn a_store_in_which_everything_has_happened_verifies() {
    let toys = lived_in();
    check::all_fits(&toys.store);
    let report = sound(&toys);
    assert_eq!(report.entries, toys.seq());
    assert_eq!(report.images, 12 + 6);
    assert_eq!(report.head.len(), 64);
    let second = sound(&toys.reopen());
    assert_eq!(second.head, report.head, "the hash of the last entry stands for all before it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_changed_byte_is_found_wherever_it_lies(place in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut planted = None;
        let toys = tamper(lived_in(), |db| {
            let all = rows(db, &ANSWERED_FOR);
            // The last head is read when the store opens and has its own test.
            let last = all.iter().rfind(|(name, ..)| *name == FEED).expect("entries").1.clone();
            let all: Vec<_> = all.into_iter().filter(|row| row.0 != FEED || row.1 != last).collect();
            let (name, key, mut value) = all[place.index(all.len())].clone();
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            planted = Some((name, key.clone()));
            vec![(name, key, Some(value))]
        });
        let report = verified(&toys);
        let (name, key) = planted.expect("a byte was changed");
        prop_assert!(!report.is_sound(), "{name} {}", hex::encode(&key));
        let named = report.faults.iter().any(|fault| match name {
            FEED => fault.seq == Some(u64::from_be_bytes(key[..8].try_into().expect("a number"))),
            _ => fault.table.is_some() && fault.id.is_some(),
        });
        prop_assert!(named, "{name} {}: {:?}", hex::encode(&key), report.faults);
    }
}

#[test]
fn a_fault_is_named_by_entry_table_and_record() {
    let toys = tamper(lived_in(), |db| {
        let all = rows(db, &[NOTES]);
        let (name, key, mut value) = all.last().expect("a note").clone();
        *value.last_mut().expect("bytes") ^= 1;
        vec![(name, key, Some(value))]
    });
    let report = verified(&toys);
    let [fault] = report.faults.as_slice() else { panic!("{:?}", report.faults) };
    assert_eq!(fault.table.as_deref(), Some("note"));
    assert_eq!(fault.id.as_deref(), Some(note(12).to_string().as_str()));
    assert_eq!(fault.seq, Some(36));
    assert_eq!(
        fault.to_string(),
        format!("entry 36, note {}, is not what this entry made: its bytes were changed", note(12))
    );
}

#[test]
fn what_is_gone_or_old_or_too_much_is_found_too() {
    // A row that no entry deleted.
    let toys = tamper(lived_in(), |db| {
        let all = rows(db, &[NOTES]);
        vec![(NOTES, all[3].1.clone(), None)]
    });
    let report = verified(&toys);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert!(report.faults[0].what.contains("gone though no entry removed it"));

    // A row in its previous version.
    let toys = tamper(lived_in(), |db| {
        let image = rows(db, &[FEED]).into_iter().rfind(|row| row.1[8..] == [0, 1]);
        let (key, old) = image.map(|(_, _, old)| (note(2).uuid_bytes(), old)).expect("an image");
        vec![(NOTES, key, Some(old))]
    });
    assert!(!verified(&toys).is_sound(), "an older version stands where a newer one belongs");

    // A missing entry and a missing image.
    for part in [0u16, 1] {
        let toys = tamper(lived_in(), |_| {
            let key = [&20u64.to_be_bytes()[..], &part.to_be_bytes()].concat();
            vec![(FEED, key, None)]
        });
        let report = verified(&toys);
        assert!(report.faults.iter().any(|fault| fault.seq == Some(20)), "{:?}", report.faults);
    }

    // A row that no entry wrote.
    let toys = tamper(lived_in(), |db| {
        let all = rows(db, &[NOTES]);
        vec![(NOTES, note(99).uuid_bytes(), Some(all[0].2.clone()))]
    });
    let report = verified(&toys);
    assert_eq!(report.faults[0].id.as_deref(), Some(note(99).to_string().as_str()));
}

trait Bytes {
    fn uuid_bytes(&self) -> Vec<u8>;
}

impl Bytes for kernel::TaskId {
    fn uuid_bytes(&self) -> Vec<u8> {
        kernel::TypedId::uuid(*self).as_bytes().to_vec()
    }
}

#[test]
fn a_damaged_last_entry_says_what_to_do() {
    let toys = lived_in();
    let (path, clock) = (toys.path(), Arc::clone(&toys.clock));
    toys.store.close();
    let db = redb::Database::open(&path).expect("nobody else has it");
    let last = rows(&db, &[FEED]).pop().expect("entries");
    let txn = db.begin_write().expect("a write");
    let table = redb::TableDefinition::<&[u8], &[u8]>::new(FEED);
    txn.open_table(table).expect("a table").insert(&last.1[..], &[7u8, 7][..]).expect("a row");
    txn.commit().expect("a commit");
    drop(db);
    let opened = super::toys::With::default().open_at(&path, &clock);
    let error = opened.err().expect("it does not open").to_string();
    assert!(
        error.contains(&format!("entry {}", u64::from_be_bytes(last.1[..8].try_into().unwrap())))
    );
    assert!(error.contains("restore a backup"), "{error}");
}

#[test]
fn verification_is_exact_while_others_write() {
    let toys = lived_in();
    let store = toys.store.clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut n = 0u64;
        while stopped.try_recv().is_err() {
            n += 1;
            let at = 1 + n % 40;
            let done = store.write_blocking(ACTOR, CAUSE, move |tx| {
                if n.is_multiple_of(3) {
                    tx.delete::<Note>(note(at)).map(drop)
                } else {
                    tx.put(&Note::new(note(at), &format!("round {n}")))
                }
            });
            done.map_err(|error: StoreError| error.to_string()).expect("a write");
        }
        n
    });
    for _ in 0..20 {
        sound(&toys);
    }
    stop.send(()).expect("it listens");
    assert!(writer.join().expect("it ends") > 0);
    sound(&toys);
    check::all_fits(&toys.store);
}

#[test]
fn verification_can_be_called_off() {
    let toys = lived_in();
    let error = verify(&toys.store, &mut |_| ControlFlow::Break(())).expect_err("called off");
    assert!(matches!(error, StoreError::CalledOff));
}

// ── Redaction and retention ──

#[test]
fn redaction_removes_every_former_version_of_one_record_and_the_chain_still_verifies() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "a secret word")).expect("a note");
    toys.put(Note::new(note(1), "another secret word")).expect("a change");
    toys.put(Note::new(note(2), "a plain word")).expect("a note");
    toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete");
    toys.put(Note::new(note(1), "came back")).expect("it comes back");
    toys.put(Note::new(note(1), "harmless")).expect("a change");
    toys.put(Note::new(note(2), "changed")).expect("a change");
    let head = sound(&toys);
    assert_eq!(head.images, 4);
    let key = note(1).uuid_bytes();
    let removed = runtime().block_on(keep::redact(&toys.store, (ACTOR, CAUSE), 100, key.clone()));
    assert_eq!(removed.expect("redacted"), 3);
    let report = sound(&toys);
    assert_eq!((report.images, report.entries), (1, head.entries + 1));
    let entry = toys.store.entries_after(head.entries, 1).expect("the feed").remove(0);
    assert_eq!(entry.events, [Event::RecordRedacted { table: 100, key: key.clone() }]);
    assert_eq!(toys.get::<Note>(note(1)).expect("it stays").owner, "harmless");
    // Later images are kept.
    toys.put(Note::new(note(1), "later")).expect("a change");
    assert_eq!(sound(&toys).images, 2);
    // A redaction does not hide the loss of later images.
    let toys = tamper(toys, |_| {
        vec![(FEED, [&9u64.to_be_bytes()[..], &1u16.to_be_bytes()].concat(), None)]
    });
    assert_eq!(verified(&toys).faults.len(), 1);
    let never = runtime().block_on(keep::redact(&toys.store, (ACTOR, CAUSE), 100, vec![9; 16]));
    assert!(matches!(never, Err(StoreError::UnknownRecord)));
}

#[test]
fn a_record_of_very_many_versions_is_redacted_in_pieces() {
    let toys = Toys::open();
    for n in 0..1_203 {
        toys.put(Note { size: n, ..Note::new(note(1), "m") }).expect("a version");
    }
    let removed =
        runtime().block_on(keep::redact(&toys.store, (ACTOR, CAUSE), 100, note(1).uuid_bytes()));
    assert_eq!(removed.expect("redacted"), 1_202);
    assert_eq!(sound(&toys).images, 0);
}

#[test]
fn a_redaction_that_was_cut_off_is_on_record_and_goes_on() {
    let toys = Toys::open();
    for n in 0..1_203 {
        toys.put(Note { size: n, ..Note::new(note(1), "m") }).expect("a version");
    }
    let (before, key) = (toys.seq(), note(1).uuid_bytes());
    runtime().block_on(async {
        let redaction = keep::redact(&toys.store, (ACTOR, CAUSE), 100, key.clone());
        let mut redaction = std::pin::pin!(redaction);
        assert!(redaction.as_mut().now_or_never().is_none());
        while toys.seq() == before {
            std::thread::yield_now();
        }
    });
    let row = |toys: &Toys| {
        let mark = [&100u16.to_be_bytes()[..], &key].concat();
        let row = toys.store.read(|snap| store::Read::raw_get(snap, 7, &mark));
        row.expect("a read").map(hex::encode)
    };
    assert_eq!(row(&toys).as_deref(), Some("b409bf05"), "until 1204, and on with 703");
    assert_eq!(sound(&toys).images, 702, "a redaction that goes on is no fault");

    let toys = toys.reopen();
    let finish = || runtime().block_on(keep::finish_redactions(&toys.store, ACTOR));
    assert_eq!(finish().expect("it goes on"), 702);
    assert_eq!(row(&toys).as_deref(), Some("b409"), "done");
    assert_eq!(sound(&toys).images, 0);
    check::all_fits(&toys.store);
    assert_eq!(finish().expect("nothing is left"), 0);
}

#[test]
fn an_image_that_a_redaction_should_have_removed_is_named() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "a secret word")).expect("a note");
    toys.put(Note::new(note(1), "harmless")).expect("a change");
    let mut image = None;
    let toys = tamper(toys, |db| {
        image = rows(db, &[FEED]).into_iter().find(|row| row.1.ends_with(&[0, 1]));
        Vec::new()
    });
    let removed =
        runtime().block_on(keep::redact(&toys.store, (ACTOR, CAUSE), 100, note(1).uuid_bytes()));
    assert_eq!(removed.expect("redacted"), 1);
    let (name, key, value) = image.expect("an image");
    let toys = tamper(toys, |_| vec![(name, key, Some(value))]);
    let report = verified(&toys);
    let [fault] = report.faults.as_slice() else { panic!("{:?}", report.faults) };
    assert!(fault.what.contains("a redaction should have removed"), "{fault}");
    assert_eq!((fault.seq, fault.id.clone()), (Some(2), Some(note(1).to_string())));
}

#[test]
fn retention_by_age_takes_images_and_leaves_heads_and_cursors() {
    let toys = lived_in();
    let start = toys.clock.now_ms();
    let cursor = toys.store.head();
    for n in 7..=12 {
        toys.clock.advance_ms(10_000);
        toys.put(Note::new(note(n), "third")).expect("a change");
    }
    let entries = |toys: &Toys| {
        let read =
            toys.store.read(|snap| store::feed::entries(snap, toys.store.schema(), 0, usize::MAX));
        read.expect("a read").iter().map(|entry| entry.hash).collect::<Vec<_>>()
    };
    let (before, images) = (entries(&toys), keep::images(&toys.store).expect("a count"));
    assert_eq!(images.count, 24);
    let until = keep::last_before(&toys.store, start + 30_000).expect("a place");
    let dropped = runtime().block_on(keep::drop_until(&toys.store, ACTOR, until));
    assert_eq!(dropped.expect("dropped"), 20, "those of the first three of the six are not young");
    assert_eq!(keep::images(&toys.store).expect("a count").count, 4);
    assert_eq!(entries(&toys), before, "every head stays");
    sound(&toys);
    let after = toys.store.entries_after(cursor.seq, 100).expect("the cursor is good");
    assert_eq!(after.len(), 6);
    assert_eq!(toys.store.head().incarnation, cursor.incarnation);
    let second = runtime().block_on(keep::drop_until(&toys.store, ACTOR, until));
    assert_eq!(second.expect("nothing is left"), 0);
    sound(&toys.reopen());
}

/// How far the next tests set the clock back, in milliseconds.
const YEAR: i64 = 365 * 86_400_000;
/// Unix time in milliseconds at which test stores start.
const BEGIN: i64 = 1_700_000_000_000;

/// Twelve entries, a second apart, on two notes in turn: four by a correct clock, four by one that is a year behind,
/// four by a correct one again.
fn by_a_clock_that_jumped() -> Toys {
    let mut toys = Toys::open();
    for (round, jump) in [0, -YEAR, YEAR].into_iter().enumerate() {
        toys.clock.advance_ms(jump);
        toys = toys.reopen();
        for step in 0..4 {
            toys.clock.advance_ms(1_000);
            toys.put(Note::new(note(step % 2), &format!("{round} {step}"))).expect("a version");
        }
    }
    let entries = toys.store.entries_after(0, 100).expect("the feed");
    let times: Vec<i64> = entries.iter().map(|entry| entry.at).collect();
    let right = |n: i64| BEGIN + 1_000 * n;
    let wanted: Vec<i64> =
        (1..=12).map(|n| right(n) - if (5..=8).contains(&n) { YEAR } else { 0 }).collect();
    assert_eq!(times, wanted);
    toys
}

#[test]
fn retention_by_age_takes_nothing_young_though_the_clock_was_set_back_in_between() {
    const DAY: i64 = 86_400_000;
    let toys = by_a_clock_that_jumped();
    let images = keep::images(&toys.store).expect("a count").count;
    assert_eq!(images, 10);
    let swept = |toys: &Toys| {
        let until = keep::last_before(&toys.store, toys.clock.now_ms() - DAY).expect("a place");
        runtime().block_on(keep::drop_until(&toys.store, ACTOR, until)).expect("dropped")
    };
    assert_eq!(swept(&toys), 0, "the first four are of today");
    assert_eq!(keep::images(&toys.store).expect("a count").count, images);
    toys.clock.advance_ms(2 * DAY);
    toys.put(Note::new(note(0), "of the day after tomorrow")).expect("a version");
    assert_eq!(swept(&toys), 10, "they are old by now");
    assert_eq!(keep::images(&toys.store).expect("a count").count, 1);
    sound(&toys);
}

#[test]
fn entries_are_found_by_their_time_though_the_clock_was_set_back_in_between() {
    let toys = by_a_clock_that_jumped();
    let record = [Root { table: 100, key: note(0).uuid_bytes() }];
    let within = |since: Option<i64>, until: Option<i64>| {
        let all = run_search(&toys, |s| (s.since, s.until) = (since, until));
        let of_one = run_search(&toys, |s| {
            s.records = &record;
            (s.since, s.until) = (since, until);
        });
        assert_eq!((all.next, of_one.next), (None, None));
        let odd: Vec<u64> = seqs(&all).into_iter().filter(|seq| seq % 2 == 1).collect();
        assert_eq!(seqs(&of_one), odd, "from {since:?} to {until:?}");
        seqs(&all)
    };
    assert_eq!(within(Some(BEGIN), None), [12, 11, 10, 9, 4, 3, 2, 1]);
    assert_eq!(within(Some(BEGIN + 3_000), Some(BEGIN + 10_000)), [10, 9, 4, 3]);
    assert_eq!(within(None, Some(BEGIN + 2_000)), [8, 7, 6, 5, 2, 1]);
    assert_eq!(within(Some(BEGIN - YEAR), Some(BEGIN - YEAR + 6_000)), [6, 5]);
    assert_eq!(within(Some(BEGIN + YEAR), None), [] as [u64; 0]);
}

#[test]
fn retention_by_size_takes_the_oldest_until_the_rest_fits() {
    let toys = lived_in();
    let all = keep::images(&toys.store).expect("a count");
    let until = keep::oldest_within(&toys.store, all.bytes / 2).expect("a place");
    runtime().block_on(keep::drop_until(&toys.store, ACTOR, until)).expect("dropped");
    let left = keep::images(&toys.store).expect("a count");
    assert!(left.bytes <= all.bytes / 2 && left.bytes > all.bytes / 3, "{left:?} of {all:?}");
    sound(&toys);
    let whole = keep::oldest_within(&toys.store, u64::MAX).expect("a place");
    assert_eq!(whole, left.floor, "nothing more has to go");
    let none = keep::oldest_within(&toys.store, 0).expect("a place");
    runtime().block_on(keep::drop_until(&toys.store, ACTOR, none)).expect("dropped");
    assert_eq!(keep::images(&toys.store).expect("a count").count, 0);
    sound(&toys);
}

#[test]
fn an_entry_with_more_images_than_a_piece_takes_is_swept_whole() {
    let toys = Toys::open();
    for owner in ["a", "b"] {
        let made = toys.write(move |tx| {
            for n in 0..1_300 {
                tx.put(&Note::new(note(n), owner))?;
            }
            Ok(())
        });
        made.expect("notes");
    }
    toys.put(Note::new(note(1), "c")).expect("a change");
    let mut pieces = 0;
    loop {
        let swept = toys.write(|tx| keep::drop_piece(tx, 2)).expect("a piece");
        assert!(swept.images <= 500);
        sound(&toys);
        pieces += 1;
        if swept.done {
            break;
        }
    }
    assert!(pieces >= 3, "{pieces}");
    assert_eq!(keep::images(&toys.store).expect("a count").count, 1, "the young one stays");
}

// ── Reading ──

fn run_search<'s>(toys: &Toys, change: impl FnOnce(&mut Search<'s>)) -> Found {
    let mut wish = Search {
        records: &[],
        before: None,
        since: None,
        until: None,
        limit: 100,
        within: Duration::from_secs(5),
        by: &|_| true,
        wanted: &|_: &Entry| true,
    };
    change(&mut wish);
    search(&toys.store, &wish).expect("a search")
}

fn seqs(found: &Found) -> Vec<u64> {
    found.entries.iter().map(|entry| entry.seq).collect()
}
