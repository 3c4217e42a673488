//! Tests that whole records and single fields are reverted, and that later changes by others stay and are reported.

use std::collections::BTreeMap;

use kernel::TaskId;
use store::undo::{FieldWhy, Why};

use super::super::toys::{Job, Line, Note, Sealed, Toys, id, note};
use super::{carry_out, forget_images, named, owner, plan_of, root, undo_all};

#[test]
fn what_nobody_touched_since_goes_back_whole_and_forward_again() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(3, "gone soon")).unwrap();
    toys.write(|tx| {
        tx.put(&Note { size: 9, slug: Some("plan".into()), ..named(1, "bo") })?;
        tx.put(&named(2, "new"))?;
        tx.delete::<Note>(note(3)).map(|_| ())
    })
    .unwrap();
    let done = toys.seq();
    undo_all(&toys, &[done]);
    assert_eq!(toys.get::<Note>(note(1)), Some(named(1, "ada")));
    assert_eq!(owner(&toys, 2), None);
    assert_eq!(owner(&toys, 3).as_deref(), Some("gone soon"));
    undo_all(&toys, &[done + 1]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("bo"));
    assert_eq!(owner(&toys, 2).as_deref(), Some("new"));
    assert_eq!(owner(&toys, 3), None);
    assert!(undo_all(&toys, &[done]).rows.is_empty() || owner(&toys, 2).is_none());
}

#[test]
fn a_preview_changes_nothing_and_has_the_basis_of_what_is_done() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    let seq = toys.seq();
    let seen = plan_of(&toys, &[2], None);
    assert_eq!((toys.seq(), owner(&toys, 1).as_deref()), (seq, Some("bo")));
    toys.put(named(7, "elsewhere")).unwrap();
    let done = undo_all(&toys, &[2]);
    assert_eq!(seen.basis.digest, done.basis.digest, "the same would happen");
    assert_eq!((seen.basis.seq, done.basis.seq), (2, 3));
}

#[test]
fn fields_that_others_wrote_since_stay_and_are_told_with_their_author() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(Note { size: 5, labels: vec![1], ..named(1, "bo") }).unwrap();
    toys.put(Note { size: 5, labels: vec![1], ..named(1, "cy") }).unwrap();
    let plan = undo_all(&toys, &[2]);
    let note = toys.get::<Note>(note(1)).unwrap();
    assert_eq!((note.owner.as_str(), note.size, note.labels), ("cy", 1, Vec::new()));
    let [kept] = &plan.rows[0].kept[..] else { panic!("one field: {:?}", plan.rows[0].kept) };
    assert_eq!(kept.name, "owner");
    assert!(matches!(kept.why, FieldWhy::Changed(by) if by.seq == 3));
}

#[test]
fn a_value_that_another_wrote_again_is_theirs_even_when_it_is_the_same() {
    let toys = Toys::open();
    for owner in ["ada", "bo", "cy", "bo"] {
        toys.put(named(1, owner)).unwrap();
    }
    let plan = undo_all(&toys, &[2]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("bo"));
    assert!(plan.rows.is_empty());
    assert!(matches!(&plan.kept[0].why, Why::Changed(by) if by.seq == 4), "{:?}", plan.kept);
}

#[test]
fn what_a_run_wrote_over_others_goes_back_to_what_they_had_written() {
    let toys = Toys::open();
    for owner in ["ada", "own", "theirs", "own again"] {
        toys.put(named(1, owner)).unwrap();
    }
    let plan = undo_all(&toys, &[2, 4]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("theirs"));
    assert!(plan.rows[0].kept.is_empty(), "nobody wrote it since: {:?}", plan.rows[0].kept);
}

#[test]
fn made_records_that_others_changed_or_refer_to_are_kept_and_told() {
    let toys = Toys::open();
    toys.write(|tx| {
        (1..=4).try_for_each(|n| tx.put(&named(n, "made")))?;
        tx.put(&Job { id: id(1), note: Some(note(4)), open: true })
    })
    .unwrap();
    toys.put(named(1, "changed")).unwrap();
    toys.put(Note { parent: Some(note(2)), ..named(9, "refers") }).unwrap();
    let plan = undo_all(&toys, &[1]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("changed"));
    assert_eq!(owner(&toys, 2).as_deref(), Some("made"));
    assert_eq!((owner(&toys, 3), owner(&toys, 4)), (None, None));
    assert_eq!(toys.get::<Job>(id(1)), None, "work that was made for it goes with it");
    let why: BTreeMap<_, _> = plan.kept.iter().map(|k| (k.record.clone(), &k.why)).collect();
    assert!(matches!(why[&root(1)], Why::Changed(_)));
    assert_eq!(*why[&root(2)], Why::Referenced { by: root(9) });
    assert_eq!(plan.made.len(), 1);
}

#[test]
fn a_record_that_others_deleted_stays_deleted() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.rows.is_empty());
    assert!(matches!(&plan.kept[0].why, Why::Deleted(by) if by.seq == 3));
}

#[test]
fn values_that_are_gone_are_told_and_do_not_fail_the_rest() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "bo")).unwrap();
    toys.put(named(2, "x")).unwrap();
    let toys = forget_images(toys, 2);
    let plan = carry_out(&toys, &[2, 3], None);
    assert_eq!(plan.kept[0].why, Why::Gone);
    assert_eq!((owner(&toys, 1).as_deref(), owner(&toys, 2)), (Some("bo"), None));
}

#[test]
fn what_happened_happened() {
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&Line { id: id(1), note: note(1), amount: 5 })?;
        tx.put(&Sealed { id: id(1), value: "one".into() })?;
        tx.put(&named(1, "ada"))
    })
    .unwrap();
    let plan = undo_all(&toys, &[1]);
    assert_eq!(owner(&toys, 1), None);
    assert!(toys.get::<Line>(id(1)).is_some() && toys.get::<Sealed>(id(1)).is_some());
    let stays: Vec<_> = plan.stays.iter().map(|s| (s.table, s.count)).collect();
    assert_eq!(stays, [(120, 1), (130, 1)]);
    assert!(plan.made.is_empty(), "only work may be taken back: {:?}", plan.made);
}

#[test]
fn a_note_that_is_undone_twice_by_two_people_goes_back_once() {
    let toys = Toys::open();
    let made: TaskId = note(1);
    toys.put(Note::new(made, "ada")).unwrap();
    undo_all(&toys, &[1]);
    let second = undo_all(&toys, &[1]);
    assert!(second.rows.is_empty());
    assert!(matches!(second.kept[0].why, Why::Deleted(_)));
}
