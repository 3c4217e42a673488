//! Guard of undo: an undo never does what its actor could not do directly. Checks a plan against the rules of each
//! noun.
//!
//! Which tables can be undone is in `access.rs`. This module checks what depends on the record: the author of a
//! comment, the archived state of a task, the maximum number of files.

mod groups;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::agents::model::{AGENTS, Agent, REACH, Reach, ReachOf};
use crate::agents::queries::lines;
use crate::cards;
use crate::comments::model::{COMMENTS, Comment, REACTIONS, Reaction};
use crate::comments::queries::Power;
use crate::connections::model::{FALLBACKS, Fallbacks};
use crate::deliverables::model::{DELIVERABLES, Deliverable, REVIEWS, Review, VERSIONS, Version};
use crate::files::model::{FILES_BY_TASK, TASK_FILES, TaskFile};
use crate::files::queries::{FileError, MOST};
use crate::inbox::model::{INBOX, Item};
use crate::links::model::{LINKS, Link};
use crate::places::{Place, Spot};
use crate::runs::model::{INPUTS, Input, RUN_LIMITS, Run, RunLimits, Session};
use crate::runs::queries::talk;
use crate::streams::model::STREAMS;
use crate::tasks::model::label::{TASK_LABELS, TaskLabel};
use crate::tasks::model::relation::{RELATIONS, Relation};
use crate::tasks::model::series::SERIES;
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries::checks;
use crate::tasks::queries::error::TaskError;
use crate::users::queries as users;
use crate::workspace::model::{Member, SETTINGS, Settings};
use app::{Who as _, Ws};
use kernel::{
    AccountId, Actor, AgentId, AgentStatus, Assignee, Can, DeliverableState, Manager, Role, TaskId,
    Timestamp,
};
use store::undo::{After, Guard, Hold, Refusal, Row};
use store::{Range, Read, ReadExt as _, Record, Root, StoreError, record};
use web::session::{Access, Person};

use super::readable::{Eye, Looker};
use super::{access, key_of};

/// The person who undoes, with role and permissions.
#[derive(Clone, Debug)]
pub struct Undoer {
    pub by: Actor,
    pub account: AccountId,
    /// Role in the workspace.
    pub role: Role,
    /// Permissions of the request.
    pub access: Access,
    /// Disabled accounts. Nothing is restored to them.
    pub closed: Arc<BTreeMap<AccountId, Timestamp>>,
}

impl Undoer {
    /// Undoer of a request. Hold `people_turn` where the result must still be valid at the time of the undo.
    ///
    /// # Errors
    /// If the list of accounts cannot be read.
    pub fn of(ws: &Ws, who: &Person) -> Result<Self, StoreError> {
        let closed = Arc::new(ws.app.system.read(|snap| users::disabled(snap))?);
        let Person { account, role, access, .. } = *who;
        Ok(Self { by: who.actor(), account, role, access, closed })
    }

    /// Returns `true` if agents' files may be reverted. They are part of the agent.
    #[must_use]
    pub fn may_files(&self) -> bool {
        self.access.may(Can::Agents)
    }

    /// Read permissions of this person.
    #[must_use]
    pub fn eye<'r>(&self, read: &'r dyn Read) -> Eye<'r> {
        Eye::new(read, Looker::new(self.account, self.role, self.access))
    }

    /// Returns `true` if this person may see the run's details.
    pub fn may_see(&self, read: &dyn Read, run: &Run) -> Result<bool, StoreError> {
        talk::may_see_run(&read, run, self.account, self.role)
    }
}

fn no(code: &'static str, why: &str) -> Refusal {
    Refusal { code, why: why.to_owned() }
}

/// Refusal for another member's private record.
fn not_yours(table: u16) -> Refusal {
    let noun = cards::of_table(table);
    let what = noun.map_or("record", |noun| noun.one);
    let code = noun.and_then(|noun| noun.own).map_or("not_yours", |own| own.code);
    Refusal { code, why: format!("this {what} is or was private to another member") }
}

/// Converts an error of task rules to a refusal.
fn refused<T>(answer: Result<T, TaskError>) -> Result<Option<Refusal>, StoreError> {
    match answer {
        Ok(_) => Ok(None),
        Err(TaskError::Store(error)) => Err(error),
        Err(error) => Ok(Some(Refusal::of(&error))),
    }
}

/// A typed row of a plan: current and restored version.
struct Sides<R> {
    now: Option<R>,
    to: Option<R>,
}

