//! Sets of tasks by related records: comments, files, runs, cost, pending action of a person.

use std::collections::{HashMap, HashSet};

use super::columns::Row;
use super::error::TaskError;
use super::marks;
use super::people::{People, assignee_of};
use super::standing::{self, Standing};
use super::taskset::{self, TaskSet};
use super::terms::{Dated, Watched};
use crate::agents::queries::lines;
use crate::comments::model::Comment;
use crate::deliverables::model::{self as deliverables, Deliverable};
use crate::files::model::TaskFile;
use crate::inbox::model::{self as inbox, Item};
use crate::notifications::model::{self as notices, Recipient};
use crate::notifications::queries as notifications;
use crate::runs::model::{self as runs, Run};
use crate::runs::queries::words;
use crate::tasks::model::Task;
use crate::usage::model::PAYER_DAY;
use kernel::key::{Key as _, KeyBuf};
use kernel::{
    About, AccountId, AgentId, Assignee, Outcome, Payer, RunId, RunState, TaskId, Timestamp,
    WaitFor,
};
use store::columns::{self, Column};
use store::{Range, Read, ReadExt as _, Record, StoreError};

/// A record that belongs to a task.
trait OfTask: Record {
    fn task(&self) -> Option<TaskId>;
}

impl OfTask for Comment {
    fn task(&self) -> Option<TaskId> {
        self.on.task()
    }
}

impl OfTask for TaskFile {
    fn task(&self) -> Option<TaskId> {
        self.on.task()
    }
}

impl OfTask for Deliverable {
    fn task(&self) -> Option<TaskId> {
        Some(self.task)
    }
}

impl OfTask for Run {
    fn task(&self) -> Option<TaskId> {
        self.task
    }
}

/// Task of a record, as a column.
struct Link<R: OfTask<Id: Ord + Send + Sync>> {
    id: R::Id,
    task: Option<TaskId>,
}

impl<R: OfTask<Id: Ord + Send + Sync>> Column for Link<R> {
    type Of = R;
    type Shared = ();

    fn of(record: &R, (): &mut ()) -> Self {
        Self { id: record.id(), task: record.task() }
    }

    fn id(&self) -> R::Id {
        self.id.clone()
    }
}

fn with<R: OfTask<Id: Ord + Send + Sync>>(read: &dyn Read) -> Result<TaskSet, StoreError> {
    columns::with(read, |links: &[Link<R>]| links.iter().filter_map(|link| link.task).collect())
}

/// Tasks with comments.
pub(super) fn comments(read: &dyn Read) -> Result<TaskSet, StoreError> {
    with::<Comment>(read)
}

/// Tasks with files.
pub(super) fn files(read: &dyn Read) -> Result<TaskSet, StoreError> {
    with::<TaskFile>(read)
}

/// Tasks with deliverables.
pub(super) fn deliverables(read: &dyn Read) -> Result<TaskSet, StoreError> {
    with::<Deliverable>(read)
}

/// Tasks with runs.
pub(super) fn runs(read: &dyn Read) -> Result<TaskSet, StoreError> {
    with::<Run>(read)
}

/// Tasks with subtasks that are not archived.
pub(super) fn parts(read: &dyn Read) -> Result<TaskSet, StoreError> {
    columns::with(read, |rows: &[Row]| {
        rows.iter().filter(|row| !row.archived).filter_map(Row::parent).collect()
    })
}

/// Cost per task in micro-dollars.
pub(super) fn costs(read: &dyn Read) -> Result<HashMap<TaskId, i64>, StoreError> {
    let mut costs: HashMap<TaskId, i64> = HashMap::new();
    for (key, micros) in read.sums(PAYER_DAY, &Range::all())? {
        if let Some(Payer::Task(task)) = Payer::take(&mut key.as_slice()) {
            *costs.entry(task).or_default() += micros;
        }
    }
    Ok(costs)
}

/// Tasks with unread notifications of a member.
pub(super) fn unread(read: &dyn Read, who: Assignee) -> Result<TaskSet, StoreError> {
    let Some(member) = who.person() else { return Ok(TaskSet::default()) };
    let range = Range::prefix(KeyBuf::of(&member));
    let news: Vec<Recipient> = read.scan(notices::RECIPIENT_UNREAD, &range)?;
    let task = |about: About| match about {
        About::Task(id) => Some(id),
        _ => None,
    };
    Ok(news.into_iter().filter_map(|one| task(one.about)).collect())
}

