//! Which conversation with an agent a page shows or a form is about, and its address.

use serde::Deserialize;

use app::Ws;
use features::agents::model::Agent;
use features::runs::model::{Input, Session};
use features::runs::queries::{self, talk};
use kernel::{InputId, SessionId};
use store::{Read, ReadExt, StoreError};
use web::session::Person;

use super::display::Look;

/// What the address says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Place {
    /// A conversation as it is, also a former one.
    #[serde(default)]
    pub session: String,
    /// The conversation that goes on now where this one stood.
    #[serde(default)]
    pub talk: String,
    /// Only what was said before this event.
    pub before: Option<u32>,
    /// The message whose words are being changed.
    pub edit: Option<InputId>,
}

impl Place {
    /// The conversation that goes on where this one stands; without one, one's own.
    pub fn of(talk: Option<SessionId>) -> Self {
        Self { talk: talk.map(|id| id.to_string()).unwrap_or_default(), ..Self::default() }
    }
}

/// What a form about a conversation says behind its address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Spot {
    /// A conversation that goes on; without it, one's own is meant.
    pub talk: Option<SessionId>,
}

/// The address of a conversation that goes on.
pub(super) fn address(ws: &Ws, slug: &str, talk: Option<SessionId>) -> String {
    let behind = talk.map(|id| format!("?talk={id}")).unwrap_or_default();
    ws.url(&format!("agents/{slug}/chat{behind}"))
}

/// An address with something more behind it.
pub(super) fn with(address: &str, more: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{more}")
}

/// The conversation that a page shows.
pub(super) struct Shown {
    /// It; one's own may not have begun.
    pub session: Option<Session>,
    /// One's own.
    pub mine: Option<Session>,
    /// Whether it goes on and this person may speak in it.
    pub open: bool,
    /// What stands behind the address of the chat to come here.
    pub at: String,
}

/// Finds it; nothing when it is not there for this person.
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

/// The conversation in which a message was said; none for one's own.
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

/// Whose conversation a run works in, and where it is read.
pub(super) fn of_run(
    tx: &dyn Read,
    look: &Look<'_>,
    session: &Session,
) -> Result<(&'static str, String), StoreError> {
    let about = match session.owner {
        _ if session.task.is_some() => "of this task",
        Some(_) if session.shared => "shared",
        Some(owner) if owner == look.me => "your own",
        Some(_) => "of another person",
        None => "of the agent",
    };
    let agent = tx.get::<Agent>(session.agent)?;
    let href = agent.map(|agent| address(look.ws, &agent.slug, Some(session.id)));
    Ok((about, href.unwrap_or_default()))
}
