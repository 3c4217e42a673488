//! Per-table replication policy. A host receives only the tables in [`REPLICATED`]. A test walks the schema, so that
//! each new table is either there or in [`EXCLUDED`].
//!
//! Never replicated: secrets and keys, sign-ins, tokens, the audit log, costs, contacts and collections, routines,
//! sources, rows without feed entries, and what only the primary needs for its decisions, such as queue order, paces
//! and budgets.

use std::collections::BTreeSet;

use features::agents::model::{AGENTS, Agent, REACH, Reach, ReachOf};
use features::browsers::model::{AGENT_BROWSERS, BROWSER_POLICIES};
use features::comments::model::{COMMENTS, Comment, REACTIONS};
use features::connections::model::{
    CONNECTIONS, COOLDOWNS, Connection, Cooldown, FALLBACKS, Fallbacks, USUAL_THINKING, WINDOWS,
};
use features::deliverables::model::{DELIVERABLES, REVIEWS, VERSIONS};
use features::files::model::TASK_FILES;
use features::inbox::model::{INBOX, Item};
use features::jobs::model::{JOBS, Job};
use features::links::model::LINKS;
use features::runs::model::{
    BRANCHES, CHILDREN, CONTEXTS, HALTS, Halt, HaltOf, INPUTS, OUTSIDE, PARKS, Place, RUN_LIMITS,
    RUNS, Run, RunLimits, SENDER_GRANTS, SESSION_EVENTS, SESSIONS, SUBAGENT_LIMITS, Session,
    WRITTEN, Written,
};
use features::streams::model::{STREAMS, Stream};
use features::tasks::model::label::{LABELS, TASK_LABELS};
use features::tasks::model::relation::RELATIONS;
use features::tasks::model::{TASKS, Task};
use features::trust::model::{APPROVALS, Approval, PERMISSIONS, Permission, TRUST_MODES};
use features::usage::model::grant::{RUN_GRANTS, RunGrant};
use features::usage::model::price::PRICES;
use features::workspace::model::{MEMBERS, Member, SETTINGS};
use kernel::{AgentId, ProofMode, StreamKind};
use knowledge::model::{BODIES, ITEMS, Item as Knowledge, READINGS, Scope};
use store::{DecodeError, Read, ReadExt as _, Record, StoreError, Table, codec, record};

use crate::At;

/// The agents of a host.
pub type Agents = BTreeSet<AgentId>;
/// Projects a row to what may be sent. Idempotent.
pub type Less = fn(&Agents, &[u8]) -> Result<Vec<u8>, DecodeError>;
/// Whether a host with these agents may have a row, whatever its owner.
pub type Fits = fn(&Agents, &[u8]) -> Result<bool, DecodeError>;

/// The owner of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// The whole workspace.
    Everybody,
    /// This root row; the row itself if it is a root.
    Root(At),
    /// Nothing that a host has.
    Nobody,
}

/// How the owner of a row is determined.
#[derive(Clone, Copy)]
pub enum Owner {
    /// By the first 16 bytes of its key: the id of a row of this table, or its own id.
    Head(Table),
    /// By the root in its record.
    Record,
    /// By a function of its content.
    Said(fn(&dyn Read, &[u8]) -> Result<Of, StoreError>),
}

/// What a host may have of a table.
#[derive(Clone, Copy)]
pub enum Answer {
    Never,
    /// All rows.
    Whole,
    /// A projection of all rows.
    Projected,
    /// Rows of its agents, and rows for all agents.
    Agents(Owner),
    /// Rows of its roots.
    Root(Owner),
}

/// A table of the policy.
#[derive(Clone, Copy)]
pub struct Yes {
    pub table: Table,
    pub answer: Answer,
    /// An additional condition for each row.
    pub fits: Option<Fits>,
    /// Projects a row before it is sent.
    pub less: Option<Less>,
}

impl Yes {
    const fn new(table: Table, answer: Answer) -> Self {
        Self { table, answer, fits: None, less: None }
    }

    const fn fits(mut self, fits: Fits) -> Self {
        self.fits = Some(fits);
        self
    }

    const fn less(mut self, less: Less) -> Self {
        self.less = Some(less);
        self
    }

