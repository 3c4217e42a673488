//! What people do: they make tasks, take them, talk about them, finish them and judge what was delivered.

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{Company, Job, Out, SeedError};
use features::comments::rules::{self as comments, Reach};
use features::deliverables::rules::{self as deliverables, NewReview};
use features::notifications::queries::Wanted;
use features::notifications::rules as notifications;
use features::tasks::model::Task;
use features::tasks::model::label::LabelId;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::{due, relations as ties};
use features::tasks::rules::{self as tasks, NewTask, labels, relations, templates};
use kernel::{Assignee, DeliverableId, Priority, RelationKind, TaskId, TaskStatus, Verdict};
use store::{ReadExt as _, WriteTx};

/// How many tasks of a stream may still be spoken of.
const RECENT: usize = 40;
/// How many unread notifications somebody reads in the morning.
const READ: usize = 500;

/// Something that a person will do with a task.
#[derive(Clone, Copy)]
pub(super) struct Errand {
    pub task: TaskId,
    /// Which person.
    pub by: usize,
    pub deed: Deed,
}

/// What a person does with a task.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// Gives it to themselves.
    Take,
    /// Begins it, or notes that it cannot go on.
    Begin,
    /// Says something.
    Talk,
    /// Finishes it, once nothing holds it up.
    Finish,
    /// Gives it up.
    GiveUp,
    /// Puts what is over out of the way.
    Archive,
    /// Looks at delivered work.
    Judge(DeliverableId),
}

/// What a job of this moment was for.
pub(super) enum For {
    /// New tasks of a stream, and who has them.
    New(usize, Whose),
    Errand(Errand),
    /// A step of a run, by its place.
    Step(usize),
}

/// Who has new tasks.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    Person(usize),
    Agent,
    Nobody,
}

/// How two tasks belong together.
type Tie = (RelationKind, TaskId);

