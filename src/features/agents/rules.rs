//! All writes of agent records. Files are created in `provision`, after the record and before its status is `ready`.

mod error;
pub mod manager;
pub mod profile;
pub mod reach;
pub mod version;

pub use error::AgentError;

use crate::connections::model::Connection;
use crate::connections::queries::PRACTICE;
use crate::tasks::model::Task;
use crate::workspace::model::{MEMBER_BY_HANDLE, Member};
use git::CommitId;
use kernel::key::KeyBuf;
use kernel::{AgentId, AgentStatus, Assignee, ConnectionId, Event, Manager, TaskId, Thinking};
use store::{ReadExt, StoreError, WriteTx};

use super::model::Agent;
use super::{queries, templates};

/// Maximum length of a name in characters.
pub const MAX_NAME: usize = 60;
/// Maximum length of a description in characters.
pub const MAX_DESCRIPTION: usize = 2_000;
/// Maximum length of a slug.
pub const MAX_SLUG: usize = 40;
/// Maximum length of a message between agents in bytes.
pub const MAX_MESSAGE: usize = 1_024;
/// Range of the maximum output of one response, in tokens.
pub const OUTPUT: std::ops::RangeInclusive<u32> = 1_024..=128_000;
/// Maximum monthly budget in micro-dollars (a million dollars).
const MAX_BUDGET: i64 = 1_000_000_000_000;
/// Slugs with another meaning in URLs, mentions, branches or models.
const RESERVED: &[&str] = &[
    "all", "default", "everyone", "here", "hq", "main", "master", "me", "new", "nobody",
    "openclaw", "practice", "system", "template", "upgrades",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// `None` for the practice model or the workspace's default.
    pub connection: Option<ConnectionId>,
    /// `None` for the default of the connection or workspace.
    pub model: Option<String>,
}

#[derive(Clone, Debug)]
pub struct NewAgent {
    pub name: String,
    /// Name in URLs and mentions; empty to derive it from the name.
    pub slug: String,
    pub emoji: String,
    pub description: String,
    pub template: String,
    pub model: ModelChoice,
    /// `None` for the default.
    pub thinking: Option<Thinking>,
    /// Whether it may run programs in the sandbox.
    pub exec: bool,
    /// Monthly budget in micro-dollars.
    pub budget_micros: Option<i64>,
    pub reports_to: Option<Manager>,
}

/// Creates the record of an agent, which waits for its files. `templates` lists the available templates.
///
/// # Errors
/// If a field is invalid or the slug is taken.
pub fn create(
    tx: &mut WriteTx<'_>,
    new: NewAgent,
    templates: &[&str],
) -> Result<Agent, AgentError> {
    let name = good_name(&new.name)?;
    let slug = match new.slug.trim() {
        "" => free_slug(tx, &name)?,
        slug => good_slug(tx, slug)?,
    };
    if !templates.contains(&new.template.as_str()) {
        return Err(AgentError::NoTemplate(new.template));
    }
    let manifest = templates::find(&new.template).map(|template| template.manifest.clone());
    let manifest = manifest.map(|one| (one.role, one.team, one.domains, one.capabilities));
    let (role, team, domains, capabilities) = manifest.unwrap_or_default();
    let now = tx.now();
    manager::usable(tx, new.reports_to)?;
    let mut agent = Agent {
        id: tx.new_id(),
        name,
        slug,
        emoji: good_emoji(&new.emoji)?,
        description: good_description(&new.description)?,
        role,
        team,
        domains,
        capabilities,
        template: new.template,
        template_commit: None,
        template_passed: None,
        status: AgentStatus::Provisioning,
        status_reason: None,
        connection: None,
        model: None,
        thinking: new.thinking,
        exec: new.exec,
        network: false,
        budget_micros: good_budget(new.budget_micros)?,
        budget_soft_pct: 80,
        max_output: providers::bound::OUTPUT_SETTING,
        reports_to: new.reports_to,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    set_model(tx, &mut agent, new.model)?;
    tx.put(&agent)?;
    tx.emit(Event::AgentCreated { agent: agent.id });
    Ok(agent)
}

/// Changed fields; `None` keeps the stored value.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub emoji: Option<String>,
    pub description: Option<String>,
    /// A few words.
    pub role: Option<String>,
    /// Areas of responsibility.
    pub domains: Option<Vec<String>>,
    pub capabilities: Option<Vec<String>>,
    pub model: Option<ModelChoice>,
    /// `Some(None)` for the default.
    pub thinking: Option<Option<Thinking>>,
    pub exec: Option<bool>,
    /// Whether its programs may use the network.
    pub network: Option<bool>,
    /// Micro-dollars; `Some(None)` for none.
    pub budget_micros: Option<Option<i64>>,
    /// Warning level of the budget in percent.
    pub budget_soft_pct: Option<u8>,
    /// Maximum tokens of one response.
    pub max_output: Option<u32>,
    /// `Some(None)` for no manager.
    pub reports_to: Option<Option<Manager>>,
}