    /// How the owner of a row is determined; `None` if all rows are sent.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        match self.answer {
            Answer::Never | Answer::Whole | Answer::Projected => None,
            Answer::Agents(owner) | Answer::Root(owner) => Some(owner),
        }
    }

    /// The owner of a row, if its key contains it.
    #[must_use]
    pub fn head(&self, key: &[u8]) -> Option<At> {
        match self.owner()? {
            Owner::Head(of) => {
                key.get(..ID).map(|head| At { table: of.number, key: head.to_vec() })
            }
            Owner::Record | Owner::Said(_) => None,
        }
    }
}

/// The length of an id in a key, in bytes.
pub(crate) const ID: usize = 16;

const fn whole(table: Table) -> Yes {
    Yes::new(table, Answer::Whole)
}

const fn projected(table: Table, less: Less) -> Yes {
    Yes::new(table, Answer::Projected).less(less)
}

const fn agents(table: Table, owner: Owner) -> Yes {
    Yes::new(table, Answer::Agents(owner))
}

const fn root(table: Table, owner: Owner) -> Yes {
    Yes::new(table, Answer::Root(owner))
}

/// The policy, sorted by table number. The table of a root precedes those of the root's rows.
pub static REPLICATED: &[Yes] = &[
    whole(SETTINGS),
    projected(MEMBERS, member),
    root(TASKS, Owner::Head(TASKS)),
    root(COMMENTS, Owner::Record),
    root(DELIVERABLES, Owner::Record),
    root(VERSIONS, Owner::Record),
    root(REVIEWS, Owner::Record),
    // The host's own agents as full rows, all other agents as cards.
    projected(AGENTS, agent),
    agents(INBOX, Owner::Said(item)).fits(is_open),
    root(SESSIONS, Owner::Head(SESSIONS)).fits(session),
    root(SESSION_EVENTS, Owner::Head(SESSIONS)),
    root(RUNS, Owner::Head(RUNS)).fits(run),
    root(INPUTS, Owner::Record),
    root(CONNECTIONS, Owner::Head(CONNECTIONS)).less(connection),
    root(TASK_FILES, Owner::Record),
    root(COOLDOWNS, Owner::Said(cooldown)).less(cooled),
    agents(FALLBACKS, Owner::Said(fallbacks)),
    whole(USUAL_THINKING),
    root(WINDOWS, Owner::Head(CONNECTIONS)),
    agents(JOBS, Owner::Said(job)),
    whole(PRICES),
    agents(HALTS, Owner::Said(halt)),
    root(PARKS, Owner::Head(RUNS)),
    root(CHILDREN, Owner::Head(RUNS)),
    root(CONTEXTS, Owner::Head(SESSIONS)),
    root(BRANCHES, Owner::Head(SESSIONS)),
    whole(SUBAGENT_LIMITS),
    agents(RUN_LIMITS, Owner::Said(limits)),
    agents(REACH, Owner::Said(reach)),
    // A host cuts the run's rights like the primary.
    root(SENDER_GRANTS, Owner::Head(RUNS)),
    root(STREAMS, Owner::Head(STREAMS)).less(stream),
    whole(LABELS),
    root(TASK_LABELS, Owner::Head(TASKS)),
    root(RELATIONS, Owner::Record),
    root(REACTIONS, Owner::Record),
    root(LINKS, Owner::Record),
    root(ITEMS, Owner::Head(ITEMS)).fits(knowledge),
    root(BODIES, Owner::Head(ITEMS)),
    root(READINGS, Owner::Head(ITEMS)),
    agents(AGENT_BROWSERS, Owner::Head(AGENTS)),
    agents(BROWSER_POLICIES, Owner::Head(AGENTS)),
    agents(TRUST_MODES, Owner::Head(AGENTS)),
    agents(PERMISSIONS, Owner::Said(permission)),
    root(APPROVALS, Owner::Record).fits(approval),
    root(OUTSIDE, Owner::Head(SESSIONS)),
    root(WRITTEN, Owner::Said(written)),
    root(RUN_GRANTS, Owner::Head(RUNS)).less(granted),
];

