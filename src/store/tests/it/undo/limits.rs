//! Tests of the size limits of one undo.

use std::collections::BTreeSet;

use kernel::{Cause, Problem as _};
use store::undo::{self, Ask, Unguarded};
use store::{StoreError, WriteTx};

use super::super::toys::{ACTOR, Job, Note, Toys, id, note};
use super::{carry_out, named, owner, plan_of};

#[test]
fn ten_thousand_changes_go_back_at_once_and_more_are_refused_with_their_number() {
    let toys = Toys::open();
    for piece in 0..2u64 {
        let range = piece * 5_001..(piece + 1) * 5_001;
        toys.write(move |tx| range.into_iter().try_for_each(|n| tx.put(&named(n, "bulk"))))
            .unwrap();
    }
    let entries = BTreeSet::from([1, 2]);
    let schema = toys.store.schema();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let refused = toys.store.read(|snap| undo::plan(snap, schema, &ask)).unwrap_err();
    assert_eq!(refused.code(), "too_many");
    assert!(refused.to_string().contains("10002"), "{refused}");
    toys.write(|tx| tx.delete::<Note>(note(0)).map(|_| ())).unwrap();
    toys.write(|tx| tx.delete::<Note>(note(5_001)).map(|_| ())).unwrap();
    let plan = toys
        .store
        .write_blocking(ACTOR, Cause::Undo(2), move |tx| {
            let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
            let plan = undo::plan(tx, tx.schema(), &ask)?;
            tx.undo(&plan)?;
            Ok::<_, StoreError>(plan)
        })
        .unwrap();
    assert_eq!(plan.rows.len(), 10_000);
    assert_eq!(toys.get::<Note>(note(77)), None);
}

#[test]
fn a_rehearsal_counts_what_goes_along_and_changes_nothing() {
    let toys = Toys::open();
    toys.write(|tx| (0..9_998).try_for_each(|n| tx.put(&named(n, "bulk")))).unwrap();
    let jobs = |from: u64| {
        toys.write(move |tx| {
            (from..from + 2)
                .try_for_each(|n| tx.put(&Job { id: id(n), note: Some(note(n)), open: true }))
        })
        .unwrap();
    };
    let size = |entries: &[u64]| {
        let plan = plan_of(&toys, entries, None);
        assert_eq!(plan.rows.len(), 9_998);
        let who = (ACTOR, Cause::Undo(1));
        let body = |tx: &mut WriteTx<'_>| tx.undo(&plan);
        toys.store.read(|snap| toys.store.rehearse(snap, who, body)).unwrap()
    };
    jobs(1);
    let exact = size(&[1, 2]);
    assert_eq!((exact.records, exact.check().is_ok()), (10_000, true), "jobs go with their notes");
    jobs(3);
    let seq = toys.seq();
    let more = size(&[1, 2, 3]);
    assert_eq!(more.records, 10_002);
    let refused = more.check().unwrap_err().to_string();
    assert!(refused.contains("10002") && refused.contains("10000"), "{refused}");
    assert_eq!((toys.seq(), owner(&toys, 5).as_deref()), (seq, Some("bulk")), "it is dropped");
    carry_out(&toys, &[1, 2], None);
}
