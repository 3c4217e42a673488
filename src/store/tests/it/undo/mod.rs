//! Undo tests: own changes are reverted, later changes by others stay, and the store stays consistent.

mod ahead; // plans prepared outside of the writer
mod basis; // the basis of a plan
mod checks; // cases that only one check detects
mod fields; // whole records and single fields: last writer wins
mod holds; // parts of a row that must stay
mod limits; // the size of one undo
mod merge; // one record written by own entries and others in turn
mod moment; // returning a whole store to a point in time
mod order; // unique keys, references, hierarchies
mod random; // property tests
mod rules; // what the requester may not do

use std::collections::BTreeSet;

use kernel::Cause;
use store::undo::{self, Ask, Plan, Unguarded};
use store::{Root, StoreError};

use super::check;
use super::toys::{ACTOR, Note, Toys, note};

/// Removes the images of an entry, like retention.
pub fn forget_images(toys: Toys, seq: u64) -> Toys {
    let path = toys.path();
    toys.store.close();
    let db = redb::Database::open(path).expect("nobody else has it");
    let txn = db.begin_write().expect("a transaction");
    {
        let feed = redb::TableDefinition::<&[u8], &[u8]>::new("t0001");
        let mut feed = txn.open_table(feed).expect("the feed");
        for part in 1..=100u16 {
            let key = [&seq.to_be_bytes()[..], &part.to_be_bytes()].concat();
            feed.remove(&*key).expect("it goes");
        }
    }
    txn.commit().expect("a commit");
    drop(db);
    toys.reopen()
}

pub fn plan_of(toys: &Toys, entries: &[u64], only: Option<&Root>) -> Plan {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let schema = toys.store.schema();
    let ask = Ask { entries: &entries, only, guard: &Unguarded };
    toys.store.read(|snap| undo::plan(snap, schema, &ask)).expect("a plan")
}

/// Undoes entries and returns the plan that was applied.
pub fn undo_all(toys: &Toys, entries: &[u64]) -> Plan {
    undo_only(toys, entries, None)
}

pub fn undo_only(toys: &Toys, entries: &[u64], only: Option<Root>) -> Plan {
    let plan = carry_out(toys, entries, only);
    check::all_fits(&toys.store);
    plan
}

pub fn carry_out(toys: &Toys, entries: &[u64], only: Option<Root>) -> Plan {
    let entries: BTreeSet<u64> = entries.iter().copied().collect();
    let of = entries.last().copied().unwrap_or_default();
    let done = toys.store.write_blocking(ACTOR, Cause::Undo(of), move |tx| {
        let ask = Ask { entries: &entries, only: only.as_ref(), guard: &Unguarded };
        let plan = undo::plan(tx, tx.schema(), &ask)?;
        tx.undo(&plan)?;
        Ok::<_, StoreError>(plan)
    });
    done.expect("it can be undone")
}

pub fn owner(toys: &Toys, n: u64) -> Option<String> {
    toys.get::<Note>(note(n)).map(|note| note.owner)
}

pub fn root(n: u64) -> Root {
    Root::of::<Note>(note(n))
}

pub fn named(n: u64, owner: &str) -> Note {
    Note::new(note(n), owner)
}
