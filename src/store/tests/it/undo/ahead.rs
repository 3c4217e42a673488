//! Tests of an undo that is prepared outside of the writer: it delays nobody, and it is applied only if it is still
//! exact.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kernel::Cause;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, proptest};
use store::undo::{self, After, Ask, Guard, Hold, Plan, Refusal, Unguarded};
use store::{Ahead, Read, Root, StoreError};

use super::super::check;
use super::super::toys::{ACTOR, Folder, Job, Note, Seen, Toys, folder, id, note};
use super::random::{act, commit, fields};
use super::{named, owner};

/// Maximum duration of a write that waits for nobody.
const PATIENCE: Duration = Duration::from_secs(20);

fn ready(toys: &Toys, entries: &[u64]) -> Ahead<Plan> {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
    let schema = toys.store.schema();
    toys.store.ahead(|snap| undo::plan(snap, schema, &ask)).expect("a plan")
}

/// Applies the prepared plan, or a new plan if that is out of date. Returns whether it was the prepared one, and checks
/// that it equals a new plan.
fn carry_out(toys: &Toys, entries: &[u64], ready: Ahead<Plan>) -> bool {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let done = toys.store.write_blocking(ACTOR, Cause::Undo(1), move |tx| {
        let ask = Ask { entries: &entries, only: None, guard: &Unguarded };
        let fresh = undo::plan(tx, tx.schema(), &ask)?;
        let still = tx.still(ready);
        if let Some(plan) = &still {
            let basis = fresh.basis;
            assert_eq!(Plan { basis, ..plan.clone() }, fresh, "what was made ready is out of date");
            assert_eq!(plan.basis.digest, basis.digest);
        }
        tx.undo(still.as_ref().unwrap_or(&fresh))?;
        Ok::<_, StoreError>(still.is_some())
    });
    done.expect("it can be undone")
}

/// A guard that blocks a plan while another thread writes.
struct Slow {
    begun: Sender<()>,
    written: Mutex<Receiver<()>>,
}

impl Guard for Slow {
    fn table(&self, _: u16) -> bool {
        true
    }

    fn work(&self, _: &dyn Read, _: &Root) -> Result<Option<Refusal>, StoreError> {
        Ok(None)
    }

    fn holds(&self, _: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        self.begun.send(()).expect("somebody waits for it");
        let written = self.written.lock().expect("nobody else has it").recv_timeout(PATIENCE);
        written.expect("a write is answered while the plan is made");
        Ok(Vec::new())
    }
}

#[test]
fn nobody_who_writes_waits_while_an_undo_is_made_ready() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    let ((begun, begins), (wrote, written)) = (channel(), channel());
    let slow = Slow { begun, written: Mutex::new(written) };
    let ahead = std::thread::scope(|threads| {
        let plan = threads.spawn(|| {
            let entries = BTreeSet::from([1]);
            let ask = Ask { entries: &entries, only: None, guard: &slow };
            let schema = toys.store.schema();
            toys.store.ahead(|snap| undo::plan(snap, schema, &ask)).expect("a plan")
        });
        begins.recv_timeout(PATIENCE).expect("the plan is being made");
        toys.put(named(2, "meanwhile")).expect("a write");
        wrote.send(()).expect("the plan is still being made");
        plan.join().expect("it ends")
    });
    assert!(carry_out(&toys, &[1], ahead), "what was written has nothing to do with it");
    assert_eq!((owner(&toys, 1), owner(&toys, 2).as_deref()), (None, Some("meanwhile")));
}