impl Company {
    /// A person makes a task, at times one of several parts. Says how many tasks it will be.
    pub(super) fn new_work(&mut self, room: u32, agents_too: bool) -> (Job<For>, u32) {
        let stream = self.dice.below(self.streams.len());
        let by = self.dice.below(self.people.len());
        let whose = if agents_too && self.dice.chance(self.plan.given) {
            Whose::Agent
        } else if self.dice.chance(700) {
            Whose::Person(self.dice.below(self.people.len()))
        } else {
            Whose::Nobody
        };
        let mut new = self.described(stream);
        new.assignee = match whose {
            Whose::Person(n) => Some(Assignee::Person(self.people[n].account)),
            Whose::Agent => Some(Assignee::Agent(self.free_worker(stream))),
            Whose::Nobody => None,
        };
        let alone = matches!(whose, Whose::Agent);
        let parts = match !alone && 5 < room && self.dice.chance(50) {
            true => (0..self.dice.within(2, 4)).map(|_| self.described(stream)).collect(),
            false => Vec::new(),
        };
        let labels = self.some_labels();
        let tie = self.tie(stream, alone);
        let count = 1 + u32::try_from(parts.len()).unwrap_or(0);
        let act = Box::new(move |tx: &mut WriteTx<'_>| made(tx, new, parts, &labels, tie));
        let by = (self.people[by].by, self.request());
        (Job { by, act, what: For::New(stream, whose) }, count)
    }

    /// A task as somebody writes it down.
    fn described(&mut self, stream: usize) -> NewTask {
        let title = self.words.title(&mut self.dice, stream);
        let mut new = NewTask::titled(title);
        if self.dice.chance(400) {
            new.description = self.words.say(&mut self.dice, "description");
        }
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
                new.start_at = self.day_end(days / 3).map(|at| at.min(new.due_at.unwrap_or(at)));
            }
        }
        new
    }

    /// The end of a day so many days from now.
    fn day_end(&self, days: usize) -> Option<Timestamp> {
        let (now, zone) = (self.app.clock.now(), jiff::tz::TimeZone::UTC);
        let days = i64::try_from(days).unwrap_or(0);
        let day = due::day(now, &zone).checked_add(days.days()).ok()?;
        due::parse(&day.to_string(), &zone, now).ok().flatten()
    }

    fn some_labels(&mut self) -> Vec<LabelId> {
        let count = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][self.dice.below(10)];
        let mut labels: Vec<LabelId> = (0..count).map(|_| *self.dice.pick(&self.labels)).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// A relation to another task of the stream. What agents get can begin at once.
    fn tie(&mut self, stream: usize, alone: bool) -> Option<Tie> {
        let throw = self.dice.below(1_000);
        let near = self.recent[stream].len().min(RECENT);
        if near == 0 || 110 <= throw {
            return None;
        }
        let other = self.recent[stream][self.dice.below(near)];
        let kind = match throw < 60 && !alone {
            true => RelationKind::BlockedBy,
            false => RelationKind::RelatesTo,
        };
        Some((kind, other))
    }

    /// Notes what will become of new tasks.
    pub(super) fn expect(&mut self, stream: usize, whose: Whose, new: Vec<TaskId>) {
        let day = self.ticks_a_day();
        for task in new {
            self.made += 1;
            let recent = &mut self.recent[stream];
            recent.push_front(task);
            recent.truncate(RECENT);
            let by = match whose {
                Whose::Person(n) => n,
                Whose::Agent | Whose::Nobody => self.dice.below(self.people.len()),
            };
            let talks = [0, 0, 0, 0, 1, 1, 1, 2, 3, 4][self.dice.below(10)];
            match whose {
                // What an agent does with it follows from its inbox.
                Whose::Agent => {
                    if self.dice.chance(120) {
                        let at = self.dice.lag(2 * day);
                        self.note(at, Errand { task, by, deed: Deed::Talk });
                    }
                    continue;
                }
                Whose::Nobody if self.dice.chance(250) => continue,
                Whose::Person(_) | Whose::Nobody => {}
            }
            let begin = self.dice.lag(day);
            let end = begin + self.dice.lag(2 * day);
            if matches!(whose, Whose::Nobody) {
                self.note(begin, Errand { task, by, deed: Deed::Take });
            }
            self.note(begin + 1, Errand { task, by, deed: Deed::Begin });
            for _ in 0..talks {
                let (at, by) = (self.dice.within(1, end), self.dice.below(self.people.len()));
                self.note(at, Errand { task, by, deed: Deed::Talk });
            }
            let deed = if self.dice.chance(60) { Deed::GiveUp } else { Deed::Finish };
            self.note(end + 1, Errand { task, by, deed });
            if self.dice.chance(30) {
                self.note(end + 3 * day, Errand { task, by, deed: Deed::Archive });
            }
        }
    }

    /// Puts an errand on the agenda, so many ticks from now.
    pub(super) fn note(&mut self, after: usize, errand: Errand) {
        self.agenda.entry(self.tick + after.max(1)).or_default().push(errand);
    }

    /// Delivered work will be looked at.
    pub(super) fn expect_review(&mut self, task: TaskId, piece: DeliverableId) {
        let (day, by) = (self.ticks_a_day(), self.dice.below(self.people.len()));
        let after = self.dice.within(day / 2, 2 * day);
        self.note(after, Errand { task, by, deed: Deed::Judge(piece) });
    }

    /// What people do at this moment.
    pub(super) fn errands(&mut self) -> Vec<Job<For>> {
        let later = self.agenda.split_off(&(self.tick + 1));
        let now = std::mem::replace(&mut self.agenda, later);
        now.into_values().flatten().map(|errand| self.errand(errand)).collect()
    }

    fn errand(&mut self, errand: Errand) -> Job<For> {
        let Errand { task, by, deed } = errand;
        let who = &self.people[by];
        let (own, by) = (Assignee::Person(who.account), (who.by, self.request()));
        let act: super::Act = match deed {
            Deed::Take => {
                Box::new(move |tx: &mut WriteTx<'_>| done(tasks::assign(tx, task, Some(own))))
            }
            Deed::Begin => Box::new(move |tx: &mut WriteTx<'_>| begun(tx, task)),
            Deed::Talk => {
                let mut text = self.words.say(&mut self.dice, "ask");
                if self.dice.chance(150) {
                    let other = self.dice.pick(&self.people);
                    text = format!("@{} {text}", other.handle);
                }
                Box::new(move |tx: &mut WriteTx<'_>| {
                    Ok(comments::add(tx, task, &text, Reach::Usual).map(|_| Out::Done)?)
                })
            }
            Deed::Finish => Box::new(move |tx: &mut WriteTx<'_>| finished(tx, task)),
            Deed::GiveUp => Box::new(move |tx: &mut WriteTx<'_>| {
                done(tasks::set_status(tx, task, TaskStatus::Cancelled))
            }),
            Deed::Archive => Box::new(move |tx: &mut WriteTx<'_>| match is_open(tx, task)? {
                true => Ok(Out::Done),
                false => done(tasks::archive(tx, task)),
            }),
            Deed::Judge(deliverable) => {
                let (verdict, kind) = match self.dice.below(100) {
                    0..=79 => (Verdict::Approved, "approve"),
                    80..=94 => (Verdict::ChangesRequested, "change"),
                    _ => (Verdict::Rejected, "reject"),
                };
                let note = self.words.say(&mut self.dice, kind);
                let new = NewReview { deliverable, version: None, verdict, note };
                Box::new(move |tx: &mut WriteTx<'_>| {
                    Ok(deliverables::review(tx, new).map(|_| Out::Done)?)
                })
            }
        };
        Job { by, act, what: For::Errand(errand) }
    }

    /// Somebody makes all tasks of a template.
    pub(super) async fn use_template(&mut self) -> Result<(), SeedError> {
        let (template, how) = self.spawning();
        let stream = self.streams.iter().position(|id| Some(*id) == how.stream).unwrap_or(0);
        let by = self.dice.below(self.people.len());
        let act = Box::new(move |tx: &mut WriteTx<'_>| {
            Ok(Out::Tasks(templates::spawn(tx, template, &how)?.tasks))
        });
        let by = (self.people[by].by, self.request());
        let whose = Whose::Person(self.dice.below(self.people.len()));
        let done = self.piece(vec![Job { by, act, what: () }]).await?;
        for ((), out) in done {
            if let Some(Out::Tasks(new)) = out {
                self.expect(stream, whose, new);
            }
        }
        Ok(())
    }

    /// In the morning people read what came since.
    pub(super) async fn read_mail(&mut self) -> Result<(), SeedError> {
        let mut jobs = Vec::new();
        for person in &self.people {
            let act: super::Act = Box::new(|tx: &mut WriteTx<'_>| {
                notifications::read_all(tx, Wanted::default(), READ)?;
                Ok(Out::Done)
            });
            jobs.push(Job { by: (person.by, self.request()), act, what: () });
        }
        self.piece(jobs).await.map(drop)
    }
}

