//! Tests of one record written by own entries and others in turn: who owns the result, and what is still known.

use store::undo::Why;

use super::super::toys::{Note, Probe, Toys, id, note, tamper};
use super::{carry_out, forget_images, named, owner, plan_of, root, undo_all};

/// A note with these owners in turn, one entry each.
fn owned(owners: &[&str]) -> Toys {
    let toys = Toys::open();
    for owner in owners {
        toys.put(named(1, owner)).unwrap();
    }
    toys
}

#[test]
fn what_own_entries_wrote_one_after_the_other_goes_back_to_before_the_first() {
    let toys = owned(&["ada", "own", "own again"]);
    let plan = undo_all(&toys, &[2, 3]);
    assert_eq!(owner(&toys, 1).as_deref(), Some("ada"));
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
}

#[test]
fn what_is_already_as_it_would_be_is_no_part_of_a_plan() {
    let toys = owned(&["ada", "own", "ada"]);
    let plan = plan_of(&toys, &[2, 3], None);
    assert!(plan.rows.is_empty() && plan.kept.is_empty(), "{plan:?}");
}

#[test]
fn what_its_fields_do_not_tell_is_not_made_of_them() {
    let toys = Toys::open();
    toys.put(Probe::new(1, "ada")).unwrap();
    toys.put(Probe::new(1, "own")).unwrap();
    toys.put(Probe { level: Some(f64::NAN), ..Probe::new(1, "own") }).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert_eq!(plan.kept[0].why, Why::Unmergeable);
    let now = toys.get::<Probe>(id(1)).unwrap();
    assert_eq!((now.name.as_str(), now.level.map(f64::is_nan)), ("own", Some(true)));
}

#[test]
fn what_cannot_be_made_of_its_fields_at_all_is_told() {
    let toys = Toys::open();
    toys.put(Probe { rate: f64::NAN, ..Probe::new(1, "ada") }).unwrap();
    toys.put(Probe::new(1, "ada")).unwrap();
    toys.put(Probe::new(1, "theirs")).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert_eq!(plan.kept[0].why, Why::Unmergeable);
}

#[test]
fn what_others_deleted_and_made_anew_is_theirs() {
    let toys = owned(&["ada", "own"]);
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    toys.put(named(1, "theirs")).unwrap();
    let plan = undo_all(&toys, &[2]);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert!(matches!(&plan.kept[0].why, Why::Changed(by) if by.seq == 4), "{:?}", plan.kept);
    assert_eq!(owner(&toys, 1).as_deref(), Some("theirs"));
}

#[test]
fn what_an_own_entry_made_again_after_others_had_deleted_it_goes_again() {
    let toys = owned(&["ada", "own"]);
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    toys.put(named(1, "own again")).unwrap();
    let plan = undo_all(&toys, &[2, 4]);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    assert_eq!(owner(&toys, 1), None);
}

#[test]
fn of_all_who_changed_a_record_since_the_last_is_told() {
    let toys = owned(&["ada"]);
    for (owner, slug) in [("own", "own"), ("own", "theirs"), ("theirs", "theirs")] {
        toys.put(Note { slug: Some(slug.to_owned()), ..named(1, owner) }).unwrap();
    }
    let plan = undo_all(&toys, &[2]);
    let kept = &plan.kept[0];
    assert!(matches!(&kept.why, Why::Changed(by) if by.seq == 4), "{:?}", kept.why);
    assert_eq!(kept.fields.iter().map(|field| &field.name).collect::<Vec<_>>(), ["owner", "slug"]);
}

#[test]
fn own_values_that_are_gone_in_the_middle_are_not_needed() {
    let toys = owned(&["ada", "own", "own again"]);
    toys.put(Note { size: 9, ..named(1, "own again") }).unwrap();
    let toys = forget_images(toys, 3);
    let plan = carry_out(&toys, &[2, 3], None);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    let now = toys.get::<Note>(note(1)).unwrap();
    assert_eq!((now.owner.as_str(), now.size), ("ada", 9));
}

#[test]
fn a_record_of_which_nothing_leads_back_to_the_entry_is_told() {
    let toys = owned(&["ada"]);
    toys.write(|tx| tx.delete::<Note>(note(1))).unwrap();
    // The tombstone of the deletion.
    let key = [&100u16.to_be_bytes()[..], &root(1).key].concat();
    let toys = tamper(toys, |_| vec![("t0005", key, None)]);
    let plan = plan_of(&toys, &[2], None);
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert_eq!(plan.kept[0].why, Why::Gone);
}