/// A write by somebody else: name, whether the prepared undo stays valid, and the write.
type Between = (&'static str, bool, fn(&Toys));

#[test]
fn what_others_wrote_in_between_counts_exactly_where_the_plan_rests_on_it() {
    let slug = |n: u64, slug: &str| Note { slug: Some(slug.into()), ..named(n, "x") };
    let table: &[Between] = &[
        ("nothing", true, |_| {}),
        ("a record of another kind", true, |toys| toys.put(Seen { id: id(1), at: 7 }).unwrap()),
        ("another note", true, |toys| toys.put(named(9, "else")).unwrap()),
        ("the note that goes back", false, |toys| toys.put(named(1, "theirs")).unwrap()),
        ("the note that was made", false, |toys| toys.put(named(2, "theirs")).unwrap()),
        ("the key that would be free", false, |toys| {
            toys.put(Note { slug: Some("plan".into()), ..named(9, "takes it") }).unwrap();
        }),
        ("something that hangs on what was made", false, |toys| {
            toys.put(Job { id: id(5), note: Some(note(2)), open: true }).unwrap();
        }),
        ("something that hangs on another", true, |toys| {
            toys.put(Job { id: id(5), note: Some(note(7)), open: true }).unwrap();
        }),
        ("the folder that it lay in", false, |toys| {
            toys.write(|tx| tx.delete::<Folder>(folder(1))).map(drop).unwrap();
        }),
        ("an undo of the same", false, |toys| {
            super::carry_out(toys, &[4], None);
        }),
    ];
    for (what, expected, between) in table {
        let toys = Toys::open();
        toys.put(Folder { id: folder(1), inside: None }).unwrap();
        toys.put(Note { folder: Some(folder(1)), ..slug(1, "plan") }).unwrap();
        toys.put(named(7, "always here")).unwrap();
        toys.write(move |tx| {
            tx.put(&named(1, "own"))?;
            tx.put(&named(2, "made"))
        })
        .unwrap();
        assert_eq!(toys.seq(), 4);
        let ahead = ready(&toys, &[4]);
        assert_eq!(ahead.get().rows.len(), 2, "{what}");
        between(&toys);
        assert_eq!(carry_out(&toys, &[4], ahead), *expected, "{what}");
        check::all_fits(&toys.store);
    }
}

#[test]
fn a_plan_that_is_out_of_date_would_take_what_others_wrote() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "own")).unwrap();
    let ahead = ready(&toys, &[2]);
    toys.put(named(1, "theirs")).unwrap();
    // Applied without the check: shows why the check is needed.
    toys.write(move |tx| tx.undo(ahead.get())).unwrap();
    assert_eq!(owner(&toys, 1).as_deref(), Some("ada"));
}

#[test]
fn what_was_made_ready_is_for_the_store_that_it_was_made_from() {
    let (toys, others) = (Toys::open(), Toys::open());
    toys.put(named(1, "ada")).unwrap();
    others.put(named(1, "ada")).unwrap();
    let ahead = ready(&toys, &[1]);
    let found = others.write(move |tx| Ok(tx.still(ahead).is_some())).unwrap();
    assert!(!found, "another store may hold anything");
}

#[test]
fn what_was_written_before_in_the_same_commit_counts() {
    let toys = Toys::open();
    toys.put(named(1, "ada")).unwrap();
    toys.put(named(1, "own")).unwrap();
    let ahead = ready(&toys, &[2]);
    // The writer is blocked, so that both following writes join one commit.
    let (open, gate) = channel::<()>();
    let (held, theirs, undone) = std::thread::scope(|threads| {
        let held = threads.spawn(|| {
            toys.write(move |_| Ok(gate.recv_timeout(PATIENCE).is_ok())).expect("it ends")
        });
        let theirs = threads.spawn(|| toys.put(named(1, "theirs")));
        let undone = threads.spawn(|| carry_out(&toys, &[2], ahead));
        open.send(()).expect("the writer waits");
        (held.join().unwrap(), theirs.join().unwrap(), undone.join().unwrap())
    });
    assert!(held && theirs.is_ok());
    // In either order, the change by the other is not lost.
    assert_eq!(owner(&toys, 1).as_deref(), Some("theirs"), "the undo went on: {undone}");
    check::all_fits(&toys.store);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whoever_writes_between_the_plan_and_the_commit_loses_nothing(
        steps in vec((vec(act(), 1..4), 0..4u8), 1..8),
        between in vec(vec(act(), 1..3), 0..3)
    ) {
        let toys = Toys::open();
        let mut last: BTreeMap<(Root, String), bool> = BTreeMap::new();
        let (mut entries, mut now) = (Vec::new(), fields(&toys));
        let mut wrote = |toys: &Toys, acts, own: bool, entries: &mut Vec<u64>| {
            if !commit(toys, acts) {
                return false;
            }
            if own {
                entries.push(toys.seq());
            }
            let after = fields(toys);
            for at in now.keys().chain(after.keys()) {
                if now.get(at) != after.get(at) {
                    last.insert(at.clone(), own);
                }
            }
            now = after;
            true
        };
        for (acts, by) in steps {
            wrote(&toys, acts, by != 0, &mut entries);
        }
        let ahead = ready(&toys, &entries);
        let mut idle = true;
        for acts in between {
            idle &= !wrote(&toys, acts, false, &mut Vec::new());
        }
        // Also checks that a prepared plan that is applied equals a new plan.
        let went_on = carry_out(&toys, &entries, ahead);
        assert!(went_on || !idle, "nobody has written anything");
        check::all_fits(&toys.store);
        let after = fields(&toys);
        for at in now.keys().chain(after.keys()) {
            if now.get(at) != after.get(at) {
                assert_eq!(last.get(at), Some(&true), "{at:?} was written last by another");
            }
        }
    }
}
