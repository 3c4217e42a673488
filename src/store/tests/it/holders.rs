//! Tests of blob references: rows and former versions against the table, and the files.

use std::ops::ControlFlow;

use store::doctor::{Diagnosis, diagnose, mend};
use store::verify::{Depth, Verified, verify_with};
use store::{BlobId, Blobs};

use super::check;
use super::sweep::old;
use super::toys::{ACTOR, CAUSE, Note, Paper, Tampered, Toys, id, note, rows, runtime, tamper};

/// The table of blob references.
const HOLDERS: &str = "t0010";

/// A store with blobs: one paper with two blobs, and one whose former version had another.
fn shelf() -> (Toys, Blobs) {
    let toys = Toys::open();
    let blobs = Blobs::open(toys.path().with_file_name("blobs")).expect("a folder");
    let put = |text: &str| blobs.put(text.as_bytes()).expect("a blob");
    let paper = |n: u64, blobs: Vec<BlobId>| Paper { id: id(n), blobs, folder: None };
    toys.put(paper(1, vec![put("one"), put("two")])).expect("a paper");
    toys.put(paper(2, vec![put("former")])).expect("a paper");
    toys.put(paper(2, vec![put("present")])).expect("a change");
    (toys, blobs)
}

fn looked(toys: &Toys, blobs: &Blobs, depth: Depth) -> Verified {
    verify_with(&toys.store, Some((blobs, depth)), &mut |_| ControlFlow::Continue(()))
        .expect("it can be read")
}

/// The text of the only fault.
fn fault(report: &Verified) -> String {
    assert_eq!(report.faults_count, 1, "{:#?}", report.faults);
    report.faults[0].to_string()
}

fn file(toys: &Toys, text: &str) -> std::path::PathBuf {
    let name = BlobId::of(text.as_bytes()).to_string();
    toys.path().with_file_name("blobs").join(&name[..2]).join(&name[2..])
}

#[test]
fn holders_and_files_that_fit_are_found_to_fit() {
    let (toys, blobs) = shelf();
    let report = looked(&toys, &blobs, Depth::Whole);
    assert!(report.is_sound(), "{:#?}", report.faults);
    assert_eq!(report.blobs, 4, "a former version holds its blob too");
}

#[test]
fn a_holder_that_is_not_noted_is_named() {
    let (toys, blobs) = shelf();
    let one = BlobId::of(b"one");
    let toys = tamper(toys, |db| {
        let all = rows(db, &[HOLDERS]);
        assert_eq!(all.len(), 4);
        let own = hex::decode(one.to_string()).expect("a hash");
        all.into_iter()
            .filter(|(_, key, _)| key.starts_with(&own))
            .map(|(name, key, _)| (name, key, None))
            .collect()
    });
    let message = fault(&looked(&toys, &blobs, Depth::There));
    assert!(message.contains("paper") && message.contains(&one.to_string()), "{message}");
    assert!(message.contains("not noted"), "{message}");
}

#[test]
fn somebody_who_is_noted_and_holds_nothing_is_named() {
    let (toys, blobs) = shelf();
    let strange = BlobId::of(b"strange");
    let toys = tamper(toys, |db| {
        let (name, key, value) = rows(db, &[HOLDERS]).swap_remove(0);
        let own = hex::decode(strange.to_string()).expect("a hash");
        vec![(name, [&own[..], &key[32..]].concat(), Some(value))]
    });
    let message = fault(&looked(&toys, &blobs, Depth::There));
    assert!(
        message.contains(&strange.to_string()) && message.contains("not holding it"),
        "{message}"
    );
}

#[test]
fn a_missing_file_is_told_with_its_record_or_its_former_version() {
    let (toys, blobs) = shelf();
    std::fs::remove_file(file(&toys, "two")).expect("a file");
    let message = fault(&looked(&toys, &blobs, Depth::There));
    assert!(
        message.starts_with("paper ") && message.ends_with("whose file is missing"),
        "{message}"
    );
    blobs.put(b"two").expect("it is sent again");
    std::fs::remove_file(file(&toys, "former")).expect("a file");
    let message = fault(&looked(&toys, &blobs, Depth::There));
    assert!(
        message.starts_with("entry 3, paper ") && message.contains("former version"),
        "{message}"
    );
}