/// What a member follows: explicitly, or as creator or assignee, or through their agents.
pub(super) fn watched(
    read: &dyn Read,
    people: &People,
    member: AccountId,
) -> Result<Watched, StoreError> {
    let (mut with, mut without) = (HashSet::new(), HashSet::new());
    for watch in notifications::followed(read, member)? {
        if let About::Task(id) = watch.about {
            if watch.muted {
                without.insert(id)
            } else {
                with.insert(id)
            };
        }
    }
    let mut owners = vec![Assignee::Person(member)];
    for agent in people.agents() {
        if lines::first_person(read, agent.id)? == Some(member) {
            owners.push(Assignee::Agent(agent.id));
        }
    }
    Ok(Watched { maker: Assignee::Person(member), owners, with, without })
}

/// Finds the person who has to act when a task is stuck: the creator, else the first person above its agent, else
/// everybody. Caches the result per agent.
struct Lines<'r> {
    read: &'r dyn Read,
    first: HashMap<AgentId, Option<AccountId>>,
}

impl<'r> Lines<'r> {
    fn new(read: &'r dyn Read) -> Self {
        Self { read, first: HashMap::new() }
    }

    fn first_person(&mut self, agent: AgentId) -> Result<Option<AccountId>, StoreError> {
        if let Some(known) = self.first.get(&agent) {
            return Ok(*known);
        }
        let found = lines::first_person(self.read, agent)?;
        self.first.insert(agent, found);
        Ok(found)
    }

    /// The responsible person, or `None` for everybody.
    fn acts(
        &mut self,
        (maker, assignee): (Assignee, Option<Assignee>),
    ) -> Result<Option<AccountId>, StoreError> {
        match (maker, assignee) {
            (Assignee::Person(maker), _) => Ok(Some(maker)),
            (_, Some(Assignee::Agent(agent))) | (Assignee::Agent(agent), _) => {
                self.first_person(agent)
            }
            _ => Ok(None),
        }
    }

    fn concerns(
        &mut self,
        whose: (Assignee, Option<Assignee>),
        who: Option<Assignee>,
    ) -> Result<bool, StoreError> {
        let Some(who) = who else { return Ok(true) };
        let acts = self.acts(whose)?;
        Ok(acts.is_none_or(|account| who == Assignee::Person(account)))
    }
}

/// The person who has to act when a task is stuck, or `None` for everybody.
pub fn acts(read: &dyn Read, task: &Task) -> Result<Option<AccountId>, StoreError> {
    Lines::new(read).acts((assignee_of(task.created_by), task.assignee))
}

