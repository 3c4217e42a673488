//! Undo: what own entries did goes back, what others wrote since stays, and nothing breaks.

mod ahead; // made ready outside of the writer, while others write
mod basis; // what a plan stands on
mod checks; // what only one check of a plan keeps apart
mod fields; // whole records and single fields: who wrote last
mod holds; // what must stay of a row, and what is left of it then
mod limits; // how much one undo takes
mod merge; // one record that own entries and others wrote in turns
mod moment; // a whole store back to a moment
mod order; // unique keys, references, nothing below itself
mod random; // whatever happens
mod rules; // what who undoes may not do

use std::collections::BTreeSet;

use kernel::Cause;
use store::undo::{self, Ask, Plan, Unguarded};
use store::{Root, StoreError};

use super::check;
use super::toys::{ACTOR, Note, Toys, note};

/// Takes the images of an entry away, as retention will.
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

/// Undoes entries and gives the plan that was carried out.
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
