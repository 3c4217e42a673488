//! Tests that unreferenced blobs are deleted and referenced ones never: against a model, with threads, during a backup,
//! and when the same content is put again during a sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use kernel::Problem;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use store::blob::check;
use store::blob::refs;
use store::blob::sweep::{Age, GRACE, Swept};
use store::{BlobId, Blobs, StoreError};

use super::check as bytes;
use super::toys::{Folder, Paper, Slip, Sloppy, Toys, folder, folder_in_memory, id};

/// A store with blobs.
struct Desk {
    toys: Toys,
    blobs: Blobs,
    folder: tempfile::TempDir,
}

impl Desk {
    fn open() -> Self {
        let folder = folder_in_memory();
        let blobs = Blobs::open(folder.path().join("blobs")).expect("they open");
        Self { toys: Toys::open(), blobs, folder }
    }

    /// Simulates a restart: state in memory is lost.
    fn reopen(self) -> Self {
        let blobs = Blobs::open(self.folder.path().join("blobs")).expect("they open again");
        Self { toys: self.toys.reopen(), blobs, folder: self.folder }
    }

    fn sweep(&self, age: Age) -> Swept {
        let mut all = Swept::default();
        for folder in 0..=u8::MAX {
            all += self.blobs.sweep_folder(&self.toys.store, folder, age).expect("a sweep");
        }
        all
    }

    fn paper(&self, n: u64, blobs: Vec<BlobId>) -> Result<(), StoreError> {
        self.toys.put(Paper { id: id(n), blobs, folder: None })
    }

    fn drop_paper(&self, n: u64) {
        self.toys.write(move |tx| tx.delete::<Paper>(id(n))).expect("a delete");
    }

    fn is_there(&self, blob: BlobId) -> bool {
        self.blobs.open_blob(blob).is_ok()
    }

    /// Drops the before-images, as retention does.
    fn forget_images(&self) {
        self.toys.store.close();
        let db = redb::Database::open(self.toys.path()).expect("nobody else has it");
        let txn = db.begin_write().expect("a transaction");
        let feed = redb::TableDefinition::<&[u8], &[u8]>::new("t0001");
        {
            let mut table = txn.open_table(feed).expect("a table");
            table.retain(|key, _| key.ends_with(&[0, 0])).expect("heads stay");
        }
        txn.commit().expect("a commit");
    }
}

/// Treats every file as old.
pub fn old() -> Age {
    Age { now: now() + Duration::from_secs(3600), grace: Duration::ZERO }
}

#[expect(clippy::disallowed_methods, reason = "files have the time of the system")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[test]
fn what_a_record_or_its_history_holds_stays_and_the_rest_goes() {
    let desk = Desk::open();
    let [held, shared, was, loose] =
        [b"held", b"shar", b"was_", b"loos"].map(|text| desk.blobs.put(text).expect("a blob"));
    desk.paper(1, vec![held, shared, held]).expect("a paper");
    desk.paper(2, vec![shared, was]).expect("a paper");
    desk.paper(2, vec![shared]).expect("a change: only the image holds what was");
    let holders =
        |blob| desk.toys.store.read(|snap| refs::holders(snap, blob, 10)).expect("a read").len();
    assert_eq!([held, shared, was, loose].map(holders), [1, 3, 1, 0]);
    assert_eq!(desk.sweep(old()), Swept { looked: 4, removed: 1, bytes: 4, held: false });
    assert_eq!([held, shared, was, loose].map(|b| desk.is_there(b)), [true, true, true, false]);
    desk.drop_paper(1);
    assert_eq!(desk.sweep(old()).removed, 0, "the image of what was deleted holds it");
    bytes::all_fits(&desk.toys.store);

    desk.forget_images();
    let desk = desk.reopen();
    assert_eq!(desk.sweep(old()).removed, 2);
    assert_eq!([held, shared, was].map(|b| desk.is_there(b)), [false, true, false]);
    let held = desk.toys.store.read(|snap| refs::held(snap, None, 10)).expect("a read");
    assert_eq!(held, [shared], "the keys of dropped images went with the files");
}