/// Changes an agent. `provision::tell_files` updates its files afterwards.
///
/// # Errors
/// If a field is invalid; `Stale` if `rev` is not the current revision.
pub fn update(
    tx: &mut WriteTx<'_>,
    id: AgentId,
    rev: Option<u64>,
    changes: Changes,
) -> Result<Agent, AgentError> {
    let (mut agent, present) =
        tx.get_rev::<Agent>(id)?.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
    if rev.is_some_and(|rev| rev != present) {
        return Err(StoreError::Stale.into());
    }
    let before = agent.clone();
    if let Some(name) = changes.name {
        agent.name = good_name(&name)?;
    }
    if let Some(emoji) = changes.emoji {
        agent.emoji = good_emoji(&emoji)?;
    }
    if let Some(description) = changes.description {
        agent.description = good_description(&description)?;
    }
    if let Some(role) = changes.role {
        agent.role = profile::good_role(&role)?;
    }
    if let Some(domains) = changes.domains {
        agent.domains = profile::good_domains(&domains)?;
    }
    if let Some(capabilities) = changes.capabilities {
        agent.capabilities = profile::good_capabilities(&capabilities)?;
    }
    if let Some(model) = changes.model {
        set_model(tx, &mut agent, model)?;
    }
    if let Some(thinking) = changes.thinking {
        agent.thinking = thinking;
    }
    agent.exec = changes.exec.unwrap_or(agent.exec);
    agent.network = changes.network.unwrap_or(agent.network);
    if let Some(budget) = changes.budget_micros {
        agent.budget_micros = good_budget(budget)?;
    }
    if let Some(share) = changes.budget_soft_pct {
        agent.budget_soft_pct = good_share(share)?;
    }
    if let Some(tokens) = changes.max_output {
        agent.max_output = good_output(tokens)?;
    }
    if let Some(to) = changes.reports_to {
        manager::set(tx, &mut agent, to)?;
    }
    if agent != before {
        agent.updated_at = tx.now();
        tx.put(&agent)?;
    }
    Ok(agent)
}

/// Changes the stored status.
fn set_status(
    tx: &mut WriteTx<'_>,
    mut agent: Agent,
    to: AgentStatus,
    reason: Option<String>,
) -> Result<Agent, AgentError> {
    let from = std::mem::replace(&mut agent.status, to);
    agent.status_reason = reason;
    agent.updated_at = tx.now();
    tx.put(&agent)?;
    if from != to {
        tx.emit(Event::AgentStatusChanged { agent: agent.id, from, to });
    }
    Ok(agent)
}

/// Announces a person's change of an agent's file after its commit, so that feed consumers such as the search index
/// read the file again.
pub fn files_changed(tx: &mut WriteTx<'_>, agent: AgentId, path: String, commit: CommitId) {
    tx.emit(Event::AgentFilesChanged { agent, path, commit: commit.to_string() });
}

