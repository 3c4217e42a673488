//! Tests of returning a whole store to a point in time.

use kernel::Cause;
use kernel::time::Clock as _;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use store::undo::moment::{BackError, go_back, go_back_by};

use super::super::check;
use super::super::toys::{ACTOR, Job, Line, Note, Sealed, Toys, id, note};
use super::random::{act, commit, tracked};
use super::{forget_images, named, owner};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_goes_back_to_a_moment_has_every_tracked_row_as_it_was_then(
        steps in vec(vec(act(), 1..5), 1..10), pick in any::<proptest::sample::Index>()
    ) {
        let toys = Toys::open();
        let mut moments = vec![(toys.clock.now(), tracked(&toys))];
        for acts in steps {
            toys.clock.advance_ms(10);
            commit(&toys, acts);
            moments.push((toys.clock.now(), tracked(&toys)));
        }
        let (at, then) = &moments[pick.index(moments.len())];
        let back = go_back(&toys.store, *at, (ACTOR, Cause::Undo(0))).expect("it goes back");
        assert!(back.left.is_empty(), "{back:?}");
        assert_eq!(tracked(&toys), *then);
        check::all_fits(&toys.store);
    }
}

#[test]
fn a_store_goes_back_over_more_changes_than_one_transaction_takes() {
    let toys = Toys::open();
    let fill = |owner: &'static str, range: std::ops::Range<u64>| {
        toys.clock.advance_ms(10);
        toys.write(move |tx| range.into_iter().try_for_each(|n| tx.put(&named(n, owner)))).unwrap();
    };
    fill("first", 0..2_000);
    fill("second", 1_000..3_000);
    let (at, then) = (toys.clock.now(), tracked(&toys));
    for owner in ["third", "fourth", "fifth"] {
        fill(owner, 500..4_500);
    }
    let back = go_back(&toys.store, at, (ACTOR, Cause::Undo(0))).expect("it goes back");
    assert_eq!((back.to, back.entries), (2, 3));
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!(tracked(&toys), then);
}

#[test]
fn a_store_does_not_go_back_over_values_that_are_gone() {
    let toys = Toys::open();
    toys.put(named(1, "then")).unwrap();
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(named(1, "now")).unwrap();
    let toys = forget_images(toys, 2);
    let refused = go_back(&toys.store, at, (ACTOR, Cause::Undo(0))).expect_err("it is not known");
    assert!(matches!(refused, BackError::Gone { table: "note", count: 1 }), "{refused}");
    assert_eq!(owner(&toys, 1).as_deref(), Some("now"));
}

#[test]
fn a_moment_that_was_there_twice_is_refused() {
    let toys = Toys::open();
    let before = toys.clock.now();
    toys.clock.advance_ms(3 * 3_600_000);
    toys.put(named(1, "by a clock that ran ahead")).unwrap();
    toys.clock.advance_ms(-2 * 3_600_000);
    let toys = toys.reopen();
    toys.put(named(2, "by one that was set back")).unwrap();
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(named(3, "later")).unwrap();
    let refused = go_back(&toys.store, at, (ACTOR, Cause::Undo(0))).expect_err("which of the two");
    assert!(matches!(refused, BackError::Twice { seq: 1 }), "{refused}");
    assert!(owner(&toys, 3).is_some());
    let back =
        go_back(&toys.store, before, (ACTOR, Cause::Undo(0))).expect("before both it is clear");
    assert_eq!((back.to, owner(&toys, 1)), (0, None));
}

#[test]
fn what_something_older_stands_in_the_way_of_goes_back_with_that() {
    let toys = Toys::open();
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    toys.write(|tx| {
        tx.put(&named(9, "else"))?;
        tx.put(&Line { id: id(1), note: note(9), amount: 5 })?;
        tx.put(&Sealed { id: id(1), value: "one".into() })
    })
    .unwrap();
    toys.put(named(5, "first")).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(5))).unwrap();
    toys.put(named(5, "second")).unwrap();
    toys.put(Job { id: id(1), note: Some(note(5)), open: true }).unwrap();
    // The job's former state is not stored, so it refers to the note until it is deleted itself.
    let back = go_back_by(&toys.store, at, (ACTOR, Cause::Restore), 1).expect("it goes back");
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!((back.entries, back.records, back.removed), (6, 3, 3));
    assert_eq!((owner(&toys, 5), owner(&toys, 9)), (None, None));
    assert!(toys.get::<Job>(id(1)).is_none());
    assert!(toys.get::<Line>(id(1)).is_none() && toys.get::<Sealed>(id(1)).is_none());
    assert_eq!(toys.seq(), 9, "a transaction for each slice that changed something");
    check::all_fits(&toys.store);
}

#[test]
fn what_is_left_of_a_slice_goes_back_to_before_the_first_of_its_entries() {
    let toys = Toys::open();
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    toys.put(named(5, "first")).unwrap();
    toys.put(named(5, "second")).unwrap();
    toys.put(Job { id: id(1), note: Some(note(5)), open: true }).unwrap();
    let back = go_back_by(&toys.store, at, (ACTOR, Cause::Restore), 3).expect("it goes back");
    assert!(back.left.is_empty(), "{back:?}");
    assert_eq!((owner(&toys, 5), toys.get::<Job>(id(1))), (None, None));
    check::all_fits(&toys.store);
}

#[test]
fn what_does_not_go_back_to_a_moment_is_counted_by_kind() {
    let toys = Toys::open();
    toys.put(Job { id: id(1), note: None, open: true }).unwrap();
    let at = toys.clock.now();
    toys.clock.advance_ms(10);
    toys.put(named(5, "made since")).unwrap();
    toys.put(Job { id: id(1), note: Some(note(5)), open: true }).unwrap();
    let back = go_back(&toys.store, at, (ACTOR, Cause::Restore)).expect("it goes back");
    assert_eq!(back.left.into_iter().collect::<Vec<_>>(), [("job", 1), ("note", 1)]);
    assert_eq!(
        owner(&toys, 5).as_deref(),
        Some("made since"),
        "the job that was there refers to it"
    );
    check::all_fits(&toys.store);
}
