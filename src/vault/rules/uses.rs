//! Recording of uses, for the runtime.

use serde::{Deserialize, Serialize};

use kernel::key::KeyBuf;
use kernel::{AgentId, RowAct, RunId, TaskId};
use store::{Range, ReadExt as _, StoreError, WriteTx};

use crate::cards::USE;
use crate::model::{Secret, SecretId, USES_BY_RUN, Use, Way};

/// A use of one version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub secret: SecretId,
    /// Version of the value.
    pub version: u32,
    pub run: RunId,
    pub agent: AgentId,
    pub task: Option<TaskId>,
    pub way: Way,
    /// Host that the value was sent to; empty for a program.
    pub host: String,
}

/// Records a use. Feed and audit get the first use per secret and run. Uses of deleted secrets are ignored.
pub fn used(tx: &mut WriteTx<'_>, one: Used) -> Result<(), StoreError> {
    let now = tx.now();
    let mut of_run = KeyBuf::new();
    of_run.part(one.run).part(one.secret);
    let of_secret = of_run.clone();
    of_run.part(one.version).u8(one.way as u8).text(&one.host);
    if let Some(same) = tx.find::<Use>(USES_BY_RUN, &of_run)? {
        let count = same.count.saturating_add(1);
        tx.put(&Use { last_at: now, count, ..same })?;
        return Ok(());
    }
    let Used { secret, version, run, agent, task, way, host } = one;
    let Some(Secret { key, .. }) = tx.get(secret)? else { return Ok(()) };
    let before = tx.len(USES_BY_RUN, &Range::prefix(of_secret).limit(1))?;
    let (id, first_at, last_at, count) = (tx.new_id(), now, now, 1);
    tx.put(&Use {
        id,
        secret,
        key,
        version,
        run,
        agent,
        task,
        way,
        host,
        first_at,
        last_at,
        count,
    })?;
    if before == 0 {
        tx.emit(USE.event(&id, RowAct::Created));
    }
    Ok(())
}
