//! A message said once more, in other words or in the same: the conversation goes on from there in a
//! branch, and what came of the message before stays readable. One that nobody has read is changed where
//! it stands.

use crate::runs::model::{Branch, BranchWhy, Context, Input, InputState};
use crate::runs::queries::versions;
use kernel::{AccountId, InputId};
use store::{ReadExt, WriteTx};

use super::life::RunSpec;
use super::{NewInput, RunError, Sent, queue, retry, talk};

/// A message that is said once more.
#[derive(Clone, Debug)]
pub struct Resend {
    pub message: InputId,
    /// Other words; without them the same ones.
    pub text: Option<String>,
    /// What the model is told of what it did after the message; often nothing.
    pub note: String,
}

fn theirs(tx: &WriteTx<'_>, id: InputId, by: AccountId) -> Result<Input, RunError> {
    let input = tx.get::<Input>(id)?.filter(|input| input.by.account() == Some(by));
    input.ok_or_else(|| RunError::NotFound(format!("of message {id}")))
}

/// Says a message of this person's once more that was read in a conversation which goes on now, their own
/// or a shared one. It takes its files along.
///
/// # Errors
/// `Unread` when nobody has read it, `Former` when its conversation does not go on, `Busy` while a run
/// works there, `NotFound` when it is not this person's, and as [`queue()`].
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
    let said = NewInput {
        trigger: input.trigger,
        model: input.model,
        attached: input.attached,
        thinking: input.thinking,
        fast: input.fast,
        ..NewInput::chat(new.text.unwrap_or(input.text))
    };
    let sent = queue(tx, session.id, said)?;
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

/// Changes the words of a message that nobody has read.
///
/// # Errors
/// `Consumed` when it was read, `NotFound` when it is not this person's, and when the text is empty or too
/// long.
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
    // The run that was made for it is called by its words.
    if let Some(mut run) = run.filter(|run| run.title == before) {
        run.title = RunSpec::for_input(&input).title;
        tx.put(&run)?;
    }
    Ok(())
}
