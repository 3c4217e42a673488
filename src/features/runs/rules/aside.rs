//! Side questions: answered from the conversation so far, without tools. The conversation stays unchanged, even while
//! a run works in it.

use crate::runs::model::{Branch, BranchWhy, Context, Session};
use crate::runs::queries;
use kernel::{AccountId, SessionId};
use store::{ReadExt, WriteTx};

use super::{NewInput, RunError, Sent, queue, retry};

/// Number of last events searched for their run.
const LAST: usize = 200;

/// Asks a side question in the person's conversation. Question and answer are deleted after a day.
///
/// # Errors
/// `Silent` if the conversation has no messages, `NoSession` if it is not the person's, and as [`queue()`].
pub fn ask(
    tx: &mut WriteTx<'_>,
    id: SessionId,
    by: AccountId,
    text: String,
) -> Result<Sent, RunError> {
    let parent = tx.get::<Session>(id)?.filter(|session| session.owner == Some(by));
    let parent = parent.ok_or(RunError::NoSession(id))?;
    let mut last = queries::last_events(tx, id, LAST)?.into_iter().rev();
    let of = parent.active_run.or_else(|| last.find_map(|event| event.run));
    let of = of.filter(|_| 0 < parent.events).ok_or(RunError::Silent)?;
    let upto = parent.events;
    let (mut session, _) = retry::open(tx, &parent, BranchWhy::Aside)?;
    (session.events, session.shared) = (upto, false);
    session.loaded_tools.clone_from(&parent.loaded_tools);
    (session.model, session.thinking) = (parent.model.clone(), parent.thinking);
    let context = retry::context_at(tx, &parent, upto)?;
    tx.put(&Context { session: session.id, ..context })?;
    tx.put(&session)?;
    let sent = queue(tx, session.id, NewInput::chat(text))?;
    tx.put(&Branch {
        session: session.id,
        parent: parent.id,
        upto,
        why: BranchWhy::Aside,
        of,
        step: None,
        run: sent.run,
        thinking: None,
        note: String::new(),
        by: tx.by(),
        at: tx.now(),
    })?;
    Ok(sent)
}
