//! Activity sentences: verb, object and link for each event.

mod card;
mod counted;
mod programs;
mod routines;
mod whole;
pub(super) mod rows;

use crate::agents::model::Agent;
use crate::cards;
use crate::comments::model::Comment;
use crate::connections::model::Connection;
use crate::deliverables::model::Deliverable;
use crate::files::model::TaskFile;
use crate::history::queries::readable::Eye;
use crate::runs::model::Run;
use crate::streams::model::Stream;
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries as tasks;
use crate::tasks::queries::people::People;
use crate::usage::model::budget::Budget;
use crate::usage::queries::budgets;
use crate::workspace::model::SETTINGS;
use kernel::text::{ellipsis, listed};
use kernel::{
    AgentId, AgentStatus, Assignee, CommentId, ConnectionId, DeliverableId, Event, FileId, Manager,
    Payer, Period, RunId, StreamId, TaskField, TaskId, Verdict,
};
use store::{Entry, Read, ReadExt, Schema, StoreError};
use web::{format, md};

use entity::Area;

pub use counted::Counted;
use counted::{Kinds, Work};

/// Maximum length of a displayed title.
const MAX_TITLE: usize = 90;

/// Verbs of connections.
const ADDED: &str = "added the connection";
const UPDATED: &str = "updated the connection";

/// Sentence that follows the actor's name, such as "moved **MC-3 Buy milk** to Done".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Subject of the sentence if it is not the author of the entry. A run is ended by its agent, even if HQ records
    /// it.
    pub by: Option<Assignee>,
    /// Text before the object.
    pub verb: String,
    /// Object, or empty.
    pub thing: String,
    /// Path of the object below the workspace, or empty.
    pub path: String,
    /// Text after the object.
    pub rest: String,
    /// Icon name.
    pub icon: &'static str,
    /// Set if the sentence covers many records.
    pub count: Option<Counted>,
}

impl Words {
    /// Returns `true` for a text edit, which is autosaved repeatedly.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        ["changed the title of", "changed the description of"].contains(&self.verb.as_str())
    }

    /// Returns `true` if a later change of the same connection adds nothing to this sentence. A test of a key updates
    /// the connection several times, by its person and by HQ.
    #[must_use]
    pub fn is_of_connection(&self) -> bool {
        [ADDED, UPDATED].contains(&self.verb.as_str())
    }
}

struct Speaker<'r> {
    read: &'r dyn Read,
    people: &'r People,
    /// Viewer. `None` skips permission checks.
    eye: Option<&'r Eye<'r>>,
    key: String,
}

/// Returns `false` if an entry cannot yield a sentence, judged by its head alone. Skips technical entries, such as
/// consumer cursors, without reading rows.
#[must_use]
pub fn may_tell(schema: &Schema, entry: &Entry) -> bool {
    !entry.events.is_empty() || has_settings(entry) || rows::may_tell(schema, entry)
}

fn has_settings(entry: &Entry) -> bool {
    entry.changes.iter().any(|change| change.table == SETTINGS.number)
}