#[test]
fn a_blob_is_kept_for_a_day_and_a_put_makes_it_young_again() {
    let desk = Desk::open();
    let blob = desk.blobs.put(b"on its way").expect("a blob");
    let after = |span| Age { now: now() + span, grace: GRACE };
    assert_eq!(
        desk.sweep(after(GRACE * 2)).removed,
        0,
        "put in this life, whatever the clock says"
    );
    let desk = desk.reopen();
    assert_eq!(desk.sweep(after(GRACE - Duration::from_secs(60))).removed, 0);
    assert_eq!(desk.sweep(Age { now: now() - GRACE * 3, grace: GRACE }).removed, 0, "set back");
    desk.blobs.put(b"on its way").expect("again");
    assert_eq!(desk.sweep(after(GRACE * 2)).removed, 0);
    let desk = desk.reopen();
    assert_eq!(desk.sweep(after(GRACE)).removed, 1);
    assert!(!desk.is_there(blob));
}

#[test]
fn an_id_from_memory_does_not_bring_back_what_was_swept_and_a_put_does() {
    let desk = Desk::open();
    let blob = desk.blobs.put(b"kept in somebody's head").expect("a blob");
    assert_eq!(desk.sweep(old()).removed, 1);
    let error = desk.paper(1, vec![blob]).expect_err("there is no such file");
    assert_eq!((error.code(), error.kind().status()), ("file_gone", 409));
    assert_eq!(desk.toys.get::<Paper>(id(1)), None);
    desk.blobs.put(b"kept in somebody's head").expect("it is sent again");
    desk.paper(1, vec![blob]).expect("now it can be held");
    assert_eq!(desk.sweep(old()).removed, 0);
    desk.blobs.put_from(&mut &b"streamed"[..], 100).expect("a blob");
    assert_eq!(desk.sweep(old()).removed, 1);
    let (streamed, _) = desk.blobs.put_from(&mut &b"streamed"[..], 100).expect("a blob");
    desk.paper(2, vec![streamed]).expect("also when it was streamed");
}

#[test]
fn a_record_that_does_not_name_the_file_that_it_holds_is_refused() {
    let desk = Desk::open();
    let blob = desk.blobs.put(b"held").expect("a put");
    let sloppy = |blob| Sloppy { id: id(1), note: None, blob };
    let error = desk.toys.put(sloppy(Some(blob))).expect_err("it is not named");
    assert!(matches!(error, StoreError::BlobUnnamed { table: "sloppy", blob: b } if b == blob));
    desk.toys.put(sloppy(None)).expect("nothing is held");
    desk.paper(1, vec![blob, blob]).expect("both are named");
}

#[test]
fn nothing_goes_while_a_backup_holds_the_blobs() {
    let desk = Desk::open();
    let blob = desk.blobs.put(b"in the snapshot of a backup").expect("a blob");
    let (first, second) = (desk.blobs.hold(), desk.blobs.hold());
    assert!(desk.blobs.held_for().is_some());
    assert!(desk.sweep(old()).held);
    drop(first);
    assert!(desk.sweep(old()).held, "the second one still works");
    assert!(desk.is_there(blob));
    drop(second);
    assert_eq!(desk.blobs.held_for(), None);
    assert_eq!(desk.sweep(old()).removed, 1);
}

#[test]
fn a_delete_that_a_crash_takes_back_finds_its_file() {
    // The sweep's transaction sees committed state only, so a deletion in the same batch is committed, too.
    let desk = Desk::open();
    let blob = desk.blobs.put(b"the only copy").expect("a blob");
    desk.paper(1, vec![blob]).expect("a paper");
    desk.drop_paper(1);
    desk.forget_images();
    let desk = desk.reopen();
    let gone = desk.toys.write(move |tx| {
        tx.put(&Paper { id: id(2), blobs: vec![blob], folder: None })?;
        Err::<(), _>(StoreError::Stale)
    });
    assert!(gone.is_err(), "a transaction that fails holds nothing");
    assert_eq!(desk.sweep(old()).removed, 1);
}