#[test]
fn a_damaged_file_is_found_when_its_content_is_read() {
    let (toys, blobs) = shelf();
    std::fs::write(file(&toys, "one"), "0ne").expect("a file");
    assert!(looked(&toys, &blobs, Depth::There).is_sound(), "only that it is there");
    let message = fault(&looked(&toys, &blobs, Depth::Whole));
    assert!(
        message.starts_with("paper ") && message.ends_with("whose file is damaged"),
        "{message}"
    );
}

// ── Doctor ──

fn examined(toys: &Toys) -> Diagnosis {
    diagnose(&toys.store, &mut |_| ControlFlow::Continue(())).expect("it can be read")
}

/// Repairs the differences, which must all be of this table; then everything is consistent.
fn mended(toys: &Toys, table: &str) {
    let mut found = examined(toys);
    assert!(!found.is_sound());
    assert!(found.differences.iter().all(|one| one.table == table), "{:?}", found.differences);
    assert_eq!(found.beyond, 0);
    runtime().block_on(mend(&toys.store, (ACTOR, CAUSE), &mut found)).expect("mended");
    assert!(0 < found.mended);
    let after = examined(toys);
    assert!(after.is_sound(), "{:?}", after.differences);
    check::all_fits(&toys.store);
}

#[test]
fn doctor_notes_who_holds_a_blob_and_the_sweep_keeps_the_file() {
    for text in ["one", "former"] {
        let (toys, blobs) = shelf();
        assert!(examined(&toys).is_sound());
        let blob = BlobId::of(text.as_bytes());
        let own = hex::decode(blob.to_string()).expect("a hash");
        let toys = tamper(toys, |db| {
            let all = rows(db, &[HOLDERS]).into_iter();
            let of_it = all.filter(|(_, key, _)| key.starts_with(&own));
            of_it.map(|(name, key, _)| (name, key, None)).collect()
        });
        mended(&toys, "blob references");
        for folder in 0..=u8::MAX {
            let swept = blobs.sweep_folder(&toys.store, folder, old()).expect("a sweep");
            assert_eq!(swept.removed, 0, "{text}");
        }
        assert!(blobs.open_blob(blob).is_ok(), "{text}");
    }
}

#[test]
fn doctor_takes_away_who_is_noted_and_holds_nothing() {
    let (toys, _) = shelf();
    let strange = hex::decode(BlobId::of(b"strange").to_string()).expect("a hash");
    let toys = tamper(toys, |db| {
        let all = rows(db, &[HOLDERS]).into_iter();
        // References of both a row and an image.
        all.map(|(name, key, value)| (name, [&strange[..], &key[32..]].concat(), Some(value)))
            .collect()
    });
    mended(&toys, "blob references");
}

#[test]
fn doctor_puts_the_marks_of_deleted_records_right() {
    const MARKS: &str = "t0005";
    type Change = fn(Vec<(&'static str, Vec<u8>, Vec<u8>)>) -> Vec<Tampered>;
    let changes: [Change; 3] = [
        |all| all.into_iter().map(|(name, key, _)| (name, key, None)).collect(),
        |all| {
            let first = 2u64.to_be_bytes().to_vec();
            all.into_iter().map(|(name, key, _)| (name, key, Some(first.clone()))).collect()
        },
        |all| {
            let (name, mut key, value) = all[0].clone();
            *key.last_mut().expect("bytes") = 4;
            vec![(name, key, Some(value))]
        },
    ];
    for change in changes {
        let toys = Toys::open();
        for n in 1..=4 {
            toys.put(Note::new(note(n), "m")).expect("a note");
        }
        let gone = |n| toys.write(move |tx| tx.delete::<Note>(note(n))).expect("a delete");
        gone(1);
        gone(2);
        toys.put(Note::new(note(2), "back")).expect("it comes back");
        gone(2);
        let toys = tamper(toys, |db| {
            let all = rows(db, &[MARKS]);
            assert_eq!(all.len(), 2);
            change(all)
        });
        mended(&toys, "deleted records");
    }
}