/// Marks an agent as ready after its files were created from this template version. An agent in another status stays
/// unchanged.
///
/// # Errors
/// `NotFound`.
pub fn provisioned(
    tx: &mut WriteTx<'_>,
    id: AgentId,
    version: Option<CommitId>,
) -> Result<Agent, AgentError> {
    let mut agent = load(tx, id)?;
    match agent.status {
        AgentStatus::Provisioning => {
            agent.template_commit = version;
            set_status(tx, agent, AgentStatus::Ready, None)
        }
        _ => Ok(agent),
    }
}

/// Records a failed set-up. The page shows the reason and offers a retry.
///
/// # Errors
/// `NotFound`.
pub fn provision_failed(
    tx: &mut WriteTx<'_>,
    id: AgentId,
    reason: &str,
) -> Result<Agent, AgentError> {
    let agent = load(tx, id)?;
    let reason = kernel::text::ellipsis(reason, 500);
    match agent.status {
        AgentStatus::Provisioning => set_status(tx, agent, AgentStatus::Error, Some(reason)),
        _ => Ok(agent),
    }
}

/// Retries the set-up of an agent in status `error`.
///
/// # Errors
/// `WrongState` in any other status.
pub fn retry(tx: &mut WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    let agent = load(tx, id)?;
    match agent.status {
        AgentStatus::Provisioning => Ok(agent),
        AgentStatus::Error => set_status(tx, agent, AgentStatus::Provisioning, None),
        _ => Err(wrong_state(agent, "there is nothing to set up again")),
    }
}

/// Pauses an agent: no new work begins, running work continues. No effect on a paused agent.
///
/// # Errors
/// `WrongState` if it is neither ready nor paused.
pub fn pause(tx: &mut WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    let agent = load(tx, id)?;
    match agent.status {
        AgentStatus::Paused => Ok(agent),
        AgentStatus::Ready if agent.archived_at.is_none() => {
            set_status(tx, agent, AgentStatus::Paused, None)
        }
        _ => Err(wrong_state(agent, "only an agent that is ready can be paused")),
    }
}

/// Resumes an agent. No effect on a ready agent.
///
/// # Errors
/// `WrongState` if it is neither paused nor ready.
pub fn resume(tx: &mut WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    let agent = load(tx, id)?;
    match agent.status {
        AgentStatus::Ready => Ok(agent),
        AgentStatus::Paused => set_status(tx, agent, AgentStatus::Ready, None),
        _ => Err(wrong_state(agent, "only a paused agent can be resumed")),
    }
}

/// Successors of an archived agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heirs {
    /// Receives its open tasks; `None` leaves them unassigned.
    pub tasks: Option<Assignee>,
    /// Receives its routines; `None` stops them.
    pub routines: Option<AgentId>,
}

/// Archives an agent like [`retire`], without successors.
///
/// # Errors
/// `NotFound`.
pub fn archive(tx: &mut WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    retire(tx, id, Heirs::default())
}

/// Archives an agent: stops its runs and empties its inbox. Its files and history stay. Its reports move to its
/// manager, its tasks and routines to its successors.
///
/// # Errors
/// `NotFound`; `NoHeir` if a successor is the agent itself, is archived or unknown.
pub fn retire(tx: &mut WriteTx<'_>, id: AgentId, heirs: Heirs) -> Result<Agent, AgentError> {
    let mut agent = load(tx, id)?;
    for heir in [heirs.tasks, heirs.routines.map(Assignee::Agent)].into_iter().flatten() {
        let fits = match heir {
            Assignee::Agent(heir) => {
                heir != id && tx.get::<Agent>(heir)?.is_some_and(|heir| heir.archived_at.is_none())
            }
            Assignee::Person(account) => tx.get::<Member>(account)?.is_some(),
            Assignee::System => false,
        };
        if !fits {
            return Err(AgentError::NoHeir);
        }
    }
    if agent.archived_at.is_none() {
        // Emitted before the inbox is emptied, so that the successors are notified of what they receive.
        let Heirs { tasks, routines } = heirs;
        tx.emit(Event::AgentSucceeded { agent: id, tasks, routines });
        let now = tx.now();
        (agent.archived_at, agent.updated_at) = (Some(now), now);
        tx.put(&agent)?;
        manager::move_up(tx, &agent)?;
        tx.emit(Event::AgentArchived { agent: id });
    }
    Ok(agent)
}

