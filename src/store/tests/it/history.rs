//! Tests of a record's history, page by page, also across deletions and missing images.

use kernel::key::KeyBuf;
use kernel::{Actor, Part};
use store::history::{self, Image, Page};
use store::{Op, Record, Root, StoreError, codec};

use super::toys::{ACTOR, Job, Line, Note, Sealed, Toys, id, note};

fn root<R: Record>(id: R::Id) -> Root {
    Root::of::<R>(id)
}

fn page(toys: &Toys, record: &Root, before: Option<u64>, limit: usize) -> Option<Page> {
    let schema = toys.store.schema();
    toys.store
        .read(|snap| history::of(snap, schema, record, before, limit))
        .expect("history can be read")
}

fn owner(image: &Image) -> Option<String> {
    let bytes = image.bytes()?;
    Some(store::record::read::<Note>(bytes).expect("a note").0.owner)
}

#[test]
fn a_record_tells_all_its_versions_newest_first_with_what_was_there() {
    let toys = Toys::open();
    for owner in ["ada", "bo", "cy"] {
        toys.put(Note::new(note(1), owner)).unwrap();
        toys.put(Note::new(note(2), owner)).unwrap();
    }
    let all = page(&toys, &root::<Note>(note(1)), None, 10).unwrap();
    let versions: Vec<_> =
        all.versions.iter().map(|v| (v.seq, v.op, owner(&v.before), owner(&v.after))).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        versions,
        [
            (5, Op::Update, some("bo"), some("cy")),
            (3, Op::Update, some("ada"), some("bo")),
            (1, Op::Insert, None, some("ada")),
        ]
    );
    assert_eq!(all.next, None);
    assert!(all.versions.iter().all(|v| v.actor == ACTOR));
    assert_eq!(all.versions[2].before, Image::Nothing);
}

#[test]
fn pages_join_without_a_gap_and_a_strange_place_is_none() {
    let toys = Toys::open();
    for n in 0..7 {
        toys.put(Note::new(note(1), &n.to_string())).unwrap();
    }
    let record = root::<Note>(note(1));
    let whole = page(&toys, &record, None, 100).unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let part = page(&toys, &record, before, 3).unwrap();
        seen.extend(part.versions.iter().map(|v| (v.seq, owner(&v.before), owner(&v.after))));
        match part.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    let all: Vec<_> =
        whole.versions.iter().map(|v| (v.seq, owner(&v.before), owner(&v.after))).collect();
    assert_eq!(seen, all);
    assert_eq!(seen.len(), 7);
    toys.put(Note::new(note(9), "other")).unwrap();
    for strange in [toys.seq(), 0, 999] {
        assert!(page(&toys, &record, Some(strange), 3).is_none(), "{strange}");
    }
}

#[test]
fn a_deleted_record_begins_at_its_delete_and_one_that_came_back_goes_on_through_it() {
    let toys = Toys::open();
    toys.put(Note::new(note(1), "ada")).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    let record = root::<Note>(note(1));
    let gone = page(&toys, &record, None, 10).unwrap();
    let ops: Vec<_> = gone.versions.iter().map(|v| v.op).collect();
    assert_eq!(ops, [Op::Delete, Op::Insert]);
    assert_eq!(gone.versions[0].after, Image::Nothing);
    assert_eq!(owner(&gone.versions[0].before).as_deref(), Some("ada"));
    toys.put(Note::new(note(1), "bo")).unwrap();
    let back = page(&toys, &record, None, 10).unwrap();
    let ops: Vec<_> = back.versions.iter().map(|v| v.op).collect();
    assert_eq!(ops, [Op::Insert, Op::Delete, Op::Insert]);
    assert_eq!(page(&toys, &root::<Note>(note(5)), None, 10).unwrap().versions.len(), 0);
}

