//! Actions of people: creating, starting, discussing and finishing tasks, and reviewing deliverables.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{Company, DemoError, Job, Out};
use features::comments::rules::{self as comments, Reach};
use features::deliverables::rules::{self as deliverables, NewReview};
use features::notifications::queries::Wanted;
use features::notifications::rules as notifications;
use features::tasks::model::Task;
use features::tasks::model::label::LabelId;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{due, relations as found};
use features::tasks::rules::templates::{self, Spawn};
use features::tasks::rules::{self as tasks, NewTask, labels, relations};
use kernel::{Assignee, DeliverableId, Priority, RelationKind, TaskId, TaskStatus, Verdict};
use store::{ReadExt as _, WriteTx};

/// Latest tasks per stream that new ones may relate to.
const RECENT: usize = 40;
/// Unread notifications that a person reads per morning.
const READ: usize = 500;
/// No new work starts this long before the end.
pub(super) const EVENING: SignedDuration = SignedDuration::from_hours(4);

/// A planned action; retried later if it returns `Later`.
pub(super) type Deed = Arc<dyn Fn(&mut WriteTx<'_>) -> Result<Out, DemoError> + Send + Sync>;

/// Context of a job.
pub(super) enum For {
    /// New tasks of a stream, with their assignee.
    New(usize, Whose),
    /// A planned action of a person.
    Deed(usize, Deed),
    /// A step of a run, by index.
    Step(usize),
}

/// The tasks of a stream that have not come up in this round.
#[derive(Clone, Default)]
pub(super) struct Deck {
    left: Vec<usize>,
    /// Rounds so far, including this one.
    rounds: usize,
}

/// Assignee of new tasks.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    Person(usize),
    Agent,
    Nobody,
}

impl Company {
    fn somebody(&mut self) -> usize {
        self.dice.below(self.people.len())
    }

    /// A person creates a task, sometimes with subtasks. Returns the number of tasks.
    pub(super) fn new_work(&mut self, room: u32, agents_too: bool) -> (Job<For>, u32) {
        let stream = self.dice.below(self.streams.len());
        let by = self.somebody();
        let mut new = self.described(stream);
        let (whose, assignee) = if agents_too && self.dice.chance(self.plan.given) {
            let all = self.workers_of(stream);
            (Whose::Agent, Some(Assignee::Agent(*self.dice.pick(&all))))
        } else if self.dice.chance(700) {
            let n = self.somebody();
            (Whose::Person(n), Some(Assignee::Person(self.people[n].account)))
        } else {
            (Whose::Nobody, None)
        };
        new.assignee = assignee;
        let is_agents = matches!(whose, Whose::Agent);
        let parts: Vec<NewTask> = match !is_agents && 5 < room && self.dice.chance(50) {
            true => self.parts(stream),
            false => Vec::new(),
        };
        let labels = self.some_labels();
        let relation = self.relation(stream, is_agents);
        let count = 1 + u32::try_from(parts.len()).unwrap_or(0);
        let job = Job::new(self.request(by), For::New(stream, whose), move |tx| {
            made(tx, new, parts, &labels, relation)
        });
        (job, count)
    }

    /// The next task of a stream, with its description.
    pub(super) fn next_task(&mut self, stream: usize) -> NewTask {
        let deck = &mut self.decks[stream];
        let at = match deck.left.pop() {
            Some(at) => at,
            None => {
                deck.left = self.dice.shuffled(self.texts.streams[stream].tasks.len());
                deck.rounds += 1;
                deck.left.pop().unwrap_or(0)
            }
        };
        let (title, about) = self.texts.task(stream, at, deck.rounds - 1);
        let mut new = NewTask::titled(title);
        if self.dice.chance(700) {
            new.description = about;
            if self.dice.chance(250) {
                let more = self.texts.say(&mut self.dice, "description");
                new.description = format!("{}\n\n{more}", new.description);
            }
        }
        new
    }

    /// Subtasks with different titles.
    fn parts(&mut self, stream: usize) -> Vec<NewTask> {
        let all = self.texts.all("part").to_vec();
        let (count, order) = (self.dice.within(2, 4), self.dice.shuffled(all.len()));
        let titles = order.into_iter().take(count).map(|at| all[at].clone());
        titles.map(|title| self.planned(stream, NewTask::titled(title))).collect()
    }