/// Restores an archived agent.
///
/// # Errors
/// `NotFound`.
pub fn restore(tx: &mut WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    let mut agent = load(tx, id)?;
    if agent.archived_at.take().is_some() {
        manager::come_back(tx, &mut agent)?;
        agent.updated_at = tx.now();
        tx.put(&agent)?;
    }
    Ok(agent)
}

/// A message from one agent to another.
#[derive(Clone, Debug)]
pub struct Message {
    pub from: AgentId,
    pub to: AgentId,
    pub task: Option<TaskId>,
    pub text: String,
}

/// Sends a message, which becomes an inbox item of the recipient in this transaction.
///
/// # Errors
/// If the message is empty or too long, is addressed to its sender, or the recipient is archived.
pub fn send_message(tx: &mut WriteTx<'_>, message: Message) -> Result<Agent, AgentError> {
    let text = message.text.trim();
    if text.is_empty() {
        return Err(AgentError::EmptyMessage);
    }
    if text.len() > MAX_MESSAGE {
        return Err(AgentError::LongMessage);
    }
    if message.from == message.to {
        return Err(AgentError::Yourself);
    }
    let to = load(tx, message.to)?;
    if to.archived_at.is_some() {
        return Err(wrong_state(to, "message another agent; `agent_list` shows them"));
    }
    if let Some(task) = message.task
        && tx.get::<Task>(task)?.is_none()
    {
        return Err(AgentError::NoTask);
    }
    tx.emit(Event::AgentMessageSent {
        from: message.from,
        to: message.to,
        task: message.task,
        text: text.to_owned(),
    });
    Ok(to)
}

fn load(tx: &WriteTx<'_>, id: AgentId) -> Result<Agent, AgentError> {
    tx.get::<Agent>(id)?.ok_or_else(|| AgentError::NotFound(id.to_string()))
}

fn wrong_state(agent: Agent, hint: &'static str) -> AgentError {
    let state = if agent.archived_at.is_some() { "archived" } else { agent.status.word() };
    AgentError::WrongState { name: agent.name, state, hint }
}

/// Validates a name.
///
/// # Errors
/// [`AgentError`] with the reason.
pub fn good_name(name: &str) -> Result<String, AgentError> {
    let name = name.trim();
    if name.chars().any(char::is_control) || kernel::text::turns(name) {
        return Err(AgentError::TangledName);
    }
    match (1..=MAX_NAME).contains(&name.chars().count()) {
        true => Ok(name.to_owned()),
        false => Err(AgentError::BadName),
    }
}

/// Validates a description.
///
/// # Errors
/// If it is too long.
pub fn good_description(text: &str) -> Result<String, AgentError> {
    let text = text.trim();
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(AgentError::BadDescription);
    }
    Ok(text.to_owned())
}

/// Validates an emoji. One emoji may consist of several characters; letters and spaces are refused.
pub fn good_emoji(emoji: &str) -> Result<String, AgentError> {
    let emoji = emoji.trim();
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || c.is_control();
    let fits = (1..=10).contains(&emoji.chars().count()) && emoji.len() <= 40;
    if fits && !emoji.is_ascii() && !emoji.chars().any(plain) {
        Ok(emoji.to_owned())
    } else {
        Err(AgentError::BadEmoji)
    }
}

