//! Dry run of a write, to measure it: runs on a snapshot with all reactions and is discarded. Does not involve the
//! writer.

use kernel::{Actor, Cause};

use super::Store;
use super::batch::Snap;
use super::error::StoreError;
use super::read::Read as _;
use super::tx::{Context, MAX_CHANGES, MAX_EVENTS, WriteTx};

/// Size of a transaction, including its reactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of changed records.
    pub records: usize,
    /// Number of emitted events.
    pub events: usize,
}

impl Size {
    /// Checks the size against the limits of one transaction.
    ///
    /// # Errors
    /// `TooMany` when a limit is exceeded.
    pub fn check(self) -> Result<(), StoreError> {
        for (count, limit) in [(self.records, MAX_CHANGES), (self.events, MAX_EVENTS)] {
            if limit < count {
                return Err(StoreError::TooMany { count, limit });
            }
        }
        Ok(())
    }
}

impl Store {
    /// Measures what a write would do now. Changes nothing.
    ///
    /// # Errors
    /// The error of the body or of a reaction, or an error of the store.
    pub fn rehearse<E: From<StoreError>>(
        &self,
        snap: &Snap<'_>,
        (actor, cause): (Actor, Cause),
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), E>,
    ) -> Result<Size, E> {
        let shared = &self.shared;
        let context = Context {
            actor,
            cause,
            now: shared.clock.now(),
            seq: snap.last_seq()? + 1,
            ids: &*shared.ids,
            schema: &shared.schema,
            reactor: shared.reactor.as_deref(),
            condemned: shared.condemned.get().map(|list| &**list),
            trails: &shared.trails,
            turn: shared.limits.turn,
            unbounded: true,
        };
        let mut tx = WriteTx::new(snap, context);
        body(&mut tx)?;
        let set = tx.finish()?;
        let is_record = |table| shared.schema.class(table).is_some();
        Ok(Size { records: set.rows.count(is_record), events: set.events.len() })
    }
}
