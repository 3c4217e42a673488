//! Tests of single records: keys, indexes, references, sums, limits.

use kernel::{Cause, Problem};
use store::{Class, Lane, Range, ReadExt, StoreError};

use super::check;
use super::toys::{
    ACTOR, Folder, Job, Line, Note, Sealed, Seen, Sloppy, Total, Toys, folder, id, note, text,
};

#[test]
fn a_record_is_there_after_put_and_gone_after_delete() {
    let toys = Toys::open();
    let mut plan = Note::new(note(1), "mira");
    toys.put(plan.clone()).expect("a new record");
    assert_eq!(toys.get_rev(note(1)), Some((plan.clone(), 1)));
    plan.owner = "juno".to_owned();
    toys.put(plan.clone()).expect("a change");
    assert_eq!(toys.get_rev(note(1)), Some((plan, 2)));
    assert!(toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete"));
    assert_eq!(toys.get::<Note>(note(1)), None);
    assert!(!toys.write(|tx| tx.delete::<Note>(note(1))).expect("nothing to delete"));
    assert_eq!(toys.seq(), 3, "the delete of nothing is no entry");
    check::all_fits(&toys.store);
}

#[test]
fn putting_the_same_again_is_no_change_and_no_commit() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "mira")).expect("a new record");
    let syncs = || toys.store.counters().syncs.load(std::sync::atomic::Ordering::Relaxed);
    let before = syncs();
    toys.put(Note::new(note(1), "mira")).expect("nothing new");
    // A change that is reverted within one transaction.
    let detour = toys.write(|tx| {
        let mut plan = Note::new(note(1), "juno");
        plan.slug = Some("detour".to_owned());
        plan.labels = vec![9];
        tx.put(&plan)?;
        tx.put(&Note::new(note(1), "mira"))?;
        tx.put(&Note::new(note(2), "gone"))?;
        tx.delete::<Note>(note(2))
    });
    assert!(detour.expect("a detour"));
    assert_eq!(toys.get_rev::<Note>(note(1)).map(|(_, rev)| rev), Some(1));
    assert_eq!((toys.seq(), syncs()), (1, before), "neither an entry nor a commit");
    check::all_fits(&toys.store);
}

#[test]
fn three_changes_in_one_transaction_are_one() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "mira")).expect("a new record");
    let changed = toys.write(|tx| {
        for owner in ["juno", "kit", "ada"] {
            tx.put(&Note::new(note(1), owner))?;
        }
        tx.get::<Note>(note(1))
    });
    assert_eq!(changed.expect("changes").map(|n| n.owner).as_deref(), Some("ada"));
    let entries = toys.store.entries_after(1, 10).expect("the feed");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].changes.len(), 1);
    assert_eq!(entries[0].changes[0].before_rev, 1);
    check::all_fits(&toys.store);
}

#[test]
fn a_unique_key_belongs_to_one_record() {
    let toys = Toys::open();
    let with_slug = |n, slug: &str| Note { slug: Some(slug.to_owned()), ..Note::new(note(n), "m") };
    toys.put(with_slug(1, "plan")).expect("the first");
    let error = toys.put(with_slug(2, "plan")).expect_err("taken");
    assert!(matches!(error, StoreError::Taken { index: "note_by_slug" }));
    assert_eq!((error.code(), error.kind().status()), ("taken", 409));
    let swapped = toys.write(move |tx| {
        tx.put(&with_slug(1, "old-plan"))?;
        tx.put(&with_slug(2, "plan"))
    });
    swapped.expect("free within the transaction");
    let found = toys.store.read(|snap| {
        assert!(snap.taken(Note::BY_SLUG, &text("plan"))?);
        snap.find::<Note>(Note::BY_SLUG, &text("plan"))
    });
    assert_eq!(found.expect("a read").map(|n| n.id), Some(note(2)));
    check::all_fits(&toys.store);
}

#[test]
fn a_refused_put_leaves_nothing_even_if_the_rule_goes_on() {
    let toys = Toys::open();
    toys.put(Note { slug: Some("plan".to_owned()), ..Note::new(note(1), "m") }).expect("a note");
    toys.put(Note { labels: vec![1], ..Note::new(note(2), "m") }).expect("another");
    let went_on = toys.write(|tx| {
        let mut other = Note { labels: vec![2, 3], ..Note::new(note(2), "x") };
        other.slug = Some("plan".to_owned());
        assert!(matches!(tx.put(&other), Err(StoreError::Taken { .. })));
        other.slug = None;
        other.folder = Some(folder(77));
        assert!(matches!(tx.put(&other), Err(StoreError::MissingTarget { table: "folder" })));
        tx.put(&Note::new(note(3), "m"))
    });
    went_on.expect("the rest");
    assert_eq!(toys.get::<Note>(note(2)).map(|n| n.labels), Some(vec![1]));
    check::all_fits(&toys.store);
}

