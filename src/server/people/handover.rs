//! Hands over the open work of a member to another member, when the member leaves or earlier.
//!
//! Covers open tasks and the agents that report to the member, including reviews of these agents' work. Runs in
//! slices, each a transaction. The first slice also records who takes over, in the same transaction that ends a
//! membership. The next start resumes after a crash.

use app::{Who, Ws};
use features::agents::queries as agents;
use features::agents::rules::manager;
use features::deliverables::queries as deliverables;
use features::tasks;
use features::workspace::model::{Handover, Member};
use features::workspace::queries;
use features::workspace::rules::members::{self, Shut};
use features::workspace::rules::{WorkspaceError, handover as rules};
use kernel::{AccountId, Actor, Assignee, Cause, Manager, Part, Role};
use store::{Read, ReadExt, StoreError, WriteTx};

use super::accounts;

/// Tasks per transaction.
const SLICE: usize = 500;
/// Maximum number of deliverables that are checked.
const MOST_PIECES: usize = 1_000;

/// Open work of a member.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Number of open tasks.
    pub tasks: u64,
    /// Names of the agents that report to the member.
    pub agents: Vec<String>,
    /// Number of deliverables of these agents that wait for review.
    pub reviews: usize,
}

impl Load {
    /// Reads the open work of a member.
    pub fn of(read: &dyn Read, account: AccountId) -> Result<Self, StoreError> {
        let agents = agents::reporting_to(read, Manager::Person(account))?;
        let waits = deliverables::in_review(read, MOST_PIECES)?;
        let theirs = |by: Actor| matches!(by, Actor::Agent { agent, .. } if agents.iter().any(|one| one.id == agent));
        Ok(Self {
            tasks: tasks::queries::list::open_count_of(read, Assignee::Person(account))?,
            reviews: waits.iter().filter(|piece| theirs(piece.submitted_by)).count(),
            agents: agents.into_iter().map(|agent| agent.name).collect(),
        })
    }

    /// Whether there is nothing to hand over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks == 0 && self.agents.is_empty()
    }
}

/// Members who can take over, best first: the requesting person, then owners, then others, each by length of
/// membership.
pub fn heirs(
    read: &dyn Read,
    from: AccountId,
    asks: AccountId,
    shut: &Shut,
) -> Result<Vec<Member>, StoreError> {
    let mut all = queries::members(read)?;
    all.retain(|one| {
        one.account != from && one.role != Role::Viewer && !shut.contains_key(&one.account)
    });
    all.sort_by_key(|one| (one.account != asks, one.role));
    Ok(all)
}

/// Hands over the first slice and records the rest, in a transaction that may also end the membership. Without `to`,
/// the best heir takes over. Does nothing if there is no work or no heir.
///
/// # Errors
/// When the named member cannot take over.
pub fn begin(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: Option<AccountId>,
    shut: &Shut,
) -> Result<(), WorkspaceError> {
    let to = match (to, tx.by().account()) {
        (Some(to), _) => Some(to),
        (None, asks) => heirs(tx, from, asks.unwrap_or(from), shut)?.first().map(|one| one.account),
    };
    let Some(to) = to else { return Ok(()) };
    rules::begin(tx, from, to, shut)?;
    slice(tx, from, to).map(drop)
}

/// Hands over at most [`SLICE`] tasks. Returns whether that was all.
fn slice(tx: &mut WriteTx<'_>, from: AccountId, to: AccountId) -> Result<bool, WorkspaceError> {
    let tasks = tasks::rules::hand_over(tx, from, to, SLICE)?;
    let agents = manager::hand_over(tx, from, to)?;
    if 0 < tasks + agents {
        rules::tell(tx, from, to, tasks, agents);
    }
    let done = tasks < SLICE;
    if done {
        rules::end(tx, from)?;
    }
    Ok(done)
}

/// Runs `join` for a person who may be a former member with another id. The former membership ends, and its work goes
/// to the new member, or to the best heir if the new member is a viewer. `shut` are members who cannot take over.
///
/// # Errors
/// Those of `join`. A failed handover after the join is resumed at the next start.
pub async fn succeed(
    ws: &Ws,
    who: &impl Who,
    (former, shut): (Option<AccountId>, Shut),
    join: impl FnOnce(&mut WriteTx<'_>) -> Result<Member, WorkspaceError> + Send + 'static,
) -> Result<Member, WorkspaceError> {
    let Some(former) = former else { return ws.write(who, join).await };
    let member = ws.write(who, move |tx| {
        members::give_way(tx, former)?;
        let member = join(tx)?;
        let heir = Some(member.account).filter(|_| member.role != Role::Viewer);
        begin(tx, former, heir, &shut)?;
        Ok::<_, WorkspaceError>(member)
    });
    let member = member.await?;
    if let Err(error) = go_on(ws, who, former).await {
        tracing::warn!(%error, "the next start goes on with handing over the work of {former}");
    }
    Ok(member)
}

/// Hands over a member's open work now; the membership continues.
///
/// # Errors
/// When the named member cannot take over.
pub async fn now(
    ws: &Ws,
    who: &impl Who,
    from: AccountId,
    to: Option<AccountId>,
    shut: Shut,
) -> Result<(), WorkspaceError> {
    ws.write(who, move |tx| begin(tx, from, to, &shut)).await?;
    go_on(ws, who, from).await
}

/// Hands over the remaining work of a member.
pub async fn go_on(ws: &Ws, who: &impl Who, from: AccountId) -> Result<(), WorkspaceError> {
    loop {
        let shut = accounts::shut(&ws.app, ws)?;
        let done = ws.write(who, move |tx| {
            let Some(rest) = tx.get::<Handover>(from)? else { return Ok(true) };
            // The recorded heir may have left or been disabled meanwhile.
            let here = queries::member(tx, rest.to)?.is_some() && !shut.contains_key(&rest.to);
            let heir = match here {
                true => Some(rest.to),
                false => heirs(tx, from, from, &shut)?.first().map(|one| one.account),
            };
            match heir {
                Some(to) => slice(tx, from, to),
                None => rules::end(tx, from).map(|()| true),
            }
        });
        if done.await? {
            return Ok(());
        }
    }
}

/// Resumes handovers that a crash interrupted.
pub async fn complete(ws: &Ws) -> Result<(), WorkspaceError> {
    let by = (Actor::System(Part::Timer), Cause::Timer);
    for rest in ws.read(|snap| queries::handovers(snap))? {
        go_on(ws, &by, rest.from).await?;
    }
    Ok(())
}
