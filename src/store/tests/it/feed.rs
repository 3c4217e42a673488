//! Tests of entries, their hash chain, cursors and resuming.

use std::time::Duration;

use kernel::{Cause, Event};
use store::{Class, Cursor, Limits, Op, Root, StoreError, feed};

use super::check;
use super::toys::{
    ACTOR, CAUSE, Folder, Note, Sealed, Seen, Toys, With, folder, id, note, runtime, says,
};

fn few_in_memory() -> With {
    With { limits: Limits { recent: 4, ..With::default().limits }, ..With::default() }
}

fn seqs(toys: &Toys, after: u64, limit: usize) -> Vec<u64> {
    let entries = toys.store.entries_after(after, limit).expect("the feed");
    entries.iter().map(|entry| entry.seq).collect()
}

#[test]
fn entries_are_resumed_from_memory_and_from_disk_alike() {
    let mut toys = few_in_memory().open();
    for n in 1..=12 {
        let made = toys.write(move |tx| {
            tx.put(&Note { labels: vec![1], ..Note::new(note(n), "m") })?;
            tx.emit(says(&n.to_string()));
            Ok(())
        });
        made.expect("a note");
    }
    for reopened in [false, true] {
        if reopened {
            toys = toys.reopen_with(few_in_memory());
        }
        for after in 0..14 {
            for limit in [0, 1, 3, 100] {
                let wanted: Vec<u64> = (after + 1..=12).take(limit).collect();
                assert_eq!(seqs(&toys, after, limit), wanted, "after {after}, at most {limit}");
            }
        }
    }
    assert_eq!(seqs(&toys, u64::MAX, 5), [0; 0]);
    let entry = toys.store.entries_after(6, 1).expect("the feed").remove(0);
    assert_eq!((entry.actor, entry.cause, entry.at), (ACTOR, CAUSE, 1_700_000_000_000));
    assert_eq!(entry.events, [says("7")]);
    let change = &entry.changes[0];
    assert_eq!((change.table, change.op, change.before_rev), (100, Op::Insert, 0));
    check::all_fits(&toys.store);
}

#[test]
fn an_entry_that_a_reader_has_seen_is_known_at_once() {
    let toys = Toys::open();
    let store = toys.store.clone();
    let last = 300;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=last {
                toys.put(Note::new(note(n), "m")).expect("a note");
            }
        });
        let mut seen = 0;
        while seen < last {
            let entries = store.read(|snap| feed::entries(snap, store.schema(), seen, 100));
            let entries = entries.expect("the feed");
            seen = entries.last().map_or(seen, |entry| entry.seq);
            let place = Cursor { incarnation: store.incarnation(), seq: seen };
            assert!(store.knows(place).expect("a read"), "{seen} was read from the feed");
        }
    });
    let beyond = Cursor { incarnation: store.incarnation(), seq: last + 1 };
    assert!(!store.knows(beyond).expect("a read"));
    let former = Cursor { incarnation: store.incarnation() ^ 1, seq: 1 };
    assert!(!store.knows(former).expect("a read"));
}

#[test]
fn the_newest_entries_are_read_backwards() {
    let toys = Toys::open();
    for n in 1..=6 {
        toys.put(Note::new(note(n), "m")).expect("a note");
        toys.put(Note::new(note(n), "x")).expect("a change with an image");
    }
    let newest = |before, limit| {
        let entries =
            toys.store.read(|snap| feed::newest(snap, toys.store.schema(), before, limit));
        entries.expect("a read").iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(newest(None, 3), [12, 11, 10]);
    assert_eq!(newest(Some(10), 2), [9, 8]);
    assert_eq!(newest(Some(2), 9), [1]);
}

#[test]
fn images_are_kept_of_tracked_rows_alone() {
    let toys = Toys::open();
    let made = toys.write(|tx| {
        tx.put(&Note::new(note(1), "before"))?;
        tx.put(&Sealed { id: id(1), value: "first secret".to_owned() })
    });
    made.expect("records");
    let changed = toys.write(|tx| {
        tx.put(&Note::new(note(1), "after"))?;
        tx.put(&Sealed { id: id(1), value: "second secret".to_owned() })
    });
    changed.expect("changes");
    let images = toys.store.read(|snap| {
        Ok::<_, StoreError>([
            feed::before_image(snap, 2, 0)?,
            feed::before_image(snap, 2, 1)?,
            feed::before_image(snap, 1, 0)?,
            feed::before_image(snap, 2, u16::MAX)?,
        ])
    });
    let [note_image, sealed, new, beyond] = images.expect("a read");
    let (was, rev) = store::record::read::<Note>(&note_image.expect("kept")).expect("a note");
    assert_eq!((was.owner.as_str(), rev), ("before", 1));
    assert_eq!((sealed, new, beyond), (None, None, None));
    toys.store.close();
    let bytes = std::fs::read(toys.path()).expect("the file");
    let holds = |text: &[u8]| bytes.windows(text.len()).filter(|w| *w == text).count();
    assert_eq!(holds(b"second secret"), 1, "a sealed value stands in its row and nowhere else");
}

#[test]
fn a_record_that_comes_back_goes_on_with_its_history() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "first life")).expect("a note");
    toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete");
    toys.put(Note::new(note(1), "second life")).expect("it comes back");
    toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete");
    let entries = toys.store.entries_after(0, 10).expect("the feed");
    let history: Vec<_> =
        entries.iter().map(|e| (e.changes[0].op, e.changes[0].before_rev)).collect();
    assert_eq!(history, [(Op::Insert, 0), (Op::Delete, 1), (Op::Insert, 2), (Op::Delete, 3)]);
    check::all_fits(&toys.store);
}

