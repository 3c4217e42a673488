//! Agents that can be asked a search query.

use kernel::Can;
use store::{Read, StoreError};
use web::parts::Face;
use web::session::Person;

use crate::agents::queries::{self as agents, Called};
use app::Ws;

pub struct AskableAgent {
    pub face: Face,
    /// URL to send a message to.
    pub action: String,
}

/// A question and the agents that can be asked.
pub struct Asking {
    /// Message text.
    pub body: String,
    /// By name.
    pub agents: Vec<AskableAgent>,
}

/// Agents that can be asked the query. Empty for an empty query or if this person may not talk to agents.
pub fn of(
    ws: &Ws,
    read: &dyn Read,
    who: &Person,
    words: &str,
) -> Result<Option<Asking>, StoreError> {
    let words = words.trim();
    if words.is_empty() || !who.access.may(Can::Chat) {
        return Ok(None);
    }
    let all = agents::all(&read)?;
    let called = Called::among(&all);
    let askable = |agent: &crate::agents::model::Agent| AskableAgent {
        face: called.face(agent),
        action: ws.url(&format!("agents/{}/chat", agent.slug)),
    };
    let agents: Vec<AskableAgent> = all.iter().map(askable).collect();
    let body = match words.ends_with('?') {
        true => words.to_owned(),
        false => format!("What do we know about “{words}”?"),
    };
    Ok((!agents.is_empty()).then_some(Asking { body, agents }))
}