#[test]
fn what_is_missing_damaged_or_loose_is_found_and_a_foreign_file_is_left_alone() {
    let desk = Desk::open();
    let [lost, bad, loose] =
        [b"lost", b"bad_", b"loos"].map(|text| desk.blobs.put(text).expect("a blob"));
    desk.toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    desk.toys
        .put(Paper { id: id(1), blobs: vec![lost, bad], folder: Some(folder(1)) })
        .expect("a paper");
    let report = check::check(&desk.toys.store, &desk.blobs).expect("a check");
    assert!(report.is_fine());
    assert_eq!((report.files, report.bytes, report.unreferenced), (3, 12, 1));
    let path = |blob: BlobId| {
        let name = blob.to_string();
        desk.folder.path().join("blobs").join(&name[..2]).join(&name[2..])
    };
    std::fs::remove_file(path(lost)).expect("a file");
    std::fs::write(path(bad), b"BAD_").expect("a file");
    std::fs::write(path(bad).with_file_name("notes.txt"), b"mine").expect("a file");
    let report = check::check(&desk.toys.store, &desk.blobs).expect("a check");
    assert_eq!((report.missing, report.corrupt, report.unreferenced), (1, 1, 1));
    let faults: Vec<_> = report.faults.iter().map(|f| (f.what.as_str(), f.blob.clone())).collect();
    assert_eq!(faults, [("missing", lost.to_string()), ("corrupt", bad.to_string())]);
    assert_eq!(report.faults[0].holders, ["paper 00000000-0000-0000-0000-000000000001"]);
    assert!(desk.blobs.missing().is_empty());
    desk.blobs.open_blob(lost).expect_err("it is not there");
    assert_eq!(desk.blobs.missing(), [lost], "who wanted it is remembered");
    desk.blobs.put(b"lost").expect("it is put back");
    desk.blobs.put_from(&mut &b"bad_"[..], 9).expect("it is put back");
    assert!(check::check(&desk.toys.store, &desk.blobs).expect("a check").is_fine());
    assert!(desk.blobs.missing().is_empty());
    assert_eq!(desk.sweep(old()).removed, 1);
    assert!(path(bad).with_file_name("notes.txt").exists() && !desk.is_there(loose));
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8),
    /// A record takes these contents, put just before or remembered.
    Hold(u64, Vec<u8>),
    /// The same inside an attempt that fails.
    Waver(u64, Vec<u8>),
    Drop(u64),
    ForgetImages,
    Sweep,
    HeldSweep,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..6u8).prop_map(Act::Put),
        5 => (0..4u64, vec(0..6u8, 0..3)).prop_map(|(n, held)| Act::Hold(n, held)),
        1 => (0..4u64, vec(0..6u8, 1..3)).prop_map(|(n, held)| Act::Waver(n, held)),
        3 => (0..4u64).prop_map(Act::Drop),
        1 => Just(Act::ForgetImages),
        3 => Just(Act::Sweep),
        1 => Just(Act::HeldSweep),
        1 => Just(Act::Restart),
    ]
}

/// The expected state: records, contents in the history, files.
#[derive(Default)]
struct Model {
    papers: BTreeMap<u64, Vec<u8>>,
    remembered: BTreeSet<u8>,
    files: BTreeSet<u8>,
    /// Deleted since the start; must be put again before a record may hold it.
    swept: BTreeSet<u8>,
}

impl Model {
    fn held(&self) -> BTreeSet<u8> {
        let papers = self.papers.values().flatten().copied();
        papers.chain(self.remembered.iter().copied()).collect()
    }

    fn takes(&self, n: u64, held: &[u8]) -> bool {
        let old = self.papers.get(&n);
        held.iter().all(|c| !self.swept.contains(c) || old.is_some_and(|old| old.contains(c)))
    }

    fn set(&mut self, n: u64, held: Option<Vec<u8>>) {
        let before = match held {
            Some(held) => self.papers.insert(n, held),
            None => self.papers.remove(&n),
        };
        self.remembered.extend(before.into_iter().flatten());
    }
}

fn content(n: u8) -> [u8; 3] {
    [b'c', n, n]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_act_in_any_order_takes_a_blob_that_is_held(acts in vec(act(), 1..40)) {
        let mut desk = Desk::open();
        let mut model = Model::default();
        for act in acts {
            desk = step(desk, &mut model, act);
            for c in model.held().intersection(&model.files) {
                assert!(desk.is_there(BlobId::of(&content(*c))), "{c} is held and gone");
            }
        }
        desk = step(desk, &mut model, Act::Sweep);
        for c in 0..6 {
            assert_eq!(desk.is_there(BlobId::of(&content(c))), model.files.contains(&c));
        }
    }
}

