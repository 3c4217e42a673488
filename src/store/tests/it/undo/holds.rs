//! Tests of guard holds: which parts of a row must stay, and what is left to revert.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::undo::{self, After, Ask, FieldWhy, Guard, Hold, Plan, Refusal, Why};
use store::{Read, Root, StoreError, record};

use super::super::toys::{Probe, Toys, id};

/// Maximum number of calls of a guard for one small plan.
const PATIENCE: usize = 9;

/// Holds fields of probes while the resulting state breaks a rule.
struct Holds {
    fields: &'static [&'static str],
    breaks: fn(Option<Probe>, Option<Probe>) -> bool,
    calls: AtomicUsize,
}

impl Holds {
    fn new(
        fields: &'static [&'static str],
        breaks: fn(Option<Probe>, Option<Probe>) -> bool,
    ) -> Self {
        Self { fields, breaks, calls: AtomicUsize::new(0) }
    }
}

fn refusal() -> Refusal {
    Refusal { code: "fixed", why: "it is fixed".to_owned() }
}

impl Guard for Holds {
    fn table(&self, _: u16) -> bool {
        true
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(None)
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        if PATIENCE < self.calls.fetch_add(1, Ordering::Relaxed) {
            return Err(StoreError::Stale);
        }
        let probe = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map(|bytes| record::read::<Probe>(bytes).expect("a probe").0)
        };
        let mut holds = Vec::new();
        for row in after.rows() {
            // The guard sees both the future and the current state.
            let Root { table, key } = &row.record;
            assert_eq!(after.raw_get(*table, key)?, row.to);
            assert_eq!(after.now().raw_get(*table, key)?, row.now);
            if (self.breaks)(probe(&row.now), probe(&row.to)) {
                let record = row.record.clone();
                holds.push(Hold { record, fields: self.fields, refusal: refusal() });
            }
        }
        Ok(holds)
    }
}

fn plan_of(toys: &Toys, entry: u64, guard: &Holds) -> Plan {
    let entries = BTreeSet::from([entry]);
    let ask = Ask { entries: &entries, only: None, guard };
    let plan = toys.store.read(|snap| undo::plan(snap, toys.store.schema(), &ask));
    assert!(0 < guard.calls.load(Ordering::Relaxed), "the guard was asked");
    plan.expect("what it holds leaves the plan")
}

/// Checks that the guard keeps a plan from changing anything.
fn stays(plan: &Plan) {
    assert!(plan.rows.is_empty(), "{:?}", plan.rows);
    assert_eq!(plan.kept.len(), 1);
    assert_eq!(plan.kept[0].why, Why::Refused(refusal()));
}

#[test]
fn what_only_tells_of_a_change_does_not_go_back_when_the_change_stays() {
    let toys = Toys::open();
    toys.put(Probe::new(1, "ada")).unwrap();
    toys.put(Probe { updated_at: 2, ..Probe::new(1, "own") }).unwrap();
    let name = Holds::new(&["name"], |now, to| now.map(|one| one.name) != to.map(|one| one.name));
    stays(&plan_of(&toys, 2, &name));
}

#[test]
fn a_row_whose_held_fields_are_not_what_changes_stays_whole() {
    let toys = Toys::open();
    toys.put(Probe::new(1, "ada")).unwrap();
    toys.put(Probe::new(1, "own")).unwrap();
    stays(&plan_of(&toys, 2, &Holds::new(&["level"], |_, _| true)));
}

#[test]
fn of_a_record_that_comes_back_what_is_held_stays_empty_and_nothing_else() {
    let toys = Toys::open();
    toys.put(Probe { low: Some(1), high: Some(2), ..Probe::new(1, "ada") }).unwrap();
    toys.write(|tx| tx.delete::<Probe>(id(1))).unwrap();
    let low = Holds::new(&["low"], |_, to| to.is_some_and(|to| to.low.is_some()));
    let plan = plan_of(&toys, 2, &low);
    assert!(plan.kept.is_empty(), "{:?}", plan.kept);
    let to = record::read::<Probe>(plan.rows[0].to.as_deref().unwrap()).unwrap().0;
    assert_eq!((to.name.as_str(), to.low, to.high), ("ada", None, Some(2)));
    let [kept] = &plan.rows[0].kept[..] else { panic!("{:?}", plan.rows[0].kept) };
    assert_eq!((kept.name.as_str(), &kept.why), ("low", &FieldWhy::Refused(refusal())));
}

#[test]
fn a_record_that_cannot_be_without_what_is_held_does_not_come_back() {
    let toys = Toys::open();
    toys.put(Probe::new(1, "ada")).unwrap();
    toys.write(|tx| tx.delete::<Probe>(id(1))).unwrap();
    stays(&plan_of(&toys, 2, &Holds::new(&["name"], |now, to| now.is_none() && to.is_some())));
}

#[test]
fn a_record_of_which_a_field_is_held_is_not_taken_away() {
    let toys = Toys::open();
    toys.put(Probe::new(1, "made")).unwrap();
    stays(&plan_of(&toys, 1, &Holds::new(&["name"], |_, to| to.is_none())));
}
