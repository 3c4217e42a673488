//! What a member has to do goes to another when that member leaves, or before.
//!
//! Open tasks, the agents that report to the member, and with them what those agents hand in for
//! review. It goes in slices, each a transaction of its own; the first also remembers who takes over,
//! in the same transaction that ends a membership. What a crash leaves undone the next start goes on
//! with.

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

/// How many tasks change hands in one transaction.
const SLICE: usize = 500;
/// So many pieces of delivered work are looked at.
const MOST_PIECES: usize = 1_000;

/// What somebody has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Open tasks.
    pub tasks: u64,
    /// Names of the agents that report to them.
    pub agents: Vec<String>,
    /// Delivered work of those agents that waits for a review.
    pub reviews: usize,
}

impl Load {
    /// Reads it.
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

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks == 0 && self.agents.is_empty()
    }
}

/// Who can take over from somebody, the most fitting first: whoever asks for it, then owners, then
/// the others, each by how long they are here.
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

/// Hands a first slice over, and remembers the rest; inside a transaction that may also end the
/// membership. Without a name the most fitting one takes over; when there is nothing to hand over, or
/// nobody to take it, nothing happens.
///
/// # Errors
/// When the one who is named cannot take over.
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

/// Hands over at most [`SLICE`] tasks; says whether that was all.
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

/// Lets somebody join who may have been here by another name: that one leaves, and what they have to do goes on
/// with who joins, or with the most fitting one where that is a viewer. `shut` are those who take nothing over.
///
/// # Errors
/// What joining answers. Whoever has joined has; what could not be handed over then is at the next start.
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

/// Hands over now what a member has to do, the membership goes on.
///
/// # Errors
/// When the one who is named cannot take over.
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

/// Hands over what is left of one member's work.
pub async fn go_on(ws: &Ws, who: &impl Who, from: AccountId) -> Result<(), WorkspaceError> {
    loop {
        let shut = accounts::shut(&ws.app, ws)?;
        let done = ws.write(who, move |tx| {
            let Some(rest) = tx.get::<Handover>(from)? else { return Ok(true) };
            // Who was to take over may have left meanwhile, or their account may have been closed.
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

/// Goes on with what a crash has left.
pub async fn complete(ws: &Ws) -> Result<(), WorkspaceError> {
    let by = (Actor::System(Part::Timer), Cause::Timer);
    for rest in ws.read(|snap| queries::handovers(snap))? {
        go_on(ws, &by, rest.from).await?;
    }
    Ok(())
}
