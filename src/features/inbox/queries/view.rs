//! Inbox items for display.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::agents::queries::Called;
use crate::inbox::model::Item;
use crate::runs::model::Run;
use crate::runs::queries::words;
use crate::tasks::queries as tasks;
use app::Ws;
use kernel::{ItemKind, ItemState, Priority, Timestamp};
use store::{Read, ReadExt, StoreError};
use web::parts::Face;
use web::time::RelTime;

use super::order::HELD_BY_ITSELF;
use super::why::{Why, went_wrong};

#[derive(Clone, Debug)]
pub struct ItemView {
    pub id: String,
    /// Icon of the kind.
    pub glyph: &'static str,
    /// State word.
    pub state: &'static str,
    pub state_label: &'static str,
    /// First reason, in one line.
    pub summary: String,
    /// Number of further reasons.
    pub more: usize,
    /// All reasons, oldest first. Empty if the summary says everything.
    pub reasons: Vec<(String, String)>,
    /// Task, attempts and delay, in one line.
    pub words: String,
    /// Last error or reason of cancellation, as a sentence.
    pub error: String,
    /// `true` for an error, `false` for a cancellation.
    pub is_fault: bool,
    /// URL of the task, or empty.
    pub task_href: String,
    /// Name of the task, or empty.
    pub task: String,
    /// URL of the run, or empty.
    pub run_href: String,
    /// Name of the run, or empty.
    pub run: String,
    /// Face and URL of the agent.
    pub agent: Option<(Face, String)>,
    /// Time of creation, or of the end.
    pub at: RelTime,
    /// Label of the start button, or empty if it cannot be started.
    pub retry: &'static str,
    pub can_move: bool,
    pub can_cancel: bool,
    pub can_drop: bool,
    /// Base URL of its actions.
    pub href: String,
}

impl ItemView {
    pub fn new(
        ws: &Ws,
        tx: &dyn Read,
        now: Timestamp,
        zone: &TimeZone,
        item: &Item,
    ) -> Result<Self, StoreError> {
        let task = match item.task.map(|task| tasks::get(tx, task)) {
            Some(Ok(task)) => tasks::name(tx, task.number)?,
            _ => String::new(),
        };
        let run = match item.run {
            Some(run) => tx.get::<Run>(run)?,
            None => None,
        };
        let at = |at| RelTime::new(at, now, zone);
        let waits_at_all = item.is_open() && item.state != ItemState::Leased;
        let outcome = run.as_ref().and_then(|run| run.outcome.as_ref());
        let end = outcome.filter(|outcome| words::is_bad(outcome)).map(words::end);
        let first = item.reasons.first();
        let mut words = vec![item.kind.label().to_owned()];
        if item.priority != Priority::Medium {
            words.push(format!("{} priority", item.priority.label().to_lowercase()));
        }
        words.extend((item.attempts > 1).then(|| format!("try {}", item.attempts)));
        words.extend(item.front_at.is_some().then(|| "at the front".to_owned()));
        words.extend(Why::of(tx, item, now)?.map(|why| why.words(now, zone)));
        let has_text = item.reasons.iter().any(|reason| !reason.text.is_empty());
        let reasons = item.reasons.iter().map(|one| (one.summary.clone(), one.text.clone()));
        Ok(Self {
            id: item.id.to_string(),
            glyph: glyph(item.kind),
            state: item.state.word(),
            state_label: match item.state {
                ItemState::Failed if item.is_open() => "Retrying",
                // As its run says: failed, no result, limit reached, …
                ItemState::Failed | ItemState::DeadLetter => end.unwrap_or(item.state.label()),
                state => state.label(),
            },
            summary: first.map_or_else(|| item.kind.label().to_owned(), |r| r.summary.clone()),
            more: item.reasons.len().saturating_sub(1),
            reasons: if has_text || 1 < item.reasons.len() {
                reasons.collect()
            } else {
                Vec::new()
            },
            words: words.join(" · "),
            error: item.last_error.as_deref().map_or_else(String::new, went_wrong),
            is_fault: item.state != ItemState::Cancelled,
            task_href: match task.as_str() {
                "" => String::new(),
                name => ws.url(&format!("tasks/{name}")),
            },
            task,
            run_href: run
                .as_ref()
                .map_or_else(String::new, |r| ws.url(&format!("runs/{}", r.number))),
            run: run.as_ref().map_or_else(String::new, Run::name),
            agent: None,
            at: at(item.ended_at.unwrap_or(item.created_at)),
            retry: match item.state {
                ItemState::Failed | ItemState::DeadLetter | ItemState::Cancelled => "Try now",
                ItemState::Pending if item.not_before.is_some_and(|at| now < at) => "Run now",
                ItemState::Pending if is_held_by_itself(item) => "Run now",
                ItemState::Pending | ItemState::Leased | ItemState::Done => "",
            },
            can_move: waits_at_all,
            can_cancel: waits_at_all,
            can_drop: !item.is_open()
                && matches!(item.state, ItemState::Failed | ItemState::DeadLetter),
            href: ws.url(&format!("inbox/{}", item.id)),
        })
    }

    /// Adds the agent, for lists of all agents.
    #[must_use]
    pub fn of(mut self, ws: &Ws, agent: Option<&Agent>, called: &Called) -> Self {
        self.agent = agent
            .map(|agent| (called.face(agent), ws.url(&format!("agents/{}/inbox", agent.slug))));
        self
    }
}

fn is_held_by_itself(item: &Item) -> bool {
    item.held_reason.as_deref().is_some_and(|reason| HELD_BY_ITSELF.contains(&reason))
}

fn glyph(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::TaskAssignment | ItemKind::TaskReassignment => "tasks",
        ItemKind::TaskCommentMention => "at",
        ItemKind::TaskComment | ItemKind::AgentMessage => "comment",
        ItemKind::DeliverableReview => "doc",
        ItemKind::DelegationResult => "sub",
        ItemKind::BlockerResolved => "check",
        ItemKind::StartNow => "play",
        ItemKind::RoutineSchedule | ItemKind::RoutineEvent => "repeat",
        ItemKind::TaskOverdue => "clock",
        ItemKind::TaskEscalation => "warn",
    }
}