/// Sentences for an entry. Empty for technical entries.
pub fn of(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    (people, eye): (&People, Option<&Eye<'_>>),
) -> Result<Vec<(Area, Words)>, StoreError> {
    let speaker = Speaker { read, people, eye, key: tasks::key(read)? };
    let mut all = Vec::new();
    let handed = |event: &Event| matches!(event, Event::MemberHandedOver { .. });
    let at_once = entry.events.iter().any(handed);
    let work = Work::of(schema, entry);
    let mut kinds = Kinds::new(entry, work);
    for event in &entry.events {
        let Some(more) = kinds.next(event) else { continue };
        // One sentence covers all simultaneous reassignments.
        if !(at_once && matches!(event, Event::TaskAssigned { .. })) {
            let mut sentence = match cards::row_of(event) {
                Some(row) if 0 < more || kinds.counts_all(event) => {
                    counted::rows((read, schema), (entry, work), (&row, more + 1))?
                }
                Some(row) => speaker.row(entry, &row)?,
                None => speaker.event(event)?,
            };
            match (event, &mut sentence) {
                (Event::UndoApplied { of, run: None, .. }, Some((_, words))) => {
                    match counted::undone_work((read, schema), *of, entry)? {
                        Some(work) => *words = work,
                        None => speaker.undone(*of, entry, words)?,
                    }
                }
                (Event::ConnectionChanged { connection }, sentence) => {
                    rows::name_change(read, entry, *connection, sentence)?;
                }
                (Event::TaskChanged { task, fields }, Some((_, words)))
                    if fields[..] == [TaskField::Labels] =>
                {
                    let moved = tasks::labels::moved(read, entry, *task)?;
                    if !moved.is_empty() {
                        words.verb = moved.describe(str::to_owned, (" to", " from"));
                    }
                }
                _ => {}
            }
            if let Some((_, words)) = &mut sentence {
                kinds.tell(event);
                if words.count.is_none() && 0 < more {
                    words.rest = format!("{} and {more} more", words.rest).trim().to_owned();
                }
            }
            all.extend(sentence);
        }
    }
    let changed = has_settings(entry) && schema.table(SETTINGS.number).is_some();
    if changed && entry.events.is_empty() {
        let words = Words {
            verb: "changed the".to_owned(),
            thing: "workspace settings".to_owned(),
            path: "settings/general".to_owned(),
            icon: "settings",
            ..Words::default()
        };
        all.push((Area::Workspace, words));
    }
    Ok(all)
}

impl Speaker<'_> {
    fn event(&self, event: &Event) -> Result<Option<(Area, Words)>, StoreError> {
        let words = match event {
            Event::TaskCreated { task, .. } => self.task("created", *task, "", "plus")?,
            Event::TaskChanged { task, fields } => {
                let labels: Vec<_> = fields.iter().map(|f| f.label().to_lowercase()).collect();
                let verb = format!("changed the {} of", listed(&labels));
                self.task(&verb, *task, "", "edit")?
            }
            Event::TaskAssigned { task, to, .. } => {
                let rest = match to {
                    Some(to) => format!("to {}", self.people.name(*to)),
                    None => "to no one".to_owned(),
                };
                self.task("assigned", *task, &rest, "user")?
            }
            Event::TaskStatusChanged { task, to, .. } => {
                self.task("moved", *task, &format!("to {}", to.label()), to.word())?
            }
            Event::CommentAdded { comment, task, .. } => self.comment(*comment, *task)?,
            Event::FileAdded { file, task, name } => {
                self.file("added", Some(*file), *task, name)?
            }
            Event::FileRemoved { task, name, .. } => self.file("removed", None, *task, name)?,
            Event::DeliverableSubmitted { deliverable, task, .. } => {
                self.deliverable("submitted", *deliverable, *task, "box")?
            }
            Event::DeliverableReviewed { deliverable, task, verdict, .. } => {
                let (verb, icon) = match verdict {
                    Verdict::Approved => ("approved", "check"),
                    Verdict::ChangesRequested => ("requested changes to", "repeat"),
                    Verdict::Rejected => ("rejected", "x"),
                };
                self.deliverable(verb, *deliverable, *task, icon)?
            }
            other => return self.machine(other),
        };
        Ok(words.map(|words| (Area::Work, words)))
    }

    /// Agents, runs and the workspace.
    fn machine(&self, event: &Event) -> Result<Option<(Area, Words)>, StoreError> {
        let (area, words) = match event {
            Event::AgentCreated { agent } => (Area::Agents, self.agent("created", *agent, "plus")?),
            Event::AgentArchived { agent } => {
                (Area::Agents, self.agent("archived", *agent, "box")?)
            }
            Event::AgentFilesChanged { agent, path, .. } => {
                let words = self.agent("changed the files of", *agent, "edit")?;
                (Area::Agents, words.map(|words| Words { rest: path.clone(), ..words }))
            }
            Event::AgentStatusChanged { agent, from, to } => {
                (Area::Agents, self.standing(*agent, *from, *to)?)
            }
            Event::AgentMessageSent { to, .. } => {
                let mut words = self.agent("sent a message to", *to, "chat")?;
                if let Some(words) = &mut words {
                    words.rest = String::new();
                }
                (Area::Agents, words)
            }
            Event::RunStarted { run, .. } => {
                (Area::Agents, self.own_run("started", *run, "", "play")?)
            }
            Event::RunStopRequested { run, .. } => {
                (Area::Agents, self.run("asked to stop", *run, "", "stop")?)
            }
            Event::RunEnded { run, outcome, .. } => {
                let (verb, rest, icon) = ended(outcome);
                (Area::Agents, self.own_run(verb, *run, rest, icon)?)
            }
            Event::ConnectionChanged { connection } => {
                (Area::Workspace, self.connection(*connection)?)
            }
            Event::UndoApplied { run: Some(run), .. } => {
                (Area::Work, self.run("reverted", *run, "", "undo")?)
            }
            Event::UndoApplied { of, .. } => {
                let words = Words {
                    verb: "reverted".to_owned(),
                    thing: format!("entry {of}"),
                    path: format!("history/entry/{of}"),
                    icon: "undo",
                    ..Words::default()
                };
                (Area::Work, Some(words))
            }
            Event::MemberJoined { account } => {
                let by = Some(Assignee::Person(*account));
                (Area::Workspace, Some(Words { by, ..people("joined the", "workspace", "") }))
            }
            Event::MemberLeft { account } => {
                let name = self.people.name(Assignee::Person(*account));
                (Area::Workspace, Some(people("ended the membership of", &name, "")))
            }
            Event::MemberRoleChanged { account, from, to } => {
                let name = self.people.name(Assignee::Person(*account));
                let rest = format!("from {} to {}", from.label(), to.label());
                (Area::Workspace, Some(people("changed the role of", &name, &rest)))
            }
            Event::MemberHandedOver { account, to, tasks, agents } => {
                let count = |n: u32, one, many| (0 < n).then(|| format::count(n.into(), one, many));
                let what = [count(*tasks, "task", "tasks"), count(*agents, "agent", "agents")];
                let what = what.into_iter().flatten().collect::<Vec<_>>().join(" and ");
                let name = self.people.name(Assignee::Person(*account));
                let rest = format!("to {}", self.people.name(Assignee::Person(*to)));
                let words = people("handed over", &format!("{what} from {name}"), &rest);
                (Area::Workspace, Some(words))
            }
            Event::Invited { role, .. } => {
                let rest = format!("as {}", role.label());
                (Area::Workspace, Some(people("invited", "someone", &rest)))
            }
            Event::InviteWithdrawn { .. } => {
                (Area::Workspace, Some(people("withdrew", "an invitation", "")))
            }
            Event::Restored { taken_at, .. } => (Area::Workspace, Some(whole::restored(*taken_at))),
            Event::WorkspaceExported => (Area::Workspace, Some(whole::exported())),
            Event::BudgetChanged { payer, period } => {
                (Area::Workspace, Some(self.budget_changed(*payer, *period)?))
            }
            Event::PriceChanged { model, .. } => {
                (Area::Workspace, Some(whole::price("changed the price of", model)))
            }
            Event::CountingReset { model, .. } => {
                (Area::Workspace, Some(whole::price("reset token counting for", model)))
            }
            Event::BudgetWarned { payer, period } => {
                (Area::Agents, Some(self.budget("near its limit", *payer, *period, "clock")?))
            }
            Event::BudgetReached { payer, period } => {
                (Area::Agents, Some(self.budget("to its limit", *payer, *period, "blocked")?))
            }
            other => return self.program(other),
        };
        Ok(words.map(|words| (area, words)))
    }

    /// Streams and dependencies.
    fn grouping(&self, event: &Event) -> Result<Option<(Area, Words)>, StoreError> {
        let words = match event {
            Event::TaskUnblocked { task, .. } => self.task("unblocked", *task, "", "check")?,
            Event::TaskStartAsked { task } => self.task("asked to start", *task, "", "play")?,
            Event::TaskEscalated { task, to, .. } => {
                let name = |to: &Manager| format!("to {}", self.people.name((*to).into()));
                let rest = to.as_ref().map(name).unwrap_or_default();
                self.task("escalated", *task, &rest, "warn")?
            }
            Event::StreamCreated { stream } => {
                self.stream("created the stream", *stream, "plus")?
            }
            Event::StreamChanged { stream } => {
                self.stream("changed the stream", *stream, "edit")?
            }
            other => return routines::words(self.read, other),
        };
        Ok(words.map(|words| (Area::Work, words)))
    }

    fn stream(
        &self,
        verb: &str,
        id: StreamId,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let found = self.read.get::<Stream>(id)?;
        Ok(found.map(|stream| Words {
            verb: verb.to_owned(),
            thing: stream.name,
            path: format!("streams/{id}"),
            icon,
            ..Words::default()
        }))
    }

    fn budget_changed(&self, payer: Payer, period: Period) -> Result<Words, StoreError> {
        let words = self.budget("", payer, period, "edit")?;
        Ok(Words { by: None, verb: "changed".to_owned(), ..words })
    }

    fn budget(
        &self,
        rest: &str,
        payer: Payer,
        period: Period,
        icon: &'static str,
    ) -> Result<Words, StoreError> {
        Ok(Words {
            // The payer, not the initiator of the work.
            by: match payer {
                Payer::Agent(id) => Some(Assignee::Agent(id)),
                _ => None,
            },
            verb: "brought".to_owned(),
            rest: rest.to_owned(),
            thing: budgets::name(self.read, &Budget::new(payer, period))?,
            path: "settings/usage#budgets".to_owned(),
            icon,
            count: None,
        })
    }

    fn task(
        &self,
        verb: &str,
        id: TaskId,
        rest: &str,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let found = self.read.get::<Task>(id)?;
        Ok(found.map(|task| Words {
            verb: verb.to_owned(),
            thing: ellipsis(&format!("{}-{} {}", self.key, task.number, task.title), MAX_TITLE),
            path: format!("tasks/{}-{}", self.key, task.number),
            rest: rest.to_owned(),
            icon,
            ..Words::default()
        }))
    }

    /// Adds the task of an undo, linked to the undone entry; for several tasks, their number.
    fn undone(&self, of: u64, entry: &Entry, words: &mut Words) -> Result<(), StoreError> {
        let changed = entry.changes.iter().filter(|change| change.table == TASKS.number);
        let mut ids = changed.filter_map(|change| kernel::key::decode::<TaskId>(&change.key));
        let (first, others) = (ids.next(), ids.count());
        let Some(first) = first else { return Ok(()) };
        let rest = format!("(entry {of})");
        if let Some(task) = self.task("reverted a change to", first, &rest, "undo")? {
            let more = format::count(others as u64, "other task", "other tasks");
            let thing = match others {
                0 => task.thing,
                _ => format!("{} and {more}", task.thing),
            };
            *words = Words { thing, path: words.path.clone(), ..task };
        }
        Ok(())
    }

    fn comment(&self, id: CommentId, task: TaskId) -> Result<Option<Words>, StoreError> {
        let mut words = self.task("commented on", task, "", "comment")?;
        if let Some(words) = &mut words
            && let Some(comment) = self.read.get::<Comment>(id)?
        {
            let excerpt = md::excerpt(&comment.body, MAX_TITLE);
            words.rest = if excerpt.is_empty() { excerpt } else { format!("“{excerpt}”") };
        }
        Ok(words)
    }

    fn deliverable(
        &self,
        verb: &str,
        id: DeliverableId,
        task: TaskId,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let mut words = self.task(verb, task, "", icon)?;
        if let Some(words) = &mut words
            && let Some(deliverable) = self.read.get::<Deliverable>(id)?
        {
            words.rest = format!("for {}", words.thing);
            words.thing = ellipsis(&deliverable.title, MAX_TITLE);
        }
        Ok(words)
    }

    /// Such as "added “offer.pdf” on MC-3 …", linked to the file's page if it exists.
    fn file(
        &self,
        verb: &str,
        id: Option<FileId>,
        task: TaskId,
        name: &str,
    ) -> Result<Option<Words>, StoreError> {
        let there = match id {
            Some(id) => self.read.get::<TaskFile>(id)?,
            None => None,
        };
        let words = self.task(verb, task, "", "file")?;
        Ok(words.map(|words| Words {
            rest: format!("{} {}", if id.is_some() { "to" } else { "from" }, words.thing),
            path: there.map_or(words.path, |file| format!("files/{}", file.id)),
            thing: ellipsis(name, MAX_TITLE),
            ..words
        }))
    }

    fn agent(
        &self,
        verb: &str,
        id: AgentId,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let found = self.read.get::<Agent>(id)?;
        Ok(found.map(|agent| Words {
            verb: verb.to_owned(),
            thing: agent.name,
            path: format!("agents/{}", agent.slug),
            icon,
            ..Words::default()
        }))
    }

    /// An agent was resumed or paused.
    fn standing(
        &self,
        id: AgentId,
        from: AgentStatus,
        to: AgentStatus,
    ) -> Result<Option<Words>, StoreError> {
        let Some(agent) = self.read.get::<Agent>(id)? else { return Ok(None) };
        let itself = |verb: &str, rest: String| Words {
            by: Some(Assignee::Agent(id)),
            verb: verb.to_owned(),
            rest,
            icon: "agent",
            ..Words::default()
        };
        Ok(match (from, to) {
            (AgentStatus::Provisioning | AgentStatus::Error, AgentStatus::Ready) => {
                Some(itself("is ready", String::new()))
            }
            (_, AgentStatus::Ready) => self.agent("resumed", id, "play")?,
            (_, AgentStatus::Paused) => self.agent("paused", id, "pause")?,
            (_, AgentStatus::Error) => {
                let reason = agent.status_reason.as_deref().unwrap_or("see its page");
                Some(itself("can’t work:", ellipsis(reason, MAX_TITLE)))
            }
            (_, to) => {
                let words = self.agent("set", id, "agent")?;
                words.map(|words| Words { rest: format!("to {}", to.label()), ..words })
            }
        })
    }

    fn run(
        &self,
        verb: &str,
        id: RunId,
        rest: &str,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let Some(run) = self.read.get::<Run>(id)? else { return Ok(None) };
        // The title of a private run quotes the conversation.
        let seen = self.eye.map_or(Ok(true), |eye| eye.sees_run(&run))?;
        let (thing, path) = match seen {
            true => (format!("{} {}", run.name(), run.title), format!("runs/{}", run.name())),
            false => (run.name(), String::new()),
        };
        Ok(Some(Words {
            verb: verb.to_owned(),
            thing: ellipsis(&thing, MAX_TITLE),
            path,
            rest: rest.to_owned(),
            icon,
            ..Words::default()
        }))
    }

    /// An action of an agent in its own run.
    fn own_run(
        &self,
        verb: &str,
        id: RunId,
        rest: &str,
        icon: &'static str,
    ) -> Result<Option<Words>, StoreError> {
        let agent = self.read.get::<Run>(id)?.map(|run| Assignee::Agent(run.agent));
        let words = self.run(verb, id, rest, icon)?;
        Ok(words.map(|words| Words { by: agent, ..words }))
    }

    fn connection(&self, id: ConnectionId) -> Result<Option<Words>, StoreError> {
        // A deletion is described by its rows. Earlier changes of a deleted connection are omitted.
        let found = self.read.get::<Connection>(id)?;
        Ok(found.map(|one| Words {
            verb: UPDATED.to_owned(),
            thing: one.name,
            path: "settings/connections".to_owned(),
            icon: "link",
            ..Words::default()
        }))
    }
}