/// Names of the tables that are never replicated.
pub static EXCLUDED: &[&str] = &[
    // People, their views and notifications.
    "invites",
    "invite_hashes",
    "people",
    "brand",
    "handovers",
    "read_marks",
    "needs_away",
    "missions_away",
    "keyless_answers",
    "onboarding",
    "visits",
    "views",
    "watches",
    "notifications",
    "notification_recipients",
    "notification_choices",
    "notification_fanouts",
    "notification_secrets",
    "deliveries",
    "push_subscriptions",
    "mail_settings",
    // Keys, secrets, sign-ins.
    "connection_keys",
    "connection_spare_keys",
    "connection_grants",
    "connection_logins",
    "secrets",
    "secret_values",
    "secret_uses",
    "secret_masks",
    "secret_receipts",
    "key_rotations",
    // Has no feed entries; its relevant content is sent with the keys.
    "model_offers",
    // Hosts and their identities.
    "gateways",
    "gateway_tokens",
    "gateway_keys",
    "gateway_beats",
    "agent_places",
    "former_places",
    "run_answers",
    "outbox",
    "run_evidence",
    "claim_checks",
    "task_proofs",
    // Money: a host has a grant instead.
    "usage",
    "usage_days",
    "usage_day_zone",
    "usage_sources",
    "reservations",
    "model_ratios",
    "budgets",
    "budget_notices",
    "budget_waits",
    // The primary's own decisions and counters.
    "counters",
    "retention",
    "file_reverts",
    "permission_uses",
    "judged_calls",
    "inbox_paces",
    "queue_choices",
    "input_grants",
    "talk_choices",
    "task_rules",
    "overdue_marks",
    // Browsers run on the primary.
    "browser_shots",
    // Routines, series and templates.
    "routines",
    "routine_rules",
    "routine_runs",
    "routine_clocks",
    "series",
    "occurrences",
    "task_templates",
    // Customers and collections.
    "contacts",
    "organizations",
    "collections",
    "records",
    "fields",
    "interactions",
    "suggestions",
    "imports",
    "conversions",
    // Knowledge that is not in the agents' context, and its sources.
    "knowledge_folders",
    "knowledge_versions",
    "knowledge_suggestions",
    "knowledge_uses",
    "knowledge_openings",
    "knowledge_marks",
    "model_choices",
    "vector_sources",
    "sources",
    "source_states",
    "source_items",
    "source_runs",
    "source_writes",
    // Messengers are connected to the primary.
    "channels",
    "channel_states",
    "channel_people",
    "channel_pair_links",
    "channel_rooms",
    "channel_routes",
    "channel_messages",
    "channel_deliveries",
    "channel_cards",
    // Searches are made by the primary.
    "search_engines",
    "search_days",
    "member_search_days",
    // Skill packages are read on the primary.
    "skills",
    "skill_versions",
    "skill_lists",
    // Servers of tools run beside the primary.
    "mcp_servers",
    "mcp_states",
    "mcp_grants",
    "mcp_revocations",
    "mcp_tools",
];

/// What a host may have of a table.
#[must_use]
pub fn answer(table: u16) -> Answer {
    of(table).map_or(Answer::Never, |yes| yes.answer)
}

/// The policy of a table; `None` if a host may have nothing of it.
#[must_use]
pub fn of(table: u16) -> Option<&'static Yes> {
    REPLICATED.binary_search_by_key(&table, |yes| yes.table.number).ok().map(|at| &REPLICATED[at])
}

fn read<R: Record>(row: &[u8]) -> Result<R, DecodeError> {
    Ok(record::read::<R>(row)?.0)
}

/// The bytes of a changed record, with the same revision.
fn with<R: Record>(row: &[u8], change: impl FnOnce(&mut R)) -> Result<Vec<u8>, DecodeError> {
    let (mut record, rev) = record::read::<R>(row)?;
    change(&mut record);
    codec::encode_row(R::VERSION, rev, &record)
}

fn belongs<R: Record>(id: Option<R::Id>) -> Of {
    id.map_or(Of::Everybody, |id| Of::Root(At::of::<R>(id)))
}

/// Keeps only the names of a member, and the role, which decides what a run may do for them.
fn member(_: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    with::<Member>(row, |member| {
        member.email.clear();
        member.created_at = kernel::time::from_ms(0);
    })
}

/// Projects another agent to its card: names, description, and whether it is available.
fn agent(agents: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (full, rev) = record::read::<Agent>(row)?;
    if agents.contains(&full.id) {
        return Ok(row.to_vec());
    }
    let never = kernel::time::from_ms(0);
    let card = Agent {
        id: full.id,
        name: full.name,
        slug: full.slug,
        emoji: String::new(),
        description: full.description,
        role: String::new(),
        team: String::new(),
        domains: Vec::new(),
        capabilities: Vec::new(),
        template: String::new(),
        template_commit: None,
        template_passed: None,
        status: full.status,
        status_reason: None,
        connection: None,
        model: None,
        thinking: None,
        exec: false,
        network: false,
        budget_micros: None,
        budget_soft_pct: 0,
        max_output: 0,
        reports_to: None,
        created_at: never,
        updated_at: never,
        archived_at: full.archived_at.map(|_| never),
    };
    codec::encode_row(Agent::VERSION, rev, &card)
}

