//! Where the engine's writes go: to the store of home, in a transaction of their own, and from a host over its line.

use std::sync::Arc;

use parking_lot::Mutex;

use app::Ws;
use features::runs::rules::RunError;
use kernel::{Actor, Cause};
use store::WriteTx;

use super::EngineError;
use super::command::tool::Ready;
use super::command::{self, Entry, Hand, Noted, Order};
use super::remote;

/// An entry on its way. Who applies it takes it out; what the fence refuses stays for who wrote it.
pub(crate) type Handed<E> = Arc<Mutex<Option<E>>>;

/// Takes the engine's writes. What was answered is on disk.
pub(crate) trait Port {
    /// Writes an entry with the pen of its run. `tool` is the change of the workspace tool that it names.
    fn enter<E: Entry>(
        &self,
        by: (Actor, Cause),
        hand: Hand,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> impl Future<Output = Result<Noted<E::Answer>, EngineError>> + Send;

    /// Carries an order out.
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
        hand: Hand,
        entry: &Handed<E>,
        tool: Option<Ready>,
    ) -> Result<Noted<E::Answer>, EngineError> {
        if let Some(up) = &self.upstream {
            return remote::enter((self, &**up), (actor, cause), hand, entry).await;
        }
        let entry = Arc::clone(entry);
        let write =
            move |tx: &mut WriteTx<'_>| command::write(tx, hand, || entry.lock().take(), tool);
        let noted = self.store.write(actor, cause, write).await?;
        // Nobody here sends anything twice: somebody else writes this run now.
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
