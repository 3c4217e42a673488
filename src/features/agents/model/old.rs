//! Former layouts of agents.

use jiff::fmt::serde::timestamp::millisecond;
use serde::Deserialize;

use super::Agent;
use crate::agents::templates;
use kernel::{AccountId, AgentId, AgentStatus, ConnectionId, Manager, Thinking, Timestamp};
use store::codec::{self, DecodeError};

#[derive(Deserialize)]
struct AgentV1 {
    id: AgentId,
    name: String,
    slug: String,
    emoji: String,
    description: String,
    template: String,
    status: AgentStatus,
    status_reason: Option<String>,
    connection: Option<ConnectionId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    exec: bool,
    network: bool,
    budget_micros: Option<i64>,
    budget_soft_pct: u8,
    max_output: u32,
    reports_to: Option<AccountId>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct AgentV2 {
    id: AgentId,
    name: String,
    slug: String,
    emoji: String,
    description: String,
    template: String,
    status: AgentStatus,
    status_reason: Option<String>,
    connection: Option<ConnectionId>,
    model: Option<String>,
    thinking: Option<Thinking>,
    exec: bool,
    network: bool,
    budget_micros: Option<i64>,
    budget_soft_pct: u8,
    max_output: u32,
    reports_to: Option<Manager>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    updated_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    archived_at: Option<Timestamp>,
}

/// Layout before agents could report to agents.
pub(super) fn first(body: &[u8]) -> Result<Agent, DecodeError> {
    let old: AgentV1 = codec::decode(body)?;
    Ok(Agent::from(AgentV2 {
        id: old.id,
        name: old.name,
        slug: old.slug,
        emoji: old.emoji,
        description: old.description,
        template: old.template,
        status: old.status,
        status_reason: old.status_reason,
        connection: old.connection,
        model: old.model,
        thinking: old.thinking,
        exec: old.exec,
        network: old.network,
        budget_micros: old.budget_micros,
        budget_soft_pct: old.budget_soft_pct,
        max_output: old.max_output,
        reports_to: old.reports_to.map(Manager::Person),
        created_at: old.created_at,
        updated_at: old.updated_at,
        archived_at: old.archived_at,
    }))
}

/// Layout before role, team, domains and capabilities were stored in the record.
pub(super) fn second(body: &[u8]) -> Result<Agent, DecodeError> {
    codec::decode::<AgentV2>(body).map(Agent::from)
}

/// Fields that were only in the template get its current values; the template version is found from the branch.
impl From<AgentV2> for Agent {
    fn from(old: AgentV2) -> Self {
        let manifest = templates::find(&old.template).map(|template| template.manifest.clone());
        let manifest = manifest.map(|one| (one.role, one.team, one.domains, one.capabilities));
        let (role, team, domains, capabilities) = manifest.unwrap_or_default();
        Self {
            id: old.id,
            name: old.name,
            slug: old.slug,
            emoji: old.emoji,
            description: old.description,
            role,
            team,
            domains,
            capabilities,
            template: old.template,
            template_commit: None,
            template_passed: None,
            status: old.status,
            status_reason: old.status_reason,
            connection: old.connection,
            model: old.model,
            thinking: old.thinking,
            exec: old.exec,
            network: old.network,
            budget_micros: old.budget_micros,
            budget_soft_pct: old.budget_soft_pct,
            max_output: old.max_output,
            reports_to: old.reports_to,
            created_at: old.created_at,
            updated_at: old.updated_at,
            archived_at: old.archived_at,
        }
    }
}