#[test]
fn records_that_keep_no_values_tell_what_happened_without_them() {
    let toys = Toys::open();
    toys.put(Sealed { id: id(1), value: "secret one".into() }).unwrap();
    toys.put(Sealed { id: id(1), value: "secret two".into() }).unwrap();
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    toys.put(Line { id: id(1), note: note(1), amount: 1 }).unwrap();
    for (record, count) in
        [(root::<Sealed>(id(1)), 2), (root::<Job>(id(1)), 1), (root::<Line>(id(1)), 1)]
    {
        let history = page(&toys, &record, None, 10).unwrap();
        assert_eq!(history.versions.len(), count);
        assert!(
            history.versions.iter().all(|v| v.after == Image::Untold && v.before.bytes().is_none())
        );
        let text = format!("{history:?}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn the_version_that_an_entry_made_is_found_and_no_other() {
    let toys = Toys::open();
    for owner in ["ada", "bo", "cy"] {
        toys.put(Note::new(note(1), owner)).unwrap();
    }
    let schema = toys.store.schema();
    let at = |seq: u64| {
        let record = root::<Note>(note(1));
        let mut steps = history::Steps::default();
        let found = toys.store.read(|snap| history::at(snap, schema, &record, seq, &mut steps));
        found.expect("it can be read")
    };
    for (seq, before, after) in [(1, None, "ada"), (2, Some("ada"), "bo"), (3, Some("bo"), "cy")] {
        let version = at(seq).expect("it changed the record");
        assert_eq!(owner(&version.before).as_deref(), before);
        assert_eq!(owner(&version.after).as_deref(), Some(after));
    }
    assert!(at(4).is_none() && at(0).is_none());
}

#[test]
fn what_lies_too_many_versions_back_is_not_looked_for() {
    let toys = Toys::open();
    for n in 0..10 {
        toys.put(Note::new(note(1), &format!("{n}"))).unwrap();
    }
    let (record, schema) = (root::<Note>(note(1)), toys.store.schema());
    let mut steps = history::Steps::of(4);
    let found = toys.store.read(|snap| history::at(snap, schema, &record, 2, &mut steps));
    let version = found.expect("it can be read").expect("it changed the record");
    assert_eq!(owner(&version.before).as_deref(), Some("0"));
    assert_eq!(version.after, Image::Far);
    let found = toys.store.read(|snap| history::before(snap, schema, &record, 2));
    assert_eq!(owner(&found.expect("it can be read").expect("an image")).as_deref(), Some("0"));
}

#[test]
fn an_image_that_is_gone_is_said_to_be_gone() {
    let toys = Toys::open();
    for owner in ["ada", "bo", "cy"] {
        toys.put(Note::new(note(1), owner)).unwrap();
    }
    let toys = super::undo::forget_images(toys, 2);
    let history = page(&toys, &root::<Note>(note(1)), None, 10).unwrap();
    assert_eq!(history.versions.len(), 3);
    assert_eq!(history.versions[1].before, Image::Gone);
    assert_eq!(history.versions[2].after, Image::Gone);
    assert_eq!(owner(&history.versions[0].after).as_deref(), Some("cy"));
}

#[test]
fn who_did_it_stands_with_each_version() {
    let toys = Toys::open();
    let other = Actor::System(Part::Timer);
    toys.put(Note::new(note(1), "ada")).unwrap();
    let write = toys.store.write_blocking(other, kernel::Cause::Undo(7), |tx| {
        tx.put(&Note::new(note(1), "bo"))?;
        Ok::<_, StoreError>(())
    });
    write.unwrap();
    let history = page(&toys, &root::<Note>(note(1)), None, 10).unwrap();
    assert_eq!(history.versions[0].actor, other);
    assert_eq!(history.versions[0].cause, kernel::Cause::Undo(7));
    assert_eq!(codec::unwrap(history.versions[0].after.bytes().unwrap()).unwrap().1, 2);
    assert_eq!(KeyBuf::of(&note(1)).into_bytes(), root::<Note>(note(1)).key);
}