/// Removes the key hint and test result of a connection, and the account of its sign-in.
fn connection(_: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    with::<Connection>(row, |connection| {
        connection.key_hint = None;
        connection.tested = None;
        if let Some(client) = &mut connection.sign_in {
            client.strip();
        }
    })
}

fn cooled(_: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    with::<Cooldown>(row, |cooldown| cooldown.message.clear())
}

/// Keeps only the name of a stream, which the card of its tasks shows.
fn stream(_: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    with::<Stream>(row, |stream| {
        stream.description.clear();
        stream.goal.clear();
        stream.rank.clear();
        stream.kind = StreamKind::Project;
        stream.lead = None;
        stream.target_date = None;
        stream.proof = ProofMode::Show;
    })
}

/// Keeps only the amounts of a grant; its budgets belong to the primary.
fn granted(_: &Agents, row: &[u8]) -> Result<Vec<u8>, DecodeError> {
    with::<RunGrant>(row, |grant| grant.payers.clear())
}

fn is_open(agents: &Agents, row: &[u8]) -> Result<bool, DecodeError> {
    let item = read::<Item>(row)?;
    Ok(item.is_open() && agents.contains(&item.agent))
}

fn session(agents: &Agents, row: &[u8]) -> Result<bool, DecodeError> {
    Ok(agents.contains(&read::<Session>(row)?.agent))
}

fn run(agents: &Agents, row: &[u8]) -> Result<bool, DecodeError> {
    let run = read::<Run>(row)?;
    Ok(run.is_live() && agents.contains(&run.agent))
}

fn approval(agents: &Agents, row: &[u8]) -> Result<bool, DecodeError> {
    Ok(agents.contains(&read::<Approval>(row)?.agent))
}

/// Knowledge in the agents' context at the start: that of the whole workspace, and that of these agents. Library items
/// stay on the primary.
pub(crate) fn knowledge(agents: &Agents, row: &[u8]) -> Result<bool, DecodeError> {
    let item = read::<Knowledge>(row)?;
    let shown = match item.scope {
        Scope::Library => false,
        Scope::Agent => item.agents.iter().any(|agent| agents.contains(agent)),
        Scope::Workspace => true,
    };
    Ok(shown && item.archived_at.is_none())
}

fn item(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(belongs::<Agent>(Some(read::<Item>(row)?.agent)))
}

fn job(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(belongs::<Agent>(Some(read::<Job>(row)?.agent)))
}

fn fallbacks(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(belongs::<Agent>(read::<Fallbacks>(row)?.agent))
}

fn cooldown(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(belongs::<Connection>(Some(read::<Cooldown>(row)?.connection)))
}

fn halt(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(match read::<Halt>(row)?.of {
        HaltOf::Workspace => Of::Everybody,
        HaltOf::Agent(id) => belongs::<Agent>(Some(id)),
    })
}

fn hosts(of: ReachOf) -> Of {
    match of {
        ReachOf::Workspace => Of::Everybody,
        ReachOf::Agent(id) => belongs::<Agent>(Some(id)),
    }
}

fn reach(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(hosts(read::<Reach>(row)?.of))
}

fn limits(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(hosts(read::<RunLimits>(row)?.of))
}

/// A permission for one run belongs to that run.
fn permission(_: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    let permission = read::<Permission>(row)?;
    Ok(match permission.run {
        Some(run) => belongs::<Run>(Some(run)),
        None => belongs::<Agent>(permission.agent),
    })
}

fn written(rows: &dyn Read, row: &[u8]) -> Result<Of, StoreError> {
    Ok(match read::<Written>(row)?.place {
        Place::File { agent, .. } => belongs::<Agent>(Some(agent)),
        Place::Task(task) => belongs::<Task>(Some(task)),
        Place::Comment(comment) => {
            let comment = rows.get::<Comment>(comment)?;
            comment.map_or(Of::Nobody, |comment| Of::Root(comment.on.root().into()))
        }
        // The row contains only ids, so its agents are unknown.
        Place::Record(_) => Of::Everybody,
    })
}
