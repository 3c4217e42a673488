//! The destination of the engine's writes: the primary's store, each in its own transaction, or on a host the link.

use std::sync::Arc;

use parking_lot::Mutex;

use app::Ws;
use features::runs::rules::RunError;
use kernel::{Actor, Cause};
use store::WriteTx;

use super::EngineError;
use super::command::tool::Ready;
use super::command::{self, Applied, CommandHeader, Entry, Order};
use super::remote;

/// An entry on its way. It is taken when it is applied; an entry that the fence rejects stays for its writer.
pub(crate) type Handed<E> = Arc<Mutex<Option<E>>>;

/// Accepts the engine's writes. A write is durable once it is answered.
pub(crate) trait Port {
    /// Writes an entry of a run. `tool` is the change of the workspace tool that it names.
    fn enter<E: Entry>(
        &self,
        by: (Actor, Cause),
        hand: CommandHeader,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> impl Future<Output = Result<Applied<E::Answer>, EngineError>> + Send;

    /// Applies an order.
    fn order<O: Order>(
        &self,
        by: (Actor, Cause),
        order: O,
    ) -> impl Future<Output = Result<O::Answer, O::Error>> + Send;
}

impl Port for Ws {
    async fn enter<E: Entry>(
        &self,
        (actor, cause): (Actor, Cause),
        hand: CommandHeader,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> Result<Applied<E::Answer>, EngineError> {
        if let Some(up) = &self.upstream {
            return remote::enter((self, &**up), (actor, cause), hand, entry).await;
        }
        let entry = Arc::clone(entry);
        let write =
            move |tx: &mut WriteTx<'_>| command::write(tx, hand, || entry.lock().take(), tool);
        let noted = self.store.write(actor, cause, write).await?;
        // Nothing is sent twice locally, so another writer owns this run now.
        noted.ok_or(EngineError::Run(RunError::Fenced))
    }

    async fn order<O: Order>(
        &self,
        (actor, cause): (Actor, Cause),
        order: O,
    ) -> Result<O::Answer, O::Error> {
        if let Some(up) = &self.upstream {
            return remote::order((self, &**up), (actor, cause), order).await;
        }
        self.store.write(actor, cause, move |tx| order.carry_out(tx)).await
    }
}