impl<R: Record> Sides<R> {
    fn of(row: &Row) -> Result<Self, StoreError> {
        let decode = |bytes: &Option<Vec<u8>>| -> Result<Option<R>, StoreError> {
            Ok(bytes.as_deref().map(record::read::<R>).transpose()?.map(|(record, _)| record))
        };
        Ok(Self { now: decode(&row.now)?, to: decode(&row.to)? })
    }

    /// A value that is the same in both versions.
    fn get<T>(&self, of: impl Fn(&R) -> T) -> Option<T> {
        self.to.as_ref().or(self.now.as_ref()).map(of)
    }
}

/// Fields to keep, or the whole record if empty, with the reason.
type Held = (&'static [&'static str], Refusal);

impl Guard for Undoer {
    fn table(&self, table: u16) -> bool {
        access::may_undo(self.access, table)
    }

    fn work(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError> {
        match made.table {
            t if t == INPUTS.number => self.input(read, made),
            t if t == INBOX.number => self.item(read, made),
            _ => Ok(None),
        }
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        let mut holds = Vec::new();
        let mut coming = BTreeMap::new();
        for row in after.rows() {
            let held = match row.record.table {
                t if t == TASKS.number => self.task(after, row)?,
                t if t == TASK_LABELS.number => {
                    whole(in_use(after, Sides::<TaskLabel>::of(row)?.get(|one| one.task))?)
                }
                t if t == RELATIONS.number => {
                    whole(in_use(after, Sides::<Relation>::of(row)?.get(|one| one.task))?)
                }
                t if t == STREAMS.number => self.stream(after, row)?,
                t if t == SERIES.number => self.series(after, row)?,
                t if t == COMMENTS.number => self.comment(after, row)?,
                t if t == REACTIONS.number => self.reaction(after, row)?,
                t if t == DELIVERABLES.number => deliverable(after, row)?,
                t if t == VERSIONS.number => {
                    whole(in_use(after, Sides::<Version>::of(row)?.get(|one| one.task))?)
                }
                t if t == REVIEWS.number => self.review(after, row)?,
                t if t == TASK_FILES.number => file(after, row, &mut coming)?,
                t if t == LINKS.number => {
                    whole(in_use(after, Sides::<Link>::of(row)?.get(|one| one.task))?)
                }
                t if t == AGENTS.number => self.agent(after, row)?,
                t if t == SETTINGS.number => settings(row)?,
                t if t == FALLBACKS.number => self.fallbacks(row)?,
                t if t == REACH.number => self.of_all(Sides::<Reach>::of(row)?.get(|one| one.of)),
                t if t == RUN_LIMITS.number => {
                    self.of_all(Sides::<RunLimits>::of(row)?.get(|one| one.of))
                }
                _ => self.of_card(after, row)?,
            };
            let record = &row.record;
            holds.extend(held.into_iter().map(|(fields, refusal)| Hold {
                record: record.clone(),
                fields,
                refusal,
            }));
        }
        holds.extend(too_many_files(after, coming)?);
        // Checked last: a record that stays for another reason closes no cycle.
        if holds.is_empty() {
            holds = waits::circles(after)?;
        }
        Ok(holds)
    }
}

/// The undoer, with the records that were private to others before the undone entries. No field of those versions may
/// be restored to where the undoer can read it.
pub struct Scoped<'a> {
    pub by: &'a Undoer,
    pub private: &'a BTreeSet<Root>,
}

impl Guard for Scoped<'_> {
    fn table(&self, table: u16) -> bool {
        self.by.table(table)
    }

    fn work(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError> {
        self.by.work(read, made)
    }

    fn holds(&self, after: &After<'_>) -> Result<Vec<Hold>, StoreError> {
        let mut holds = self.by.holds(after)?;
        let rows = after.rows().filter(|row| self.private.contains(&row.record));
        holds.extend(rows.map(|row| Hold {
            record: row.record.clone(),
            fields: &[],
            refusal: not_yours(row.record.table),
        }));
        Ok(holds)
    }
}

fn whole(refusal: Option<Refusal>) -> Vec<Held> {
    refusal.map(|refusal| (&[][..], refusal)).into_iter().collect()
}

/// A record of a task changes only while the task is not archived, or is restored together with it.
fn in_use(after: &After<'_>, task: Option<TaskId>) -> Result<Option<Refusal>, StoreError> {
    let Some(id) = task else { return Ok(None) };
    match after.now().get::<Task>(id)? {
        Some(_) if after.get::<Task>(id)?.is_some() => refused(checks::in_use(after, id)),
        _ => Ok(None),
    }
}