/// Tasks that nothing will start and on which somebody has to act, at most `limit`, longest inactive first.
pub fn alone(
    read: &dyn Read,
    who: Assignee,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Task>, StoreError> {
    let items: Vec<Item> = read.scan(inbox::OPEN_BY_TASK, &Range::all())?;
    let live = read.scan::<Run>(runs::RUN_LIVE, &Range::all())?;
    let busy = items.iter().filter_map(|item| item.task);
    let busy: TaskSet = busy.chain(live.iter().filter_map(|run| run.task)).collect();
    let mut resting: Vec<Of> = of(read, &quiet(read, &busy, now)?)?;
    resting.sort_by_key(|row| (row.updated, row.id));
    let mut lines = Lines::new(read);
    let mut found = Vec::new();
    for row in resting {
        if limit <= found.len() {
            break;
        }
        if !lines.concerns(row.whose, Some(who))? {
            continue;
        }
        let Some(task) = read.get::<Task>(row.id)? else { continue };
        if standing::standing(read, &task, now)? == Standing::Alone {
            found.push(task);
        }
    }
    Ok(found)
}

/// People of a task, from the columns.
struct Of {
    id: TaskId,
    /// Creator and assignee.
    whose: (Assignee, Option<Assignee>),
    archived: bool,
    /// In milliseconds.
    updated: Option<i64>,
}

/// Reads these tasks from the columns. Omits tasks missing there.
fn of(read: &dyn Read, tasks: &TaskSet) -> Result<Vec<Of>, StoreError> {
    columns::with(read, |rows: &[Row]| {
        let of = |row: &Row| Of {
            id: row.id,
            whose: (row.rest.creator, row.assignee),
            archived: row.archived,
            updated: row.dated(Dated::Updated),
        };
        taskset::named(rows, tasks.ids()).map(of).collect()
    })
}

/// Tasks that wait for a person. A task that a person created waits for its creator; any other waits for the first
/// person above its agent, or for everybody if there is none.
pub(super) fn waiting(
    read: &dyn Read,
    who: Option<Assignee>,
    now: Timestamp,
) -> Result<TaskSet, TaskError> {
    let pieces: Vec<Deliverable> = read.scan(deliverables::IN_REVIEW, &Range::all())?;
    let mut found: Vec<TaskId> = pieces.iter().map(|piece| piece.task).collect();
    let mut busy: Vec<TaskId> = Vec::new();
    for run in read.scan::<Run>(runs::RUN_LIVE, &Range::all())? {
        let needs_person = |waits: WaitFor| waits.needs_person() || waits == WaitFor::Budget;
        let waits = run.state == RunState::Waiting && run.waits_for().is_some_and(needs_person);
        busy.extend(run.task);
        found.extend(run.task.filter(|_| waits));
    }
    let items: Vec<Item> = read.scan(inbox::OPEN_BY_TASK, &Range::all())?;
    busy.extend(items.iter().filter_map(|item| item.task));
    found.extend(quiet(read, &busy.into_iter().collect(), now)?.into_ids());
    let mut lines = Lines::new(read);
    let mut wanted = Vec::new();
    for row in of(read, &found.into_iter().collect())? {
        if !row.archived && lines.concerns(row.whose, who)? {
            wanted.push(row.id);
        }
    }
    Ok(wanted.into_iter().collect())
}

/// End of a run, as a column.
struct Ended {
    id: RunId,
    task: Option<TaskId>,
    /// In milliseconds. `None` for an active run.
    at: Option<i64>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    Failed,
    Stopped,
}

impl Column for Ended {
    type Of = Run;
    type Shared = ();

    fn of(run: &Run, (): &mut ()) -> Self {
        let end = match &run.outcome {
            Some(Outcome::Stopped { .. }) => End::Stopped,
            Some(outcome) if words::is_bad(outcome) => End::Failed,
            _ => End::Well,
        };
        Self { id: run.id, task: run.task, at: run.ended_at.map(Timestamp::as_millisecond), end }
    }

    fn id(&self) -> RunId {
        self.id
    }
}

/// Open tasks of agents that nothing will start: the last run failed, or there is no run. The batch form of `standing`.
fn quiet(read: &dyn Read, busy: &TaskSet, now: Timestamp) -> Result<TaskSet, StoreError> {
    let ended = last_ends(read)?;
    let since = now.as_millisecond() - standing::ALONE_AFTER_MS;
    let (failed, resting) = columns::with(read, |rows: &[Row]| {
        let (mut failed, mut resting, mut parents) = (Vec::new(), Vec::new(), Vec::new());
        let mut ended = ended.as_slice();
        for row in rows.iter().filter(|row| row.status.is_open() && !row.archived) {
            parents.extend(row.parent());
            let of_agent = row.assignee.is_some_and(|who| who.agent().is_some());
            if !of_agent || busy.contains(row.id) {
                continue;
            }
            ended = &ended[taskset::ahead(ended, |(task, _)| *task < row.id)..];
            let own = ended.first().filter(|(task, _)| *task == row.id).map(|(_, end)| *end);
            let changed = row.dated(Dated::Updated).unwrap_or(0);
            match own.filter(|(at, _)| changed <= *at) {
                Some((_, End::Failed)) => failed.push(row.id),
                Some((_, End::Stopped)) => {}
                _ if own.map_or(changed, |(at, _)| at.max(changed)) <= since => {
                    resting.push(row.id);
                }
                _ => {}
            }
        }
        let waits: TaskSet = parents.into_iter().collect();
        resting.retain(|id| !waits.contains(*id));
        (failed, resting.into_iter().collect::<TaskSet>())
    })?;
    let blocked = marks::blocked_among(read, &resting)?;
    let alone = resting.into_ids().filter(|id| !blocked.contains_key(id));
    Ok(failed.into_iter().chain(alone).collect())
}

/// A task with the time, in milliseconds, and outcome of its last run.
type LastEnd = (TaskId, (i64, End));

/// Outcome of the last run per task, in task order.
fn last_ends(read: &dyn Read) -> Result<Vec<LastEnd>, StoreError> {
    columns::with(read, |runs: &[Ended]| {
        let ended = runs.iter().rev().filter_map(|run| Some((run.task?, (run.at?, run.end))));
        let mut all: Vec<LastEnd> = ended.collect();
        // Run ids grow with time, so the last run of a task comes first. The sort is stable.
        all.sort_by_key(|(task, _)| *task);
        all.dedup_by_key(|(task, _)| *task);
        all
    })
}
