//! A write that is only measured: it runs on a snapshot, with everything that reacts to it, and is
//! dropped. The writer knows nothing of it.

use kernel::{Actor, Cause};

use super::Store;
use super::batch::Snap;
use super::error::StoreError;
use super::read::Read as _;
use super::tx::{Context, MAX_CHANGES, MAX_EVENTS, WriteTx};

/// How much a transaction does, with what reacts to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The records that it touches.
    pub records: usize,
    /// What it tells.
    pub events: usize,
}

impl Size {
    /// Refuses what is more than one transaction may do.
    ///
    /// # Errors
    /// `TooMany`.
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
    /// How much a write would do if it ran now. Changes nothing.
    ///
    /// # Errors
    /// What the body answers, what a reaction refuses, or what the store says.
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