fn step(mut desk: Desk, model: &mut Model, act: Act) -> Desk {
    match act {
        Act::Put(c) => {
            desk.blobs.put(&content(c)).expect("a blob");
            model.files.insert(c);
            model.swept.remove(&c);
        }
        Act::Hold(n, held) => {
            let blobs = held.iter().map(|c| BlobId::of(&content(*c))).collect();
            let taken = desk.paper(n, blobs);
            assert_eq!(taken.is_ok(), model.takes(n, &held), "{taken:?}");
            if taken.is_ok() && model.papers.get(&n) != Some(&held) {
                model.set(n, Some(held));
            }
        }
        Act::Waver(n, held) => {
            let blobs = held.iter().map(|c| BlobId::of(&content(*c))).collect();
            let done = desk.toys.write(move |tx| {
                let tried = tx.attempt(|tx| {
                    tx.put(&Paper { id: id(n), blobs, folder: None })?;
                    Err::<(), _>(StoreError::Stale)
                });
                assert!(tried.is_err());
                Ok(())
            });
            done.expect("the outer one goes on");
        }
        Act::Drop(n) => {
            desk.drop_paper(n);
            model.set(n, None);
        }
        Act::ForgetImages => {
            desk.forget_images();
            desk = desk.reopen();
            (model.remembered, model.swept) = (BTreeSet::new(), BTreeSet::new());
        }
        Act::Sweep => {
            let swept = desk.sweep(old());
            let held = model.held();
            let gone: BTreeSet<u8> = model.files.difference(&held).copied().collect();
            assert_eq!(swept.removed, gone.len(), "{gone:?}");
            model.files.retain(|c| !gone.contains(c));
            model.swept.extend(gone);
        }
        Act::HeldSweep => {
            let hold = desk.blobs.hold();
            assert_eq!(desk.sweep(old()).removed, 0);
            drop(hold);
        }
        Act::Restart => {
            desk = desk.reopen();
            model.swept.clear();
        }
    }
    desk
}

/// Writers repeatedly put the same few contents, hold them briefly and release them, while two threads sweep as if
/// everything were old. Every acknowledged reference has its file.
#[test]
fn writers_and_sweeps_at_once_never_lose_a_file_that_is_held() {
    let desk = Arc::new(Desk::open());
    let over = Arc::new(AtomicBool::new(false));
    let removed = Arc::new(AtomicU64::new(0));
    let sweepers: Vec<_> = (0..2)
        .map(|_| {
            let (desk, over, removed) = (desk.clone(), over.clone(), removed.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let swept = desk.sweep(old());
                    removed.fetch_add(swept.removed as u64, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let writers = (0..4u64).map(|writer| {
        let desk = desk.clone();
        std::thread::spawn(move || (0..150u64).map(|n| one_round(&desk, writer, n)).sum::<u64>())
    });
    let writers: Vec<_> = writers.collect();
    let repeats: u64 = writers.into_iter().map(|one| one.join().expect("a writer")).sum();
    over.store(true, Ordering::Relaxed);
    sweepers.into_iter().for_each(|one| one.join().expect("a sweeper"));
    let gone = removed.load(Ordering::Relaxed);
    assert!(gone > 0, "nothing was ever swept ({repeats} puts were repeated)");
    bytes::all_fits(&desk.toys.store);
}

/// Puts, holds, reads and releases a blob; returns how often the sweep was faster than the transaction.
fn one_round(desk: &Desk, writer: u64, n: u64) -> u64 {
    // All writers use the same contents, which are not in the history.
    let text = format!("content {}", n % 5);
    let (slip, mut repeats) = (id(writer * 1_000 + n), 0);
    let blob = loop {
        let blob = if n.is_multiple_of(2) {
            desk.blobs.put(text.as_bytes()).expect("a blob")
        } else {
            desk.blobs.put_from(&mut text.as_bytes(), 1000).expect("a blob").0
        };
        match desk.toys.put(Slip { id: slip, blob, job: None }) {
            Ok(()) => break blob,
            Err(StoreError::BlobGone(_)) => repeats += 1,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(desk.blobs.get(blob, 100).expect("its file is there"), text.as_bytes());
    desk.toys.write(move |tx| tx.delete::<Slip>(slip)).expect("a delete");
    repeats
}
