//! Tests of the basis of a plan: plans that do different things have different bases.

use store::undo::Basis;

use super::super::toys::{Folder, Job, Note, Toys, folder, id, note};
use super::{named, plan_of};

#[test]
fn plans_that_do_not_do_the_same_have_not_the_same_basis() {
    let toys = Toys::open();
    toys.put(named(1, "made")).unwrap();
    toys.put(named(2, "made")).unwrap();
    toys.put(Folder { id: folder(1), inside: None }).unwrap();
    toys.put(named(3, "ada")).unwrap();
    toys.put(named(3, "bo")).unwrap();
    toys.put(named(3, "cy")).unwrap();
    let basis = |entries: &[u64]| {
        let plan = plan_of(&toys, entries, None);
        assert_eq!((plan.rows.len(), plan.kept.len()), (1, 0), "{entries:?}");
        plan.basis.digest
    };
    assert_ne!(basis(&[1]), basis(&[2]), "another record is taken away");
    assert_ne!(basis(&[1]), basis(&[3]), "and one of another kind, with the same key");
    assert_ne!(basis(&[6]), basis(&[5, 6]), "one goes back to something else");
    assert_eq!(basis(&[1]), basis(&[1]));
}

#[test]
fn what_goes_along_is_part_of_the_basis() {
    let toys = Toys::open();
    toys.write(|tx| {
        tx.put(&named(1, "made"))?;
        tx.put(&Job { id: id(1), note: Some(note(1)), open: true })
    })
    .unwrap();
    let with = plan_of(&toys, &[1], None);
    toys.write(|tx| tx.delete::<Job>(id(1))).unwrap();
    let without = plan_of(&toys, &[1], None);
    assert_eq!((with.rows[0].takes.len(), without.rows[0].takes.len()), (1, 0));
    assert_eq!(with.rows[0].to, without.rows[0].to);
    assert_ne!(with.basis.digest, without.basis.digest, "the job is gone already");
    assert!(toys.get::<Note>(note(1)).is_some());
}

#[test]
fn what_is_done_besides_counts_part_by_part() {
    let basis = Basis { seq: 7, digest: [1; 8] };
    let and = |basis: Basis, parts: &[&str]| {
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        basis.and(&parts).digest
    };
    assert_eq!(basis.and(&[]).seq, 7);
    assert_ne!(and(basis, &["ab", "c"]), and(basis, &["a", "bc"]), "where a part ends counts");
    let other = Basis { digest: [2; 8], ..basis };
    assert_ne!(and(basis, &["ab"]), and(other, &["ab"]), "and so does the plan itself");
}
