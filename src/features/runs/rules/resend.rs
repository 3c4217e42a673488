//! Edits and resends messages. A message that was read continues the conversation in a branch; the old version stays
//! readable. An unread message is changed in place.

use crate::runs::model::{Branch, BranchWhy, Context, Input, InputState};
use crate::runs::queries::{grants, versions};
use kernel::{AccountId, InputId};
use store::{ReadExt, WriteTx};

use super::life::RunSpec;
use super::{NewInput, RunError, Sent, queue, retry, talk};

/// Request to resend a message.
#[derive(Clone, Debug)]
pub struct Resend {
    pub message: InputId,
    /// The new text; `None` repeats the old one.
    pub text: Option<String>,
    /// Note for the model about what it did after the message; often empty.
    pub note: String,
}

fn theirs(tx: &WriteTx<'_>, id: InputId, by: AccountId) -> Result<Input, RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))
}

/// Resends, with its files, the person's message that was read in a current conversation, their own or a shared one.
///
/// # Errors
/// `Unread` if no run has read it, `Former` if its conversation is not current, `Busy` while a run works there,
/// `NotFound` if it is not the person's, and as [`queue()`].
pub fn resend(tx: &mut WriteTx<'_>, new: Resend, by: AccountId) -> Result<Sent, RunError> {
    let input = theirs(tx, new.message, by)?;
    if !matches!(input.state, InputState::Consumed(_)) {
        return Err(RunError::Unread);
    }
    let Some(read) = versions::read_in(tx, &input)? else { return Err(RunError::Former) };
    let versions::ReadIn { session: parent, event, run: of } = read;
    if parent.owner.is_none() || !parent.admits(by) {
        return Err(RunError::NoSession(parent.id));
    }
    if parent.active_run.is_some() {
        return Err(RunError::Busy);
    }
    let shared = versions::owner_of(tx, parent.id, event)?;
    let (mut session, replaced) = retry::open(tx, &parent, BranchWhy::Edit)?;
    session.events = event;
    session.loaded_tools.clone_from(&parent.loaded_tools);
    session.name.clone_from(&parent.name);
    (session.model, session.thinking) = (parent.model.clone(), parent.thinking);
    session.lasting = parent.lasting;
    let context = retry::context_at(tx, &parent, event)?;
    tx.put(&Context { session: session.id, ..context })?;
    tx.put(&session)?;
    let message = NewInput {
        trigger: input.trigger,
        model: input.model,
        attached: input.attached,
        thinking: input.thinking,
        fast: input.fast,
        grant: grants::of_input(tx, input.id)?,
        ..NewInput::chat(new.text.unwrap_or(input.text))
    };
    let sent = queue(tx, session.id, message)?;
    tx.put(&Branch {
        session: session.id,
        parent: shared,
        upto: event,
        why: BranchWhy::Edit,
        of,
        step: None,
        run: sent.run,
        thinking: None,
        note: new.note,
        by: tx.by(),
        at: tx.now(),
    })?;
    if let Some(replaced) = replaced {
        super::queue::bring_over(tx, &replaced, &session)?;
    }
    Ok(sent)
}

/// Changes the text of an unread message.
///
/// # Errors
/// `Consumed` if it was read, `NotFound` if it is not the person's, and if the text is empty or too long.
pub fn amend(tx: &mut WriteTx<'_>, id: InputId, by: AccountId, text: &str) -> Result<(), RunError> {
    let mut input = theirs(tx, id, by)?;
    let run = match input.state {
        InputState::Accepted => None,
        InputState::Assigned(run) => Some(talk::not_begun(tx, run)?),
        InputState::Consumed(_)
        | InputState::Cancelled
        | InputState::Dropped(_)
        | InputState::Overflowed => return Err(RunError::Consumed),
    };
    let files = input.attached.clone();
    let before = RunSpec::for_input(&input).title;
    input.text = NewInput { attached: files, ..NewInput::chat(text) }.words()?;
    tx.put(&input)?;
    // The title of the run comes from the message.
    if let Some(mut run) = run.filter(|run| run.title == before) {
        run.title = RunSpec::for_input(&input).title;
        tx.put(&run)?;
    }
    Ok(())
}