/// Membership changes.
fn people(verb: &str, thing: &str, rest: &str) -> Words {
    Words {
        verb: verb.to_owned(),
        thing: thing.to_owned(),
        path: "settings/members".to_owned(),
        rest: rest.to_owned(),
        icon: "user",
        ..Words::default()
    }
}

/// Texts for the end of a run: before its name, after it, and the icon.
fn ended(outcome: &str) -> (&'static str, &'static str, &'static str) {
    match outcome {
        "done" => ("finished", "", "check"),
        "failed" => ("failed in", "", "warn"),
        "snoozed" => ("snoozed", "", "clock"),
        "stopped" => ("stopped", "on request", "stop"),
        "no_outcome" => ("ended", "without a result", "warn"),
        "limit" => ("reached a limit in", "", "warn"),
        "interrupted" => ("was interrupted in", "", "warn"),
        "crash_loop" => ("failed in", "after three interruptions", "warn"),
        _ => ("ended", "", "check"),
    }
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn fields_are_listed_as_a_person_would_say_them() {
        let words = |all: &[&str]| listed(&all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(words(&["title"]), "title");
        assert_eq!(words(&["title", "due date"]), "title and due date");
        assert_eq!(words(&["title", "due date", "priority"]), "title, due date and priority");
    }
}