/// What a rule of tasks came to.
fn done(result: Result<Task, TaskError>) -> Result<Out, SeedError> {
    Ok(result.map(|_| Out::Done)?)
}

fn is_open(tx: &WriteTx<'_>, task: TaskId) -> Result<bool, SeedError> {
    Ok(tx.get::<Task>(task)?.is_some_and(|task| task.status.is_open()))
}

/// Makes a task with its labels and what it belongs to, and its parts.
fn made(
    tx: &mut WriteTx<'_>,
    new: NewTask,
    parts: Vec<NewTask>,
    labels: &[LabelId],
    tie: Option<Tie>,
) -> Result<Out, SeedError> {
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
    if let Some((kind, other)) = tie {
        // The other may be out of the way by now; the task is there all the same.
        let related = tx.attempt(|tx| relations::relate(tx, whole.id, kind, other));
        if let Err(TaskError::Store(error)) = related {
            return Err(error.into());
        }
    }
    Ok(Out::Tasks(all))
}

/// Begins a task; one that has to wait is blocked.
fn begun(tx: &mut WriteTx<'_>, task: TaskId) -> Result<Out, SeedError> {
    let waits = !ties::open_blockers(tx, task)?.is_empty();
    let to = if waits { TaskStatus::Blocked } else { TaskStatus::InProgress };
    match tx.get::<Task>(task)? {
        Some(task) if task.status == TaskStatus::Todo => done(tasks::set_status(tx, task.id, to)),
        _ => Ok(Out::Done),
    }
}

/// Finishes a task that is open, once nothing holds it up.
fn finished(tx: &mut WriteTx<'_>, task: TaskId) -> Result<Out, SeedError> {
    if !is_open(tx, task)? {
        return Ok(Out::Done);
    }
    match ties::open_blockers(tx, task)?.is_empty() {
        true => done(tasks::set_status(tx, task, TaskStatus::Done)),
        false => Ok(Out::Later),
    }
}

/// How long before the end nothing new is begun: what waits is seen to.
pub(super) const EVENING: SignedDuration = SignedDuration::from_hours(4);