    fn described(&mut self, stream: usize) -> NewTask {
        let new = self.next_task(stream);
        self.planned(stream, new)
    }

    /// Adds a random priority and dates.
    fn planned(&mut self, stream: usize, mut new: NewTask) -> NewTask {
        new.priority = match self.dice.below(100) {
            0..=4 => Priority::Urgent,
            5..=21 => Priority::High,
            22..=74 => Priority::Medium,
            _ => Priority::Low,
        };
        new.stream = Some(self.streams[stream]);
        if self.dice.chance(450) {
            let days = self.dice.lag(9);
            new.due_at = self.day_end(days);
            if self.dice.chance(200) {
                new.start_at = self.day_end(days / 3).min(new.due_at);
            }
        }
        new
    }

    /// End of the day `days` from now.
    fn day_end(&self, days: usize) -> Option<Timestamp> {
        let now = self.app.clock.now();
        let days = i64::try_from(days).unwrap_or(0);
        let day = due::day(now, &TimeZone::UTC).checked_add(days.days()).ok()?;
        due::parse(&day.to_string(), &TimeZone::UTC, now).ok().flatten()
    }

    fn some_labels(&mut self) -> Vec<LabelId> {
        let count = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][self.dice.below(10)];
        let mut labels: Vec<LabelId> = (0..count).map(|_| *self.dice.pick(&self.labels)).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// A relation to another task of the stream. Tasks of agents are never blocked.
    fn relation(&mut self, stream: usize, is_agents: bool) -> Option<(RelationKind, TaskId)> {
        let kind = match self.dice.below(1_000) {
            0..60 if !is_agents => RelationKind::BlockedBy,
            0..110 => RelationKind::RelatesTo,
            _ => return None,
        };
        let near = self.recent[stream].len();
        (0 < near).then(|| (kind, self.recent[stream][self.dice.below(near)]))
    }

    /// Plans what happens to new tasks.
    pub(super) fn expect(&mut self, stream: usize, whose: Whose, new: Vec<TaskId>) {
        let day = self.ticks_a_day();
        for task in new {
            self.made += 1;
            self.recent[stream].push_front(task);
            self.recent[stream].truncate(RECENT);
            let by = match whose {
                // The agent's work follows from its inbox.
                Whose::Agent => {
                    if self.dice.chance(120) {
                        let at = self.dice.lag(2 * day);
                        self.expect_comment(at, task);
                    }
                    continue;
                }
                Whose::Nobody if self.dice.chance(250) => continue,
                Whose::Nobody => self.somebody(),
                Whose::Person(n) => n,
            };
            let begin = self.dice.lag(day);
            let end = begin + self.dice.lag(2 * day);
            if matches!(whose, Whose::Nobody) {
                let own = Assignee::Person(self.people[by].account);
                self.note(begin, by, move |tx| done(tasks::assign(tx, task, Some(own))));
            }
            self.note(begin + 1, by, move |tx| begun(tx, task));
            for _ in 0..[0, 0, 0, 0, 1, 1, 1, 2, 3, 4][self.dice.below(10)] {
                let at = self.dice.within(1, end);
                self.expect_comment(at, task);
            }
            match self.dice.chance(60) {
                true => self.note(end + 1, by, move |tx| {
                    done(tasks::set_status(tx, task, TaskStatus::Cancelled))
                }),
                false => self.note(end + 1, by, move |tx| finished(tx, task)),
            }
        }
    }

