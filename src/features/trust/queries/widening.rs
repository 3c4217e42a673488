//! Guards writes that let agents do more without approval. Such writes need an owner or admin with a recent proof of
//! identity. The rights are compared before and after the write within its transaction, so the guard covers every
//! interface. A write that only narrows rights passes.

use std::collections::BTreeMap;

use kernel::{
    AccessDecision, AgentId, Can, ConnectionId, FieldError, Problem, ProblemKind, TrustMode,
};
use store::{Range, Read, ReadExt, StoreError, WriteTx};
use web::session::{PROOF_REQUIRED, Person};

use super::super::model::Permission;
use super::super::queries;
use crate::agents::model::{Agent, ReachOf};
use crate::agents::queries::{self as agents, reach};
use crate::browsers::model::BrowserPolicy;
use crate::browsers::queries as browsers;
use crate::workspace::model::Settings;

#[derive(Debug, thiserror::Error)]
pub enum Refused<E: Problem> {
    /// The person is no owner or admin.
    #[error("{0}: only an owner or admin can do that")]
    NotAdmin(&'static str),
    /// The person has no recent proof of identity.
    #[error("{0}: confirm it's you first, as with /api/v1/proof; that lasts ten minutes")]
    NoProof(&'static str),
    #[error(transparent)]
    Rule(E),
}

impl<E: Problem + From<StoreError>> From<StoreError> for Refused<E> {
    fn from(error: StoreError) -> Self {
        Self::Rule(error.into())
    }
}

impl<E: Problem> Problem for Refused<E> {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAdmin(_) => "forbidden",
            Self::NoProof(_) => PROOF_REQUIRED,
            Self::Rule(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotAdmin(_) | Self::NoProof(_) => ProblemKind::Forbidden,
            Self::Rule(error) => error.kind(),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::NotAdmin(_) | Self::NoProof(_) => Vec::new(),
            Self::Rule(error) => error.fields(),
        }
    }
}

/// The widening rights of a request's author.
#[derive(Clone, Copy, Debug)]
pub struct Widener {
    is_admin: bool,
    is_proved: bool,
}

impl Widener {
    #[must_use]
    pub fn of(who: &Person) -> Self {
        Self { is_admin: who.access.may(Can::Admin), is_proved: who.is_proved }
    }

