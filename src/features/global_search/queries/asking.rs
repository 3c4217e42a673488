//! The agents that can be asked what somebody looks for.

use kernel::Can;
use store::{Read, StoreError};
use web::parts::Face;
use web::session::Person;

use crate::agents::queries::{self as agents, Called};
use app::Ws;

/// An agent that can be asked.
pub struct AskableAgent {
    /// Its face and name.
    pub face: Face,
    /// Where a message to it is sent.
    pub action: String,
}

/// A question, and who can be asked it.
pub struct Asking {
    /// The message.
    pub body: String,
    /// The agents, by name.
    pub agents: Vec<AskableAgent>,
}

/// Who can be asked what somebody looks for: nobody when nothing is looked for, or this person may not speak with agents.
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
    let asked = |agent: &crate::agents::model::Agent| AskableAgent {
        face: called.face(agent),
        action: ws.url(&format!("agents/{}/chat", agent.slug)),
    };
    let agents: Vec<AskableAgent> = all.iter().map(asked).collect();
    let body = match words.ends_with('?') {
        true => words.to_owned(),
        false => format!("What do we know about “{words}”?"),
    };
    Ok((!agents.is_empty()).then_some(Asking { body, agents }))
}
