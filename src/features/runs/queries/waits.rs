//! Why a run waits, in one sentence, the same on every page and in the API.

use crate::agents::model::Agent;
use crate::runs::model::Run;
use kernel::{AgentStatus, RunState};
use store::{Read, StoreError};

use super::{branches, halt, live_of_agent, park, words};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// One sentence.
    pub text: String,
    /// Page path in the workspace, with its button label.
    pub door: Option<(String, &'static str)>,
    /// Action path in the workspace, with its button label.
    pub deed: Option<(String, &'static str)>,
}

impl Why {
    fn says(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// Why a run waits; `None` if the run works or has ended.
pub fn of(tx: &dyn Read, run: &Run, agent: Option<&Agent>) -> Result<Option<Why>, StoreError> {
    if run.state != RunState::Queued {
        let Some((text, door)) = words::waits(run) else { return Ok(None) };
        let waits = park::timer_of(tx, run)?.is_some();
        let browser = park::browser_of(tx, run)?.map(|path| (path, "Open browser"));
        let page = park::sign_in_of(tx, run)?.and_then(|park| park.asked?.url);
        let own = browser.or(page.map(|path| (path, "Sign in")));
        return Ok(Some(Why {
            text,
            door: own.or(door.map(|(path, label)| (path.to_owned(), label))),
            deed: waits.then(|| (format!("runs/{}/go-on", run.name()), "Continue now")),
        }));
    }
    let Some(agent) = agent else {
        return Ok(Some(Why::says("The agent no longer exists.")));
    };
    let held = halt::held(tx, agent)?;
    let page = format!("agents/{}", agent.slug);
    Ok(Some(match held {
        Some("workspace_paused") => Why {
            door: Some(("pause".to_owned(), "Open")),
            ..Why::says("All work is paused. The run continues when work is resumed.")
        },
        Some("agent_paused") => Why {
            deed: (agent.status == AgentStatus::Paused)
                .then(|| (format!("{page}/resume"), "Resume")),
            ..Why::says(format!("{} is paused. The run continues when it’s resumed.", agent.name))
        },
        Some(_) => Why {
            door: Some((page, "Open the agent")),
            ..Why::says(format!("{} can’t work right now. See its page.", agent.name))
        },
        None => Why::says(turn(tx, run, agent)?),
    }))
}

/// What a queued run of an available agent waits for.
fn turn(tx: &dyn Read, run: &Run, agent: &Agent) -> Result<String, StoreError> {
    if let Some(held) = branches::held(tx, run)? {
        return Ok(held.describe());
    }
    let works = |other: &&Run| other.id != run.id && other.item.is_some() && other.is_at_work();
    let live = live_of_agent(tx, agent.id)?;
    Ok(match live.iter().find(works).filter(|_| run.item.is_some()) {
        Some(other) => {
            format!("{} is working on {}. This run is next.", agent.name, other.name())
        }
        None => "Waiting for a free slot. It starts automatically.".to_owned(),
    })
}