    /// Plans an action of a person in `after` ticks.
    fn note(
        &mut self,
        after: usize,
        by: usize,
        deed: impl Fn(&mut WriteTx<'_>) -> Result<Out, DemoError> + Send + Sync + 'static,
    ) {
        self.later(after, by, Arc::new(deed));
    }

    pub(super) fn later(&mut self, after: usize, by: usize, deed: Deed) {
        self.agenda.entry(self.tick + after.max(1)).or_default().push((by, deed));
    }

    /// Plans a comment on a task.
    fn expect_comment(&mut self, after: usize, task: TaskId) {
        let mut text = self.texts.say(&mut self.dice, "ask");
        if self.dice.chance(150) {
            let other = self.somebody();
            text = format!("@{} {text}", self.people[other].handle);
        }
        let by = self.somebody();
        self.note(after, by, move |tx| done(comments::add(tx, task, &text, Reach::Usual)));
    }

    /// Plans a review of a deliverable.
    pub(super) fn expect_review(&mut self, deliverable: DeliverableId) {
        let (day, by) = (self.ticks_a_day(), self.somebody());
        let after = self.dice.within(day / 2, 2 * day);
        let (verdict, kind) = match self.dice.below(100) {
            0..=79 => (Verdict::Approved, "approve"),
            80..=94 => (Verdict::ChangesRequested, "change"),
            _ => (Verdict::Rejected, "reject"),
        };
        let note = self.texts.say(&mut self.dice, kind);
        self.note(after, by, move |tx| {
            let new = NewReview { deliverable, version: None, verdict, note: note.clone() };
            done(deliverables::review(tx, new))
        });
    }

    /// The actions that are due at this tick.
    pub(super) fn deeds(&mut self) -> Vec<Job<For>> {
        let later = self.agenda.split_off(&(self.tick + 1));
        let now = std::mem::replace(&mut self.agenda, later);
        let job = |(by, deed): (usize, Deed)| {
            Job::new(self.request(by), For::Deed(by, Arc::clone(&deed)), move |tx| deed(tx))
        };
        now.into_values().flatten().map(job).collect()
    }

    /// A person applies a template; its roles are people.
    pub(super) async fn use_template(&mut self) -> Result<(), DemoError> {
        let template = *self.dice.pick(&self.templates);
        let stream = self.dice.below(self.streams.len());
        let mut roles = HashMap::new();
        for role in ["lead", "people", "web"] {
            let who = self.somebody();
            let who = Some(Assignee::Person(self.people[who].account));
            roles.insert(role.to_owned(), who);
        }
        let how = Spawn { stream: Some(self.streams[stream]), parent: None, roles };
        let (by, whose) = (self.somebody(), Whose::Person(self.somebody()));
        let made = self.act(by, move |tx| templates::spawn(tx, template, &how)).await?;
        self.expect(stream, whose, made.tasks);
        Ok(())
    }

    /// In the morning, people read new notifications.
    pub(super) async fn read_mail(&self) -> Result<(), DemoError> {
        for n in 0..self.people.len() {
            self.act(n, |tx| notifications::read_all(tx, Wanted::default(), READ)).await?;
        }
        Ok(())
    }
}

/// Drops the record that a rule returns.
fn done<T, E: Into<DemoError>>(result: Result<T, E>) -> Result<Out, DemoError> {
    result.map(|_| Out::Done).map_err(E::into)
}

/// Creates a task with labels, relation and subtasks.
fn made(
    tx: &mut WriteTx<'_>,
    new: NewTask,
    parts: Vec<NewTask>,
    labels: &[LabelId],
    relation: Option<(RelationKind, TaskId)>,
) -> Result<Out, DemoError> {
    let whole = tasks::create(tx, new)?;
    let mut all = vec![whole.id];
    if !labels.is_empty() {
        labels::change(tx, whole.id, labels, &[])?;
    }
    for mut part in parts {
        part.parent = Some(whole.id);
        part.assignee = whole.assignee;
        all.push(tasks::create(tx, part)?.id);
    }
    if let Some((kind, other)) = relation {
        // If the relation is refused, the task has none.
        let related = tx.attempt(|tx| relations::relate(tx, whole.id, kind, other));
        if let Err(TaskError::Store(error)) = related {
            return Err(error.into());
        }
    }
    Ok(Out::Tasks(all))
}

/// Starts a task; a task with open blockers becomes blocked.
fn begun(tx: &mut WriteTx<'_>, task: TaskId) -> Result<Out, DemoError> {
    let waits = !found::open_blockers(tx, task)?.is_empty();
    let to = if waits { TaskStatus::Blocked } else { TaskStatus::InProgress };
    match tx.get::<Task>(task)? {
        Some(task) if task.status == TaskStatus::Todo => done(tasks::set_status(tx, task.id, to)),
        _ => Ok(Out::Done),
    }
}

/// Completes an open task once nothing blocks it.
fn finished(tx: &mut WriteTx<'_>, task: TaskId) -> Result<Out, DemoError> {
    if !tx.get::<Task>(task)?.is_some_and(|task| task.status.is_open()) {
        return Ok(Out::Done);
    }
    match found::open_blockers(tx, task)?.is_empty() {
        true => done(tasks::set_status(tx, task, TaskStatus::Done)),
        false => Ok(Out::Later),
    }
}