#[test]
fn deleting_a_target_does_what_the_references_declare() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        tx.put(&Folder { id: folder(1), inside: None })?;
        tx.put(&Folder { id: folder(2), inside: Some(folder(1)) })?;
        tx.put(&Note { folder: Some(folder(2)), ..Note::new(note(1), "m") })?;
        tx.put(&Note { parent: Some(note(1)), ..Note::new(note(2), "m") })?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })?;
        tx.put(&Note { guard: Some(note(2)), ..Note::new(note(3), "m") })
    });
    made.expect("records");
    let error = toys.write(|tx| tx.delete::<Note>(note(2))).expect_err("guarded");
    assert!(matches!(error, StoreError::Referenced { table: "note" }));
    assert!(toys.write(|tx| tx.delete::<Folder>(folder(1))).expect("a cascade"));
    assert_eq!(toys.get::<Note>(note(1)), None, "it lay in a folder of the folder");
    assert_eq!(toys.get::<Job>(id(1)), None, "it went with its note");
    assert_eq!(toys.get::<Note>(note(2)).map(|n| n.parent), Some(None), "cleared");
    let referrers = toys.store.read(|snap| snap.referrers::<Note, Note>(note(2), 3, 10));
    assert_eq!(referrers.expect("a read"), [note(3)]);
    check::all_fits(&toys.store);
}

#[test]
fn what_refuses_but_goes_too_does_not_refuse() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        tx.put(&Folder { id: folder(1), inside: None })?;
        for n in 1..=2 {
            tx.put(&Note { folder: Some(folder(1)), ..Note::new(note(n), "m") })?;
        }
        // Each refuses the deletion of the other.
        for (n, guarded) in [(1, 2), (2, 1)] {
            let guard = Some(note(guarded));
            tx.put(&Note { folder: Some(folder(1)), guard, ..Note::new(note(n), "m") })?;
        }
        tx.put(&Note { guard: Some(note(3)), ..Note::new(note(3), "m") })
    });
    made.expect("records");
    toys.write(|tx| tx.delete::<Note>(note(1))).expect_err("guarded by the other");
    assert!(toys.write(|tx| tx.delete::<Folder>(folder(1))).expect("both go"));
    assert!(toys.write(|tx| tx.delete::<Note>(note(3))).expect("its own guard goes too"));
    check::all_fits(&toys.store);
}

#[test]
fn a_long_chain_of_references_goes_without_a_deep_stack() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        for n in 0..1_500 {
            let inside = (n > 0).then(|| folder(n - 1));
            tx.put(&Folder { id: folder(n), inside })?;
        }
        Ok(())
    });
    made.expect("a chain");
    assert!(toys.write(|tx| tx.delete::<Folder>(folder(0))).expect("a delete"));
    assert_eq!(toys.get::<Folder>(folder(1_499)), None);
    check::all_fits(&toys.store);
}

#[test]
fn a_delete_of_more_than_two_thousand_rows_is_refused_with_the_count() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    for piece in 0..5 {
        let made = toys.write(move |tx| {
            for n in 0..500 {
                let own = note(1 + piece * 500 + n);
                tx.put(&Note { folder: Some(folder(1)), ..Note::new(own, "m") })?;
            }
            Ok(())
        });
        made.expect("notes");
    }
    let error = toys.write(|tx| tx.delete::<Folder>(folder(1))).expect_err("too many");
    assert!(matches!(error, StoreError::TooMany { count: 2_501, limit: 2_000 }), "{error}");
    assert_eq!(error.code(), "too_many");
    assert!(toys.get::<Note>(note(1)).is_some());
    check::all_fits(&toys.store);
}

#[test]
fn a_clear_that_forgets_its_field_is_refused() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    toys.put(Sloppy { id: id(1), note: Some(note(1)), blob: None }).expect("a reference");
    let error = toys.write(|tx| tx.delete::<Note>(note(1))).expect_err("it would dangle");
    assert!(matches!(error, StoreError::Referenced { table: "sloppy" }));
    check::all_fits(&toys.store);
}

#[test]
fn rows_of_a_log_are_never_changed_and_go_only_by_retention() {
    let toys = Toys::open();
    let line = Line { id: id(1), note: note(1), amount: 5 };
    toys.put(line.clone()).expect("a line");
    toys.put(line.clone()).expect("the same line again is no change");
    let error = toys.put(Line { amount: 6, ..line.clone() }).expect_err("a change");
    assert!(matches!(error, StoreError::LogRow { table: "line" }));
    let error = toys.write(|tx| tx.delete::<Line>(id(1))).expect_err("a delete");
    assert!(matches!(error, StoreError::LogRow { table: "line" }));
    assert_eq!(toys.get(id(1)), Some(line));
    let swept = toys.store.write_blocking(ACTOR, Cause::Retention, |tx| tx.delete::<Line>(id(1)));
    assert!(swept.map_err(|e: StoreError| e.to_string()).expect("retention"));
    check::all_fits(&toys.store);
}

