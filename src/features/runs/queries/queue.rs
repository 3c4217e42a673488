//! What waits in a session, and what counts there.

use crate::runs::model::{
    ChosenBy, INPUT_KEPT, INPUT_OPEN, Input, InputState, QueueChoice, QueueOf, QueueRequest,
    Queueing, Session,
};
use kernel::key::KeyBuf;
use kernel::{AgentId, DropPolicy, QueueMode, RunId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use web::parts::Choice;

use super::words;

/// How many dropped messages are shown.
const KEPT: usize = 20;

/// The open inputs of a session, oldest first.
pub fn open_inputs(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let mut all = held(tx, session)?;
    all.retain(Input::is_open);
    Ok(all)
}

/// Messages of which the next turn hears in one line, oldest first.
pub fn overflowed(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let mut all = held(tx, session)?;
    all.retain(|input| input.state == InputState::Overflowed);
    Ok(all)
}

fn held(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    tx.scan(INPUT_OPEN, &Range::prefix(KeyBuf::of(&session)))
}

/// What a run reads at its next look: what it was made for, and who steers it.
pub fn heard(tx: &dyn Read, session: SessionId, run: RunId) -> Result<Vec<Input>, StoreError> {
    let mut all = open_inputs(tx, session)?;
    all.retain(|input| match input.state {
        InputState::Assigned(to) => to == run,
        _ => input.mode == QueueMode::Steer,
    });
    Ok(all)
}

/// Messages of a session that were dropped and can be brought back, oldest first: those that the
/// next turn still hears of, too.
pub fn dropped(tx: &dyn Read, session: SessionId) -> Result<Vec<Input>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&session)).reverse().limit(KEPT);
    let mut all: Vec<Input> = tx.scan(INPUT_KEPT, &range)?;
    all.reverse();
    all.extend(overflowed(tx, session)?);
    all.sort_by_key(|input| input.id);
    Ok(all)
}

/// What was chosen for something alone.
pub fn chosen(tx: &dyn Read, of: QueueOf) -> Result<QueueRequest, StoreError> {
    Ok(tx.get::<QueueChoice>(of)?.map(|choice| choice.wish).unwrap_or_default())
}

/// What counts in a session.
pub fn of_session(tx: &dyn Read, session: &Session) -> Result<Queueing, StoreError> {
    let own = chosen(tx, QueueOf::Session(session.id))?;
    let mut wishes = vec![(ChosenBy::Session, own)];
    wishes.extend(above(tx, session.agent)?);
    Ok(Queueing::of(&wishes))
}

/// What counts in the sessions of an agent that say nothing else.
pub fn of_agent(tx: &dyn Read, agent: AgentId) -> Result<Queueing, StoreError> {
    Ok(Queueing::of(&above(tx, agent)?))
}

/// What counts where nobody chose otherwise.
pub fn of_workspace(tx: &dyn Read) -> Result<Queueing, StoreError> {
    Ok(Queueing::of(&[(ChosenBy::Workspace, chosen(tx, QueueOf::Workspace)?)]))
}

fn above(tx: &dyn Read, agent: AgentId) -> Result<[(ChosenBy, QueueRequest); 2], StoreError> {
    Ok([
        (ChosenBy::Agent, chosen(tx, QueueOf::Agent(agent))?),
        (ChosenBy::Workspace, chosen(tx, QueueOf::Workspace)?),
    ])
}

/// The fields with which people choose.
pub struct Fields {
    /// What a message does.
    pub mode: Vec<Choice>,
    /// The pause, in milliseconds; empty for what is usual.
    pub debounce: String,
    /// How many may wait; empty for what is usual.
    pub cap: String,
    /// What goes when there are more.
    pub drop: Vec<Choice>,
    /// What counts where a field is empty: pause and number.
    pub usual: (String, String),
}

/// The fields for something alone, with what counts above it.
pub fn fields(tx: &dyn Read, of: QueueOf) -> Result<Fields, StoreError> {
    let own = chosen(tx, of)?;
    let usual = match of {
        QueueOf::Workspace => Queueing::of(&[]),
        QueueOf::Agent(_) | QueueOf::Session(_) => of_workspace(tx)?,
    };
    let first = |label: &str| Choice::new("", format!("As usual: {label}"), false);
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
    })
}
