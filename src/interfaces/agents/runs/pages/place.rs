//! Selects the conversation that a page shows or a form concerns, and its address.

use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Input, Session};
use features::runs::queries::{self, talk};
use kernel::{InputId, SessionId};
use store::{Read, ReadExt, StoreError};
use web::session::Person;

use super::display::Look;

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Place {
    /// A conversation by id, including archived ones.
    #[serde(default)]
    pub session: String,
    /// The current conversation with the same key as this one.
    #[serde(default)]
    pub talk: String,
    /// Only events before this one.
    pub before: Option<u32>,
    /// The message being edited.
    pub edit: Option<InputId>,
}

impl Place {
    /// The current conversation with the same key; the person's own if `None`.
    pub fn of(talk: Option<SessionId>) -> Self {
        Self { talk: talk.map(|id| id.to_string()).unwrap_or_default(), ..Self::default() }
    }
}

/// Query parameters of a form about a conversation.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Spot {
    /// A current conversation; the person's own if `None`.
    pub talk: Option<SessionId>,
}

/// The address of a current conversation.
pub(super) fn address(ws: &Ws, slug: &str, talk: Option<SessionId>) -> String {
    let behind = talk.map(|id| format!("?talk={id}")).unwrap_or_default();
    ws.url(&format!("agents/{slug}/chat{behind}"))
}

/// Appends a query parameter to an address.
pub(super) fn with(address: &str, more: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{more}")
}

/// The displayed conversation.
pub(super) struct Shown {
    /// `None` if the person's own conversation has not started.
    pub session: Option<Session>,
    /// The person's own conversation.
    pub mine: Option<Session>,
    /// Whether it is current and this person may write in it.
    pub open: bool,
    /// The query that selects it.
    pub at: String,
}

/// Finds the conversation; `None` if it does not exist or the person may not see it.
pub(super) fn shown(
    tx: &dyn Read,
    who: &Person,
    agent: &Agent,
    place: &Place,
) -> Result<Option<Shown>, StoreError> {
    let key = talk::own_key(tx, agent, who.account, who.role)?;
    let mine = queries::session_by_key(tx, &key)?;
    let id = if place.talk.is_empty() { &place.session } else { &place.talk };
    if id.is_empty() {
        return Ok(Some(Shown { session: mine.clone(), mine, open: true, at: String::new() }));
    }
    let found = match id.parse::<SessionId>() {
        Ok(id) => tx.get::<Session>(id)?,
        Err(_) => None,
    };
    let seen = |s: &Session| s.agent == agent.id && talk::may_see(s, who.account, who.role);
    let Some(found) = found.filter(seen) else { return Ok(None) };
    let now = talk::goes_on(tx, &found, who.account)?;
    let now = now.filter(|now| !place.talk.is_empty() || now.id == found.id);
    let (session, open) = match now {
        Some(now) => (now, true),
        None => (found, false),
    };
    let at = match open {
        true if mine.as_ref().is_some_and(|mine| mine.id == session.id) => String::new(),
        true => format!("?talk={}", session.id),
        false => format!("?session={}", session.id),
    };
    Ok(Some(Shown { session: Some(session), mine, open, at }))
}

/// The conversation of a message; `None` for the person's own.
pub(super) fn talk_of(
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    input: InputId,
) -> Result<Option<SessionId>, StoreError> {
    ws.read(|snap| {
        let Some(input) = snap.get::<Input>(input)? else { return Ok(None) };
        let own = talk::own_key(snap, agent, who.account, who.role)?;
        let session = snap.get::<Session>(input.session)?;
        Ok(session.filter(|session| session.key != own).map(|session| session.id))
    })
}

/// The kind of conversation that a run works in, and its address.
pub(super) fn of_run(
    tx: &dyn Read,
    look: &Look<'_>,
    session: &Session,
) -> Result<(&'static str, String), StoreError> {
    let about = match session.owner {
        _ if session.task.is_some() => "Task session",
        Some(_) if session.shared => "shared",
        Some(owner) if owner == look.me => "Your conversation",
        Some(_) => "Another person’s conversation",
        None => "Agent session",
    };
    let agent = tx.get::<Agent>(session.agent)?;
    let href = agent.map(|agent| address(look.ws, &agent.slug, Some(session.id)));
    Ok((about, href.unwrap_or_default()))
}