#[test]
fn sums_follow_the_rows() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        for (n, amount) in [(1, 5), (2, -2), (3, 10)] {
            tx.put(&Line { id: id(n), note: note(1), amount })?;
        }
        tx.put(&Line { id: id(4), note: note(2), amount: 0 })?;
        let key = |n| kernel::key::KeyBuf::of(&note(n));
        Ok((tx.sum(Line::SUM, &key(1))?, tx.sum(Line::SUM, &key(2))?))
    });
    assert_eq!(made.expect("lines"), (13, 0), "also within the transaction");
    let sums = toys.store.read(|snap| snap.sums(Line::SUM, &Range::all()));
    assert_eq!(sums.expect("a read").len(), 1, "a sum of nothing is no row");
    check::all_fits(&toys.store);
}

#[test]
fn a_record_is_at_most_256_kib() {
    let toys = Toys::open();
    let fits = Note::new(note(1), &"x".repeat(256 * 1024 - 30));
    toys.put(fits).expect("just below the limit");
    let error = toys.put(Note::new(note(2), &"x".repeat(256 * 1024))).expect_err("too large");
    assert!(matches!(error, StoreError::TooLarge { table: "note", limit: 262_144, .. }));
    assert_eq!(error.kind().status(), 413);
}

#[test]
fn only_classes_of_the_feed_have_a_rev_and_an_entry() {
    let toys = Toys::open();
    toys.put(Seen { id: id(1), at: 5 }).expect("local");
    toys.put(Total { id: id(1), n: 5 }).expect("derived");
    assert_eq!(toys.seq(), 0, "no entry");
    assert_eq!(toys.get_rev::<Seen>(id(1)).map(|(_, rev)| rev), Some(0));
    assert_eq!(toys.get_rev::<Total>(id(1)).map(|(_, rev)| rev), Some(0));
    let made = toys.write(|tx| {
        tx.put(&Seen { id: id(1), at: 6 })?;
        tx.put(&Sealed { id: id(1), value: "sealed".to_owned() })?;
        tx.put(&Job { id: id(1), note: None, open: true })?;
        tx.put(&Line { id: id(1), note: note(1), amount: 1 })
    });
    made.expect("one of each");
    let entry = toys.store.entries_after(0, 10).expect("the feed").remove(0);
    let tables: Vec<u16> = entry.changes.iter().map(|change| change.table).collect();
    assert_eq!(tables, [120, 130, 140]);
    assert_eq!(toys.get_rev::<Sealed>(id(1)).map(|(_, rev)| rev), Some(1));
    check::all_fits(&toys.store);
    assert!(Class::Work.in_feed() && !Class::Derived.in_feed());
}

#[test]
fn put_if_guards_an_edit_with_the_rev() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "mira")).expect("a note");
    let (seen, rev) = toys.get_rev::<Note>(note(1)).expect("a note");
    toys.put(Note::new(note(1), "juno")).expect("somebody was faster");
    let mine = Note { owner: "kit".to_owned(), ..seen };
    let changed = mine.clone();
    let error = toys.write(move |tx| tx.put_if(&mine, rev)).expect_err("stale");
    assert!(matches!(error, StoreError::Stale));
    assert_eq!(error.kind().status(), 412);
    toys.write(move |tx| tx.put_if(&changed, 2)).expect("with the right rev");
    let error = toys.write(|tx| tx.put_if(&Note::new(note(9), "m"), 0)).expect_err("not there");
    assert!(matches!(error, StoreError::Stale));
}

#[test]
fn an_old_layout_is_read_and_becomes_new_with_the_next_change() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "mira")).expect("a note");
    let path = toys.path();
    let Toys { store, .. } = &toys;
    store.close();
    let old = store::codec::encode(&(note(1), "mira")).expect("the first layout");
    let row = store::codec::wrap(1, 1, &old);
    put_raw(&path, "t0100", &row);
    let toys = toys.reopen();
    assert_eq!(toys.get::<Note>(note(1)), Some(Note::new(note(1), "mira")));
    toys.put(Note::new(note(1), "mira")).expect("the same, in the new layout");
    assert_eq!(toys.get_rev::<Note>(note(1)).map(|(_, rev)| rev), Some(2));
    let unknown = store::codec::wrap(3, 1, &old);
    toys.store.close();
    put_raw(&path, "t0100", &unknown);
    let toys = toys.reopen();
    let error = toys.store.read(|snap| snap.get::<Note>(note(1))).expect_err("from the future");
    assert!(error.to_string().contains("record version 3 of note"), "{error}");
}

fn put_raw(path: &std::path::Path, table: &str, row: &[u8]) {
    let db = redb::Database::open(path).expect("nobody else has it");
    let txn = db.begin_write().expect("a transaction");
    let definition = redb::TableDefinition::<&[u8], &[u8]>::new(table);
    let key = kernel::key::KeyBuf::of(&note(1));
    txn.open_table(definition).expect("a table").insert(key.bytes(), row).expect("a row");
    txn.commit().expect("a commit");
}

#[test]
fn a_lane_is_chosen_by_the_caller() {
    let toys = Toys::open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let written = runtime.block_on(toys.store.write_in(Lane::Second, ACTOR, Cause::Timer, |tx| {
        tx.put(&Note::new(note(1), "m"))?;
        Ok::<_, StoreError>((tx.by(), tx.cause()))
    }));
    assert_eq!(written.expect("a write"), (ACTOR, Cause::Timer));
}