/// Validates a monthly budget in micro-dollars.
///
/// # Errors
/// If it is negative or too large.
pub fn good_budget(micros: Option<i64>) -> Result<Option<i64>, AgentError> {
    match micros {
        Some(micros) if !(0..=MAX_BUDGET).contains(&micros) => Err(AgentError::BadBudget),
        other => Ok(other),
    }
}

/// Validates a share from 1 to 100 percent.
///
/// # Errors
/// If it is out of range.
pub fn good_share(share: u8) -> Result<u8, AgentError> {
    if (1..=100).contains(&share) { Ok(share) } else { Err(AgentError::BadShare) }
}

/// Validates the maximum output in tokens.
///
/// # Errors
/// If it is out of range.
pub fn good_output(tokens: u32) -> Result<u32, AgentError> {
    if OUTPUT.contains(&tokens) { Ok(tokens) } else { Err(AgentError::BadOutput) }
}

fn set_model(tx: &WriteTx<'_>, agent: &mut Agent, wish: ModelChoice) -> Result<(), AgentError> {
    let model = wish.model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty());
    let bad = |model: &String| {
        model.len() > 200 || model.chars().any(|c| c.is_whitespace() || c.is_control())
    };
    if model.as_ref().is_some_and(bad) {
        return Err(AgentError::BadModel);
    }
    if let Some(id) = wish.connection
        && tx.get::<Connection>(id)?.is_none()
    {
        return Err(AgentError::NoConnection);
    }
    agent.connection = wish.connection.filter(|_| model.as_deref() != Some(PRACTICE));
    agent.model = model;
    Ok(())
}

/// Whether a text has the form of a slug.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (2..=MAX_SLUG).contains(&text.len()) && kernel::text::slug(text, MAX_SLUG) == text
}

fn is_reserved(slug: &str) -> bool {
    RESERVED.contains(&slug) || slug.starts_with("template-")
}

fn is_taken(tx: &WriteTx<'_>, slug: &str) -> Result<bool, AgentError> {
    let mut key = KeyBuf::new();
    key.text(slug);
    let person = tx.find::<Member>(MEMBER_BY_HANDLE, &key)?.is_some();
    Ok(person || queries::by_slug(tx, slug)?.is_some())
}

/// Checks form and reserved words of a slug, but not whether it is taken.
pub fn plain_slug(slug: &str) -> Result<(), AgentError> {
    match slug {
        _ if !is_slug(slug) => Err(AgentError::BadSlug),
        _ if is_reserved(slug) => Err(AgentError::ReservedSlug(slug.to_owned())),
        _ => Ok(()),
    }
}

fn good_slug(tx: &WriteTx<'_>, slug: &str) -> Result<String, AgentError> {
    plain_slug(slug)?;
    if is_taken(tx, slug)? {
        return Err(AgentError::SlugTaken(slug.to_owned()));
    }
    Ok(slug.to_owned())
}

/// Derives a slug from a name, with a number if it is taken. A reserved word gets the prefix `agent-`, because a
/// number would not change its meaning.
fn free_slug(tx: &WriteTx<'_>, name: &str) -> Result<String, AgentError> {
    let base = match kernel::text::slug(name, MAX_SLUG - 4) {
        // "Q", or a name in letters that URLs cannot contain.
        short if short.len() < 2 => format!("agent-{short}").trim_end_matches('-').to_owned(),
        slug if is_reserved(&slug) => kernel::text::slug(&format!("agent-{slug}"), MAX_SLUG - 4),
        slug => slug,
    };
    if !is_reserved(&base) && !is_taken(tx, &base)? {
        return Ok(base);
    }
    for n in 2..1_000 {
        let slug = format!("{base}-{n}");
        if !is_reserved(&slug) && !is_taken(tx, &slug)? {
            return Ok(slug);
        }
    }
    Err(AgentError::SlugTaken(base))
}
