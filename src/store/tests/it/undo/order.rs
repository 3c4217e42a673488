//! Tests that undo leaves the store consistent: unique keys, references, hierarchies.

use store::undo::Why;

use super::super::toys::{Folder, Note, Toys, folder, note};
use super::{named, undo_all};

#[test]
fn a_unique_key_that_another_took_keeps_the_row_where_it_is() {
    let toys = Toys::open();
    let with = |n: u64, slug: Option<&str>| Note { slug: slug.map(Into::into), ..named(n, "x") };
    toys.put(with(1, Some("a"))).unwrap();
    toys.put(with(1, None)).unwrap();
    toys.put(with(2, Some("a"))).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert_eq!(plan.kept[0].why, Why::Taken { index: "note_by_slug" });
    assert_eq!(toys.get::<Note>(note(1)).unwrap().slug, None);
}

#[test]
fn keys_that_were_exchanged_are_exchanged_back() {
    let toys = Toys::open();
    let with = |n: u64, slug: Option<&str>| Note { slug: slug.map(Into::into), ..named(n, "x") };
    toys.put(with(1, Some("a"))).unwrap();
    toys.put(with(2, Some("b"))).unwrap();
    let (one, two) = (with(1, Some("b")), with(2, Some("a")));
    toys.write(move |tx| {
        tx.put(&Note { slug: None, ..one.clone() })?;
        tx.put(&two)?;
        tx.put(&one)
    })
    .unwrap();
    undo_all(&toys, &[3]);
    assert_eq!(toys.get::<Note>(note(1)).unwrap().slug.as_deref(), Some("a"));
    assert_eq!(toys.get::<Note>(note(2)).unwrap().slug.as_deref(), Some("b"));
}

#[test]
fn a_row_whose_target_is_gone_stays_and_takes_along_what_needs_it() {
    let toys = Toys::open();
    toys.put(Folder { id: folder(1), inside: None }).unwrap();
    toys.put(Note { folder: Some(folder(1)), ..named(1, "in") }).unwrap();
    toys.put(Note { guard: Some(note(1)), ..named(2, "guards") }).unwrap();
    toys.write(|tx| {
        tx.delete::<Note>(note(2))?;
        tx.delete::<Note>(note(1)).map(|_| ())
    })
    .unwrap();
    let deleted = toys.seq();
    toys.write(|tx| tx.delete::<Folder>(folder(1))).unwrap();
    let plan = undo_all(&toys, &[deleted]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    let why: Vec<_> = plan.kept.iter().map(|k| k.why.clone()).collect();
    assert_eq!(why, [Why::MissingTarget { table: 110 }, Why::MissingTarget { table: 100 }]);
}

#[test]
fn nothing_comes_to_stand_below_itself() {
    let toys = Toys::open();
    let put = |n: u64, inside: Option<u64>| {
        toys.put(Folder { id: folder(n), inside: inside.map(folder) }).unwrap();
    };
    put(1, None);
    put(2, Some(1));
    put(2, None);
    put(1, Some(2));
    let plan = undo_all(&toys, &[3]);
    assert_eq!(plan.kept[0].why, Why::Cycle);
    assert_eq!(toys.get::<Folder>(folder(2)).unwrap().inside, None);
}