fn is_decided(state: DeliverableState) -> bool {
    !matches!(state, DeliverableState::Draft | DeliverableState::InReview)
}

/// An agent's manager must be an unarchived agent and must not close a cycle, also when a former manager is restored.
fn under(after: &After<'_>, agent: AgentId, above: AgentId) -> Result<Option<Refusal>, StoreError> {
    Ok(match after.get::<Agent>(above)?.filter(|above| above.archived_at.is_none()) {
        None => Some(no("agent_archived", "the agent it reported to is archived")),
        Some(_) if above == agent || lines::is_below(after, above, agent)? => {
            let why = "that agent now reports to it, directly or through others";
            Some(no("manager_circle", why))
        }
        Some(_) => None,
    })
}

/// Returns `true` if an unarchived agent would report to this one.
fn leads(after: &After<'_>, chief: AgentId) -> Result<bool, StoreError> {
    for agent in after.now().list::<Agent>(&Range::all())? {
        let then = after.get::<Agent>(agent.id)?.filter(|agent| agent.archived_at.is_none());
        if then.is_some_and(|agent| agent.reports_to == Some(Manager::Agent(chief))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The state of a deliverable must match its review.
fn deliverable(after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
    let sides = Sides::<Deliverable>::of(row)?;
    if let Some(refusal) = in_use(after, sides.get(|one| one.task))? {
        return Ok(whole(Some(refusal)));
    }
    let Some(to) = sides.to else { return Ok(Vec::new()) };
    let decided = is_decided(to.state);
    if sides.now.is_none() || decided == after.get::<Review>(to.version)?.is_some() {
        return Ok(Vec::new());
    }
    let why = match decided {
        true => "its review isn’t restored, so it still needs one",
        false => "its review stays, and so does the decision",
    };
    Ok(vec![(&["state"], no("review_stays", why))])
}

/// A file is added or removed only while its task is not archived. Collects restored files.
fn file(
    after: &After<'_>,
    row: &Row,
    coming: &mut BTreeMap<Place, (isize, Vec<Root>)>,
) -> Result<Vec<Held>, StoreError> {
    let sides = Sides::<TaskFile>::of(row)?;
    let Some(place) = sides.get(|file| file.on) else { return Ok(Vec::new()) };
    let (more, records) = coming.entry(place).or_default();
    match (&sides.now, &sides.to) {
        (None, Some(_)) => {
            *more += 1;
            records.push(row.record.clone());
        }
        (Some(_), None) => *more -= 1,
        _ => {}
    }
    Ok(whole(in_use(after, place.task())?))
}

/// Rejects files above the limit of their task, most recently added first.
fn too_many_files(
    after: &After<'_>,
    coming: BTreeMap<Place, (isize, Vec<Root>)>,
) -> Result<Vec<Hold>, StoreError> {
    let mut holds = Vec::new();
    for (place, (more, records)) in coming {
        if records.is_empty() {
            continue;
        }
        let there = after.now().len(FILES_BY_TASK, &Range::prefix(place.key()))?;
        let most =
            MOST.saturating_sub(there.saturating_add_signed(more - records.len().cast_signed()));
        let refusal = Refusal::of(&FileError::TooMany);
        holds.extend(records.into_iter().skip(most).map(|record| Hold {
            record,
            fields: &[],
            refusal: refusal.clone(),
        }));
    }
    Ok(holds)
}

/// Former task keys must keep resolving.
fn settings(row: &Row) -> Result<Vec<Held>, StoreError> {
    let Sides { now: Some(now), to: Some(to) } = Sides::<Settings>::of(row)? else {
        return Ok(Vec::new());
    };
    let known = |key: &String| *key == to.task_key || to.old_task_keys.contains(key);
    if now.old_task_keys.iter().chain([&now.task_key]).all(known) {
        return Ok(Vec::new());
    }
    let why = "URLs with this key are in use and stay valid; change it on the settings page";
    Ok(vec![(&["task_key"], no("task_key_stays", why))])
}

impl Undoer {
    /// Refusal if nothing can be assigned to this person.
    fn away(&self, after: &After<'_>, account: AccountId) -> Result<Option<Refusal>, StoreError> {
        let member = after.get::<Member>(account)?;
        let name = member.as_ref().map_or("a member", |member| &member.name);
        let (code, why) = match &member {
            Some(member) if member.left_at.is_none() => match self.closed.contains_key(&account) {
                true => ("account_closed", format!("{name}’s account is disabled")),
                false => return Ok(None),
            },
            Some(_) => ("member_left", format!("{name} has left the workspace")),
            None => ("member_left", "that person is no longer a member".to_owned()),
        };
        Ok(Some(Refusal { code, why }))
    }

    /// Refusal if the assignee is gone or archived.
    fn given(
        &self,
        after: &After<'_>,
        to: Option<Assignee>,
    ) -> Result<Option<Refusal>, StoreError> {
        match to {
            Some(Assignee::Person(account)) => self.away(after, account),
            other => refused(checks::assignee(after, other)),
        }
    }

    /// Assignee and stream of a restored task must be valid.
    fn task(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let Sides { now, to: Some(to) } = Sides::<Task>::of(row)? else { return Ok(Vec::new()) };
        if now.as_ref().is_some_and(|now| now.archived_at.is_some()) && to.archived_at.is_some() {
            return Ok(whole(refused(checks::in_use(after.now(), to.id))?));
        }
        let mut held: Vec<Held> = Vec::new();
        if now.as_ref().is_none_or(|now| now.assignee != to.assignee) {
            let refusal = self.given(after, to.assignee)?;
            held.extend(refusal.map(|refusal| (&["assignee"][..], refusal)));
        }
        if now.as_ref().is_none_or(|now| now.stream != to.stream) {
            let refusal = groups::archived_stream(after, to.stream)?;
            held.extend(refusal.map(|refusal| (&["stream"][..], refusal)));
        }
        if now.is_some_and(|now| now.parent != to.parent)
            && let Some(parent) = to.parent
            && let Some(refusal) = refused(checks::parent(after, Some(to.id), parent))?
        {
            held.push((&["parent"], refusal));
        }
        Ok(held)
    }

    /// An agent can be archived but not removed, only HQ marks its files as ready, and its manager must exist.
    fn agent(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let Sides { now: Some(now), to } = Sides::<Agent>::of(row)? else { return Ok(Vec::new()) };
        let Some(to) = to else {
            let why = "agents can be archived but not deleted; archive it on its page";
            return Ok(whole(Some(no("agent_stays", why))));
        };
        let mut held: Vec<Held> = Vec::new();
        let is_set = |status| matches!(status, AgentStatus::Ready | AgentStatus::Paused);
        if now.status != to.status && !(is_set(now.status) && is_set(to.status)) {
            let why = "its state depends on its files, which aren’t part of this undo";
            held.push((&["status"], no("agent_state", why)));
        }
        if now.reports_to != to.reports_to {
            let refusal = match to.reports_to {
                Some(Manager::Person(account)) => self.away(after, account)?,
                Some(Manager::Agent(above)) => under(after, to.id, above)?,
                None => None,
            };
            held.extend(refusal.map(|refusal| (&["reports_to"][..], refusal)));
        }
        if now.archived_at.is_none() && to.archived_at.is_some() && leads(after, to.id)? {
            let why = "other agents now report to it; archive it on its page";
            held.push((&["archived_at"], no("agent_leads", why)));
        }
        Ok(held)
    }

    fn comment(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let sides = Sides::<Comment>::of(row)?;
        let Some(comment) = sides.to.as_ref().or(sides.now.as_ref()) else {
            return Ok(Vec::new());
        };
        if Spot::read(after.now(), comment.on)?.is_none() {
            return Ok(Vec::new());
        }
        // Turning a comment into a note or resolving a thread is not only up to its author.
        let words = |one: &Comment| (one.body.clone(), one.note_only);
        let is_changed = sides.now.as_ref().map(words) != sides.to.as_ref().map(words);
        if is_changed && let Err(error) = Power::of(self.access).check(comment, self.by) {
            return Ok(whole(Some(Refusal::of(&error))));
        }
        match sides.to {
            Some(_) => Ok(whole(in_use(after, comment.on.task())?)),
            None => Ok(Vec::new()),
        }
    }

    /// A reaction can be undone by its author or an admin. It follows its comment.
    fn reaction(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let sides = Sides::<Reaction>::of(row)?;
        let Some((comment, by, on)) = sides.get(|one| (one.comment, one.by, one.on)) else {
            return Ok(Vec::new());
        };
        let stays = after.now().get::<Comment>(comment)?.is_some()
            && after.get::<Comment>(comment)?.is_some();
        let own = by == Assignee::Person(self.account);
        if stays && !own && !self.access.may(Can::Admin) {
            let why = "only the person who reacted or an admin can undo a reaction";
            return Ok(whole(Some(no("reaction_not_yours", why))));
        }
        Ok(whole(in_use(after, on.task())?))
    }

    /// A review can be undone by its reviewer or an admin.
    fn review(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let sides = Sides::<Review>::of(row)?;
        let (task, by) = (sides.get(|review| review.task), sides.get(|review| review.by));
        if by != Some(self.account) && !self.access.may(Can::Admin) {
            let why = "only the reviewer or an admin can undo a review";
            return Ok(whole(Some(no("review_not_yours", why))));
        }
        if let Some(refusal) = in_use(after, task)? {
            return Ok(whole(Some(refusal)));
        }
        let Some(review) = sides.now.filter(|_| sides.to.is_none()) else { return Ok(Vec::new()) };
        let of = after.get::<Version>(review.version)?.map(|version| version.deliverable);
        let piece = of.map(|id| after.get::<Deliverable>(id)).transpose()?.flatten();
        match piece.is_some_and(|piece| piece.version == review.version && is_decided(piece.state))
        {
            true => Ok(whole(Some(no("decision_stays", "the decision stays")))),
            false => Ok(Vec::new()),
        }
    }

    /// The workspace's fallback list is for admins, an agent's for those who may manage agents.
    fn fallbacks(&self, row: &Row) -> Result<Vec<Held>, StoreError> {
        let of_agent = Sides::<Fallbacks>::of(row)?.get(|list| list.agent.is_some());
        match of_agent == Some(true) || self.access.may(Can::Admin) {
            true => Ok(Vec::new()),
            false => Ok(whole(Some(no("not_allowed", "only admins can change this list")))),
        }
    }

    /// The same for host lists and run limits.
    fn of_all(&self, of: Option<ReachOf>) -> Vec<Held> {
        match matches!(of, Some(ReachOf::Agent(_))) || self.access.may(Can::Admin) {
            true => Vec::new(),
            false => {
                whole(Some(no("not_allowed", "only admins can change what applies to all agents")))
            }
        }
    }

    /// A private record can be undone only by its owner.
    fn own(&self, row: &Row) -> Vec<Held> {
        let table = row.record.table;
        let Some(noun) = cards::of_table(table) else { return Vec::new() };
        let all_own = row.now.iter().chain(&row.to).all(|row| noun.is_for(row, self.account));
        whole((!all_own).then(|| not_yours(table)))
    }

    /// Checks of a noun with a descriptor.
    fn of_card(&self, after: &After<'_>, row: &Row) -> Result<Vec<Held>, StoreError> {
        let own = self.own(row);
        let rests = cards::of_table(row.record.table).and_then(|noun| noun.rests);
        let Some(rests) = rests.filter(|_| own.is_empty()) else { return Ok(own) };
        let why = rests(after, row.now.as_deref(), row.to.as_deref())?;
        Ok(whole(why.map(|why| Refusal { code: "in_use", why })))
    }

    /// A message can be taken back by its author if they may talk to agents. A message from a comment follows the
    /// comment.
    fn input(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError> {
        let input = key_of(made).map(|id| read.get::<Input>(id)).transpose()?.flatten();
        let Some(input) = input else { return Ok(None) };
        if let Some(comment) = input.comment {
            return Ok(match read.get::<Comment>(comment)? {
                Some(comment) => {
                    Power::of(self.access).check(&comment, self.by).err().map(|e| Refusal::of(&e))
                }
                None => None,
            });
        }
        if !self.access.may(Can::Chat) {
            return Ok(Some(no(
                "needs_chat",
                "undoing messages needs the permission to chat with agents",
            )));
        }
        let owner = read.get::<Session>(input.session)?.and_then(|session| session.owner);
        let said_by = input.by.account().or(owner);
        match said_by.is_none_or(|account| account == self.account) {
            true => Ok(None),
            false => Ok(Some(no("message_not_yours", "someone else wrote it"))),
        }
    }

    /// Leased work can be taken back by those who may stop runs.
    fn item(&self, read: &dyn Read, made: &Root) -> Result<Option<Refusal>, StoreError> {
        let item = key_of(made).map(|id| read.get::<Item>(id)).transpose()?.flatten();
        let Some(run) = item.filter(Item::is_open).and_then(|item| item.run) else {
            return Ok(None);
        };
        let live = read.get::<Run>(run)?.is_some_and(|run| run.is_live());
        match !live || self.access.may(Can::Chat) {
            true => Ok(None),
            false => Ok(Some(no(
                "needs_chat",
                "a run is working on it, and stopping runs needs the permission to chat with \
                 agents",
            ))),
        }
    }
}
