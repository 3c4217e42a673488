//! The notice above the chat's text field.

use askama::Template;

use features::agents::model::{AGENTS, Agent};
use features::agents::queries::elsewhere::Elsewhere;
use features::runs::model::HALTS;
use kernel::AgentStatus;
use web::live::Live;
use web::sse::HOSTS;

use super::display::Look;

#[derive(Template)]
#[template(path = "chat/_note.html")]
pub(super) struct Note {
    live: Live,
    /// Tone and icon.
    look: (&'static str, &'static str),
    pub(super) text: String,
    resume: Option<String>,
    /// The run that waits for its machine.
    run: Option<String>,
}

/// Reasons for a notice.
pub(super) struct Why {
    /// Why the agent does not read the message at once.
    pub held: Option<&'static str>,
    /// Whether the message starts a new conversation.
    pub over: bool,
    /// Whether this is the person's first message to an agent that others use too.
    pub first: bool,
    /// The agent's machine, if it is silent.
    pub silent: Option<Elsewhere>,
    /// Name of the agent's machine, if it is linked but paused.
    pub paused: Option<String>,
    /// The run that waits for that machine.
    pub run: Option<String>,
}

/// Why a message is not read at once, with the remedy. Before the first message, also who shares the agent's memory.
pub(super) fn note(look: &Look<'_>, agent: &Agent, here: &str, why: &Why) -> Note {
    let (name, held) = (look.called(agent), why.held);
    let resume = look.ws.url(&format!("agents/{}/resume", agent.slug));
    let (text, resume) = match (held, &why.silent, &why.paused) {
        (None, None, Some(label)) => {
            let text = format!(
                "{name} works on {label}, which is paused. Your messages are read when it’s \
                 resumed."
            );
            (text, None)
        }
        (None, Some(place), _) => {
            let place = place.silent(look.now, &look.zone);
            let text = format!(
                "{name} works on {place}. Your messages are read when that machine is back."
            );
            (text, None)
        }
        (held, ..) => describe(&name, agent, (held, resume), why),
    };
    debug_assert!(resume.is_none() || agent.status == AgentStatus::Paused);
    let live = Live::new(here).record(AGENTS.name, agent.id).table(HALTS.name).table(HOSTS);
    let look = match held {
        None if why.silent.is_some() || why.paused.is_some() => ("warn", "clock"),
        None if why.over => ("info", "plus"),
        None => ("info", "users"),
        Some(_) => ("warn", "pause"),
    };
    Note { live, look, text, resume, run: why.run.clone() }
}

/// The text of the notice, and the address that resumes a paused agent.
fn describe(
    name: &str,
    agent: &Agent,
    (held, resume): (Option<&'static str>, String),
    why: &Why,
) -> (String, Option<String>) {
    match held {
        None if why.over => ("Your next message starts a new conversation.".to_owned(), None),
        None if why.first => (
            format!(
                "Your conversation is private, but {name}’s memory is shared with everyone who \
                 uses it."
            ),
            None,
        ),
        None => (String::new(), None),
        Some("workspace_paused") => {
            ("All work is paused. Your messages are read when work resumes.".to_owned(), None)
        }
        Some("agent_paused") => {
            (format!("{name} is paused. Your messages are read when it’s resumed."), Some(resume))
        }
        Some("agent_archived") => (format!("{name} is archived and can’t read messages."), None),
        Some("agent_provisioning") => {
            (format!("{name} is being set up and will read this soon."), None)
        }
        Some(_) => {
            let reason = agent.status_reason.as_deref().unwrap_or("see its page");
            (format!("{name} can’t work right now: {reason}"), None)
        }
    }
}