    /// Performs a write, and refuses it if it widens rights without permission.
    ///
    /// # Errors
    /// `NotAdmin`, `NoProof`, and those of the write.
    pub fn write<T, E: Problem + From<StoreError>>(
        self,
        tx: &mut WriteTx<'_>,
        write: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E>,
    ) -> Result<T, Refused<E>> {
        if self.is_admin && self.is_proved {
            return write(tx).map_err(Refused::Rule);
        }
        let before = Freedom::read(tx)?;
        let done = write(tx).map_err(Refused::Rule)?;
        match before.widened(&Freedom::read(tx)?) {
            None => Ok(done),
            Some(what) if !self.is_admin => Err(Refused::NotAdmin(what)),
            Some(what) => Err(Refused::NoProof(what)),
        }
    }
}

/// [`Widener::write`] as a transaction body.
pub fn checked<T, E, F>(
    who: &Person,
    write: F,
) -> impl FnOnce(&mut WriteTx<'_>) -> Result<T, Refused<E>> + Send + use<T, E, F>
where
    E: Problem + From<StoreError>,
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
{
    let widener = Widener::of(who);
    move |tx| widener.write(tx, write)
}

/// Everything that lets agents act without approval.
struct Freedom {
    jail_is_optional: bool,
    reviewer: Option<(ConnectionId, String)>,
    /// Hosts in private networks.
    opened: Vec<String>,
    agents: BTreeMap<AgentId, OfAgent>,
    permissions: Vec<Permission>,
}

/// Rights of one agent.
#[derive(Clone)]
struct OfAgent {
    exec: bool,
    network: bool,
    browser: bool,
    policy: BrowserPolicy,
    hosts: Vec<String>,
    mode: TrustMode,
    autonomous: bool,
    /// Whether its template allows programs, which is the default of a new agent.
    template_exec: bool,
}

/// Whether `list` has an entry that `than` lacks.
fn has_more<T: PartialEq>(list: &[T], than: &[T]) -> bool {
    list.iter().any(|line| !than.contains(line))
}

impl OfAgent {
    fn read(tx: &dyn Read, agent: &Agent) -> Result<Self, StoreError> {
        let id = agent.id;
        let trust = queries::trust_of(tx, id)?;
        Ok(Self {
            exec: agent.exec,
            network: agent.network,
            browser: browsers::is_switched_on(tx, id)?,
            policy: browsers::policy(tx, id)?,
            hosts: reach::of(tx, ReachOf::Agent(id))?,
            mode: trust.mode,
            autonomous: trust.autonomous,
            template_exec: agents::template_runs_programs(&agent.template),
        })
    }

    /// Rights of a new agent.
    fn at_first(&self) -> Self {
        Self {
            exec: self.template_exec,
            network: false,
            browser: false,
            policy: BrowserPolicy::usual(self.policy.agent),
            hosts: Vec::new(),
            mode: TrustMode::Ask,
            autonomous: false,
            template_exec: self.template_exec,
        }
    }

    /// The first right that was widened, as text.
    fn widened(&self, after: &Self) -> Option<&'static str> {
        let (old, new) = (&self.policy, &after.policy);
        // A host list allows its hosts without approval and forbids all others, so both changes can widen.
        let lists =
            has_more(&after.hosts, &self.hosts) || after.hosts.is_empty() && !self.hosts.is_empty();
        let pages = new.scripts && !old.scripts
            || has_more(&old.blocked, &new.blocked)
            || !old.allowed.is_empty()
                && (new.allowed.is_empty() || has_more(&new.allowed, &old.allowed));
        let all = [
            (!self.exec && after.exec, "this lets the agent run programs"),
            (!self.network && after.network, "this gives the agent's programs network access"),
            (!self.browser && after.browser, "this turns on the agent's browser"),
            (pages, "this lets the agent's browser do more"),
            (lists, "this lets the agent reach more hosts, or reach hosts without asking"),
            (
                queries::rank(self.mode) < queries::rank(after.mode),
                "the agent asks less in this mode",
            ),
            (!self.autonomous && after.autonomous, "this lets the agent continue without approval"),
        ];
        all.into_iter().find(|(is_more, _)| *is_more).map(|(_, what)| what)
    }
}

impl Freedom {
    fn read(tx: &dyn Read) -> Result<Self, StoreError> {
        let mut agents = BTreeMap::new();
        for agent in tx.list::<Agent>(&Range::all())? {
            agents.insert(agent.id, OfAgent::read(tx, &agent)?);
        }
        let settings = tx.get::<Settings>(())?;
        Ok(Self {
            jail_is_optional: settings.is_some_and(|settings| settings.exec_without_jail),
            reviewer: queries::reviewer(tx)?,
            opened: reach::of(tx, ReachOf::Workspace)?,
            agents,
            permissions: queries::lasting(tx)?,
        })
    }

    fn widened(&self, after: &Self) -> Option<&'static str> {
        let of_agents = || {
            after.agents.iter().find_map(|(id, now)| {
                self.agents.get(id).cloned().unwrap_or_else(|| now.at_first()).widened(now)
            })
        };
        let allows = |rule: &&Permission| rule.leave == AccessDecision::Allow;
        let is_in = |rule: &Permission, all: &[Permission]| all.contains(rule);
        let more =
            after.permissions.iter().filter(allows).any(|one| !is_in(one, &self.permissions));
        let fewer = self.permissions.iter().filter(|rule| !allows(rule));
        let fewer = fewer.into_iter().any(|one| !is_in(one, &after.permissions));
        let reviewer = after.reviewer.is_some() && after.reviewer != self.reviewer;
        let all = [
            (
                !self.jail_is_optional && after.jail_is_optional,
                "this lets programs run without a sandbox",
            ),
            (reviewer, "this lets a model approve agent requests"),
            (has_more(&after.opened, &self.opened), "this allows hosts in private networks"),
            (more, "this allows calls without approval"),
            (fewer, "this removes a permission that denies calls or requires approval"),
        ];
        all.into_iter().find(|(is_more, _)| *is_more).map(|(_, what)| what).or_else(of_agents)
    }
}
