//! Initial values of an agent's settings form. Fields that the person left unchanged do not overwrite concurrent
//! changes.

use features::agents::model::Agent;
use features::agents::rules::{self, AgentError, Changes, ModelChoice};
use kernel::{AgentId, ConnectionId, Thinking};
use serde::{Deserialize, Serialize};
use store::{ReadExt, WriteTx};

/// The fields of the form, initial or current.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Began {
    name: String,
    emoji: String,
    description: String,
    connection: Option<ConnectionId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    max_output: u32,
    budget: Option<i64>,
    soft: u8,
    exec: bool,
    network: bool,
}

impl Began {
    /// The current values of an agent.
    pub fn of(agent: &Agent) -> Self {
        Self {
            name: agent.name.clone(),
            emoji: agent.emoji.clone(),
            description: agent.description.clone(),
            connection: agent.connection,
            model: agent.model.clone(),
            thinking: agent.thinking,
            max_output: agent.max_output,
            budget: agent.budget_micros,
            soft: agent.budget_soft_pct,
            exec: agent.exec,
            network: agent.network,
        }
    }

    /// JSON for a hidden field.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // ok: words and numbers are always JSON
    }

    /// Parses the hidden field; `None` if absent or invalid.
    pub fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok() // ok: such a form is compared as a whole
    }

    fn wish(&self) -> ModelChoice {
        ModelChoice { connection: self.connection, model: self.model.clone() }
    }

    /// Drops unchanged fields. Returns whether a remaining field was also changed concurrently.
    fn drop_unchanged(&self, now: &Self, changes: &mut Changes) -> bool {
        let mut clashes = false;
        left(&mut changes.name, [&self.name, &now.name], &mut clashes);
        left(&mut changes.emoji, [&self.emoji, &now.emoji], &mut clashes);
        left(&mut changes.description, [&self.description, &now.description], &mut clashes);
        left(&mut changes.model, [&self.wish(), &now.wish()], &mut clashes);
        left(&mut changes.thinking, [&self.thinking, &now.thinking], &mut clashes);
        left(&mut changes.max_output, [&self.max_output, &now.max_output], &mut clashes);
        left(&mut changes.budget_micros, [&self.budget, &now.budget], &mut clashes);
        left(&mut changes.budget_soft_pct, [&self.soft, &now.soft], &mut clashes);
        left(&mut changes.exec, [&self.exec, &now.exec], &mut clashes);
        left(&mut changes.network, [&self.network, &now.network], &mut clashes);
        clashes
    }
}

/// Drops a change that equals the initial value.
fn left<T: PartialEq>(change: &mut Option<T>, [began, now]: [&T; 2], clashes: &mut bool) {
    if change.as_ref() == Some(began) {
        *change = None;
    } else if let Some(change) = change {
        *clashes |= now != began && change != now;
    }
}

/// Saves a form. Checks the form's revision only if a field was also changed concurrently, or if the initial values are
/// missing.
pub(super) fn save(
    began: Option<Began>,
    (id, rev): (AgentId, Option<u64>),
    mut changes: Changes,
) -> impl FnOnce(&mut WriteTx<'_>) -> Result<Agent, AgentError> + Send + 'static {
    move |tx| {
        let now = tx.get::<Agent>(id)?.map(|agent| Began::of(&agent));
        let clashes = match (&began, &now) {
            (Some(began), Some(now)) => began.drop_unchanged(now, &mut changes),
            _ => true,
        };
        rules::update(tx, id, rev.filter(|_| clashes), changes)
    }
}