#[test]
fn an_entry_names_the_roots_of_its_rows_once() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).expect("a folder");
    let made = toys.write(|tx| {
        for n in 1..=3 {
            tx.put(&Note { folder: Some(folder(1)), ..Note::new(note(n), "m") })?;
        }
        tx.put(&Note::new(note(4), "its own root"))
    });
    made.expect("notes");
    toys.write(|tx| tx.delete::<Note>(note(1))).expect("a delete");
    let wanted = [Root::of::<Folder>(folder(1))];
    let roots = |toys: &Toys| {
        let entries = toys.store.entries_after(1, 10).expect("the feed");
        entries.iter().map(|entry| entry.roots.clone()).collect::<Vec<_>>()
    };
    assert_eq!(roots(&toys), [&wanted, &wanted]);
    let toys = toys.reopen();
    assert_eq!(roots(&toys), [&wanted, &wanted], "also from disk, where the row is gone");
}

#[test]
fn an_event_alone_is_worth_an_entry_and_local_rows_are_not() {
    let toys = Toys::open();
    toys.put(Seen { id: id(1), at: 1 }).expect("local");
    assert_eq!(toys.seq(), 0);
    let written = toys.write(|tx| {
        tx.emit(Event::AgentCreated { agent: folder(1) });
        Ok(())
    });
    written.expect("an event");
    assert_eq!(toys.seq(), 1);
    toys.store
        .write_blocking(ACTOR, Cause::Timer, |tx| tx.put(&Seen { id: id(1), at: 2 }))
        .map_err(|error: StoreError| error.to_string())
        .expect("local again");
    assert_eq!(toys.seq(), 1);
    check::all_fits(&toys.store);
    assert!(!Class::Local.in_feed());
}

#[test]
fn the_watch_and_the_broadcast_say_what_was_committed() {
    let toys = Toys::open();
    let (mut watch, mut live) = (toys.store.watch(), toys.store.subscribe());
    assert_eq!(*watch.borrow(), 0);
    toys.put(Note::new(note(1), "m")).expect("a note");
    assert_eq!(*watch.borrow(), 1);
    assert_eq!(live.try_recv().expect("an entry").seq, 1);
    let mut woken = || {
        let changed =
            async { tokio::time::timeout(Duration::from_secs(20), watch.changed()).await };
        runtime().block_on(changed).expect("whoever keeps up is woken").expect("the store is open");
        *watch.borrow_and_update()
    };
    assert_eq!(woken(), 1);
    let failed: Result<(), StoreError> = toys.write(|_| Err(StoreError::Stale));
    failed.expect_err("as told");
    live.try_recv().expect_err("nothing was committed");
    toys.put(Note::new(note(2), "m")).expect("a note");
    assert_eq!(woken(), 2);
}

#[test]
fn a_store_keeps_its_incarnation_and_no_two_share_one() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "m")).expect("a note");
    let head = toys.store.head();
    assert_eq!(head, Cursor { incarnation: toys.store.incarnation(), seq: 1 });
    let toys = toys.reopen();
    assert_eq!(toys.store.head(), head);
    assert_ne!(Toys::open().store.incarnation(), head.incarnation);
}

#[test]
fn a_cursor_has_one_spelling() {
    let cursor = Cursor { incarnation: 0xfe, seq: 12 };
    assert_eq!(cursor.to_string(), "fe.12");
    assert_eq!("fe.12".parse::<Cursor>().expect("ours"), cursor);
    let last = Cursor { incarnation: u64::MAX, seq: u64::MAX };
    assert_eq!(last.to_string().parse::<Cursor>().expect("ours"), last);
    for other in [
        "",
        ".",
        "fe",
        "fe.",
        ".12",
        "FE.12",
        "0fe.12",
        "fe.012",
        "fe.+1",
        "+fe.1",
        "fe.-1",
        "fe.1.2",
        "fe. 1",
        "g.1",
        "fe.18446744073709551616",
        "10000000000000000.1",
    ] {
        assert!(other.parse::<Cursor>().is_err(), "{other:?}");
    }
}

#[test]
fn an_import_does_not_fill_the_memory_of_the_feed() {
    let toys = Toys::open();
    for piece in 0..40u64 {
        let made = toys.write(move |tx| {
            for n in 0..500 {
                tx.put(&Note::new(note(piece * 500 + n), "m"))?;
            }
            Ok(())
        });
        made.expect("a piece");
    }
    assert_eq!(seqs(&toys, 0, 100), (1..=40).collect::<Vec<_>>(), "the first are read from disk");
}
