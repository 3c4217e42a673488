//! The roots of a host: its agents and what they need.

use std::collections::BTreeSet;

use features::agents::model::{AGENTS, Agent};
use features::connections::model::{CONNECTIONS, Connection, Fallbacks};
use features::connections::queries;
use features::inbox::model::{BY_AGENT, Item};
use features::runs::model::{Branch, RUN_LIVE, Run, Session};
use features::runs::queries::queue;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::workspace::model::Settings;
use kernel::key::KeyBuf;
use kernel::{AgentId, ConnectionId, SessionId, TaskId};
use knowledge::model::ITEMS;
use store::{Range, Read, ReadExt as _, StoreError};

use crate::replication_policy::{self, Agents, Of};
use crate::rows::{some, unless_torn};
use crate::{At, Put, rows};

/// Knowledge items read at once.
const PIECE: usize = 500;

/// The agents and roots of a host as of one feed entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    pub agents: Agents,
    set: BTreeSet<At>,
}

impl Roots {
    /// The roots of a host with these agents.
    pub fn of(read: &dyn Read, agents: Agents) -> Result<Self, StoreError> {
        let mut set = work(read, &agents)?;
        let mut range = Range::all();
        loop {
            let items = some(read, ITEMS.number, &range, PIECE)?;
            for (key, row) in &items {
                if unless_torn(
                    replication_policy::knowledge(&agents, row).map_err(StoreError::from),
                )? == Some(true)
                {
                    set.insert(At { table: ITEMS.number, key: key.clone() });
                }
            }
            match items.last() {
                Some((last, _)) if items.len() == PIECE => range = Range::all().after(last),
                _ => return Ok(Self { agents, set }),
            }
        }
    }

    /// The roots that a host reports.
    pub(crate) fn reported(agents: Agents, roots: BTreeSet<At>) -> Self {
        let mut set = roots;
        set.extend(agents.iter().map(|agent| At::of::<Agent>(*agent)));
        Self { agents, set }
    }

    /// Recomputes the roots of work; knowledge stays.
    pub(crate) fn renewed(&self, read: &dyn Read) -> Result<Self, StoreError> {
        let mut set = work(read, &self.agents)?;
        set.extend(self.of_table(ITEMS.number).cloned());
        Ok(Self { agents: self.agents.clone(), set })
    }

    /// Adds or removes a knowledge item according to its present row.
    pub(crate) fn update(&mut self, at: &At, row: Option<&[u8]>) -> Result<(), StoreError> {
        let is_in = match row {
            Some(row) => unless_torn(
                replication_policy::knowledge(&self.agents, row).map_err(StoreError::from),
            )?,
            None => None,
        };
        if is_in == Some(true) {
            self.set.insert(at.clone());
        } else {
            self.set.remove(at);
        }
        Ok(())
    }

    /// Returns `true` for a root.
    #[must_use]
    pub fn has(&self, at: &At) -> bool {
        self.set.contains(at)
    }

    /// Returns `true` if rows with this owner are in scope.
    pub(crate) fn covers(&self, of: &Of) -> bool {
        match of {
            Of::Everybody => true,
            Of::Root(at) => self.set.contains(at),
            Of::Nobody => false,
        }
    }

    /// What a host may have of a row; `None` if the row is not in scope.
    pub(crate) fn of_row(
        &self,
        (read, schema): (&dyn Read, &store::Schema),
        line: &replication_policy::Yes,
        (key, row): (&[u8], &[u8]),
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let judged = rows::owner((read, schema), line, key, row).and_then(|of| {
            if self.covers(&of) { rows::allowed(line, &self.agents, row) } else { Ok(None) }
        });
        Ok(unless_torn(judged)?.flatten())
    }

    /// The roots of a table, in order.
    pub(crate) fn of_table(&self, table: u16) -> impl Iterator<Item = &At> {
        let first = At { table, key: Vec::new() };
        self.set.range(first..).take_while(move |at| at.table == table)
    }

    /// All roots, in order.
    pub fn iter(&self) -> impl Iterator<Item = &At> {
        self.set.iter()
    }

    /// Removes a root, so that it counts as new the next time.
    pub(crate) fn leave_out(&mut self, at: &At) {
        self.set.remove(at);
    }

