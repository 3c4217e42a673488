//! Queued messages of a session, and the effective queue options.

use crate::runs::model::{
    ChosenBy, INPUT_KEPT, INPUT_OPEN, Input, InputState, QueueChoice, QueueOf, QueueRequest,
    Queueing, Session,
};
use kernel::key::KeyBuf;
use kernel::{AgentId, DropPolicy, QueueMode, RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use web::form::rev_of;
use web::parts::Choice;

use super::words;

/// Maximum number of dropped messages shown.
const KEPT: usize = 20;

/// The open inputs of a session, oldest first.
pub fn open_inputs(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let mut all = held(tx, session)?;
    all.retain(Input::is_open);
    Ok(all)
}

/// Dropped messages still to be summarized for the next turn, oldest first.
pub fn overflowed(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let mut all = held(tx, session)?;
    all.retain(|input| input.state == InputState::Overflowed);
    Ok(all)
}

fn held(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    tx.scan(INPUT_OPEN, &Range::prefix(KeyBuf::of(&session)))
}

/// The messages that a run reads next: those assigned to it and those that steer it.
pub fn heard(tx: &dyn Read, session: SessionId, run: RunId) -> Result<Vec<Input>, StoreError> {
    let mut all = open_inputs(tx, session)?;
    all.retain(|input| match input.state {
        InputState::Assigned(to) => to == run,
        _ => input.mode == QueueMode::Steer,
    });
    Ok(all)
}

/// Restorable dropped messages of a session, oldest first, including those still to be summarized.
pub fn dropped(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(KEPT);
    let mut all: Vec<Input> = tx.scan(INPUT_KEPT, &range)?;
    all.reverse();
    all.extend(overflowed(tx, session)?);
    all.sort_by_key(|input| input.id);
    Ok(all)
}

/// The options chosen at one level.
pub fn chosen(tx: &dyn Read, of: QueueOf) -> Result<QueueRequest, StoreError> {
    Ok(tx.get::<QueueChoice>(of)?.map(|choice| choice.wish).unwrap_or_default())
}

/// Effective options of a session.
pub fn of_session(tx: &dyn Read, session: &Session) -> Result<Queueing, StoreError> {
    let own = chosen(tx, QueueOf::Session(session.id))?;
    let mut wishes = vec![(ChosenBy::Session, own)];
    wishes.extend(above(tx, session.agent)?);
    Ok(Queueing::of(&wishes))
}

/// Effective options of an agent's sessions.
pub fn of_agent(tx: &dyn Read, agent: AgentId) -> Result<Queueing, StoreError> {
    Ok(Queueing::of(&above(tx, agent)?))
}

/// Effective options of the workspace.
pub fn of_workspace(tx: &dyn Read) -> Result<Queueing, StoreError> {
    Ok(Queueing::of(&[(ChosenBy::Workspace, chosen(tx, QueueOf::Workspace)?)]))
}

fn above(tx: &dyn Read, agent: AgentId) -> Result<[(ChosenBy, QueueRequest); 2], StoreError> {
    Ok([
        (ChosenBy::Agent, chosen(tx, QueueOf::Agent(agent))?),
        (ChosenBy::Workspace, chosen(tx, QueueOf::Workspace)?),
    ])
}

/// Fields of the queue form.
pub struct Fields {
    pub mode: Vec<Choice>,
    /// Milliseconds; empty for the inherited value.
    pub debounce: String,
    /// Empty for the inherited value.
    pub cap: String,
    pub drop: Vec<Choice>,
    /// Inherited debounce and cap.
    pub usual: (String, String),
    /// Revision of the options.
    pub rev: String,
}

/// The fields for one level, with the inherited values.
pub fn fields(tx: &dyn Read, of: QueueOf) -> Result<Fields, StoreError> {
    let own = chosen(tx, of)?;
    let usual = match of {
        QueueOf::Workspace => Queueing::of(&[]),
        QueueOf::Agent(_) | QueueOf::Session(_) => of_workspace(tx)?,
    };
    let first = |label: &str| Choice::new("", format!("Default: {label}"), false);
    let mut mode = vec![first(words::mode(usual.mode))];
    let modes = QueueMode::ALL.iter();
    mode.extend(
        modes.map(|one| Choice::new(one.word(), words::mode(*one), own.mode == Some(*one))),
    );
    let mut drop = vec![first(usual.drop.label())];
    let drops = DropPolicy::ALL.iter();
    drop.extend(drops.map(|one| Choice::new(one.word(), one.label(), own.drop == Some(*one))));
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    Ok(Fields {
        mode,
        debounce: number(own.debounce_ms),
        cap: number(own.cap),
        drop,
        usual: (usual.debounce.as_millis().to_string(), usual.cap.to_string()),
        rev: rev_of::<QueueChoice>(tx, of)?,
    })
}