    /// Removes roots within a range whose own rows were not sent, because their dependent rows must not come alone.
    /// Returns whether there were any.
    pub(crate) fn settle(&mut self, (from, to): (Option<&At>, Option<&At>), sent: &[Put]) -> bool {
        let before = self.set.len();
        let sent: BTreeSet<&At> = sent.iter().map(|put| &put.at).collect();
        self.set.retain(|at| {
            let is_inside = from.is_none_or(|from| from < at) && to.is_none_or(|to| at <= to);
            !is_inside || at.table == AGENTS.number || sent.contains(at)
        });
        self.set.len() < before
    }

    /// Keeps only roots that match; an agent is removed with its root.
    pub(crate) fn only(mut self, keep: impl FnMut(&At) -> bool) -> Self {
        self.set.retain(keep);
        let set = &self.set;
        self.agents.retain(|agent| set.contains(&At::of::<Agent>(*agent)));
        self
    }
}

/// The roots without knowledge.
fn work(read: &dyn Read, agents: &Agents) -> Result<BTreeSet<At>, StoreError> {
    let mut set = BTreeSet::new();
    let mut connections = BTreeSet::new();
    let mut default = None;
    if let Some(settings) = read.get::<Settings>(())? {
        default = settings.default_connection;
        connections.extend(default);
        connections.extend(settings.reviewer_connection);
    }
    listed(read, None, &mut connections)?;
    for agent in agents {
        let Some(record) = read.get::<Agent>(*agent)? else { continue };
        set.insert(At::of::<Agent>(*agent));
        listed(read, Some(*agent), &mut connections)?;
        // Models that are requested by name.
        let mut named: BTreeSet<String> = BTreeSet::new();
        match record.connection {
            Some(own) => {
                connections.insert(own);
            }
            None => named.extend(record.model),
        }
        let mut open = KeyBuf::of(agent);
        open.u8(0);
        let items = read.scan::<Item>(BY_AGENT, &Range::prefix(open))?;
        let mut tasks: BTreeSet<TaskId> =
            items.into_iter().filter(Item::is_open).filter_map(|item| item.task).collect();
        for run in read.scan::<Run>(RUN_LIVE, &Range::prefix(KeyBuf::of(agent)))? {
            set.insert(At::of::<Run>(run.id));
            tasks.extend(run.task);
            connections.extend(run.connection);
            talk(read, agents, run.session, &mut set)?;
            named.extend(requested_models(read, &run)?);
        }
        for id in tasks {
            named.extend(enter_task(read, id, &mut set)?);
        }
        for model in named {
            // Resolved as on the primary: with fewer connections, the host gets the same result.
            let near = [record.connection, default];
            connections.extend(queries::locate(&read, model.trim(), near)?.0);
        }
    }
    for id in connections {
        let at = At::of::<Connection>(id);
        if read.raw_get(CONNECTIONS.number, &at.key)?.is_some() {
            set.insert(at);
        }
    }
    Ok(set)
}

/// The models requested by a session and by the queued messages of its run.
fn requested_models(read: &dyn Read, run: &Run) -> Result<Vec<String>, StoreError> {
    let own = read.get::<Session>(run.session)?.and_then(|session| session.model);
    let heard = queue::heard(&read, run.session, run.id)?;
    Ok(own.into_iter().chain(heard.into_iter().filter_map(|input| input.model)).collect())
}

/// Adds a task and its stream. Returns the model that the task requests.
fn enter_task(
    read: &dyn Read,
    id: TaskId,
    set: &mut BTreeSet<At>,
) -> Result<Option<String>, StoreError> {
    let Some(task) = read.get::<Task>(id)? else { return Ok(None) };
    set.insert(At::of::<Task>(id));
    set.extend(task.stream.map(At::of::<Stream>));
    Ok(task.model)
}

/// Collects the connections of a model list.
fn listed(
    read: &dyn Read,
    agent: Option<AgentId>,
    connections: &mut BTreeSet<ConnectionId>,
) -> Result<(), StoreError> {
    if let Some(list) = read.get::<Fallbacks>(Fallbacks::key(agent))? {
        connections.extend(list.models.into_iter().filter_map(|named| named.connection));
    }
    Ok(())
}

/// Adds a session of these agents, and the sessions with which it shares its first events.
fn talk(
    read: &dyn Read,
    agents: &Agents,
    id: SessionId,
    set: &mut BTreeSet<At>,
) -> Result<(), StoreError> {
    let mut next = Some(id);
    while let Some(id) = next {
        let session = read.get::<Session>(id)?;
        let is_ours = session.is_some_and(|session| agents.contains(&session.agent));
        if !is_ours || !set.insert(At::of::<Session>(id)) {
            break;
        }
        next = read.get::<Branch>(id)?.map(|branch| branch.parent);
    }
    Ok(())
}
