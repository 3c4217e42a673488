//! An inbox item as pages show it.

use jiff::tz::TimeZone;

use crate::app::Ws;
use crate::features::inbox::model::Item;
use crate::features::runs::model::Run;
use crate::features::tasks::queries::{self as tasks, relations};
use crate::kernel::{ItemKind, ItemState, Timestamp};
use crate::store::{ReadExt, StoreError};
use crate::web::time::RelTime;

/// An inbox item as pages show it.
#[derive(Clone, Debug)]
pub struct ItemView {
    /// Its id.
    pub id: String,
    /// The icon of its kind.
    pub glyph: &'static str,
    /// The word of its state.
    pub state: &'static str,
    /// Its state for people.
    pub state_label: &'static str,
    /// The first reason, in one line.
    pub summary: String,
    /// How many more reasons joined it.
    pub more: usize,
    /// Task, tries, and what it waits for, in one line.
    pub words: String,
    /// What went wrong last.
    pub error: String,
    /// The task's page, or empty.
    pub task_href: String,
    /// The task's name, or empty.
    pub task: String,
    /// The run's page, or empty.
    pub run_href: String,
    /// The run's name, or empty.
    pub run: String,
    /// When it was made, or when it ended.
    pub at: RelTime,
    /// Whether it can be tried again now.
    pub can_retry: bool,
    /// Whether it can be cancelled.
    pub can_cancel: bool,
    /// Where both are sent.
    pub href: String,
}

impl ItemView {
    /// As a person sees it now.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn new(
        ws: &Ws,
        tx: &impl ReadExt,
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
        let first = item.reasons.first();
        let mut words = vec![item.kind.label().to_owned()];
        words.extend((!task.is_empty()).then(|| task.clone()));
        words.extend((item.attempts > 1).then(|| format!("try {}", item.attempts)));
        words.extend(waits_for_others(tx, item)?);
        words.extend(waits(item, now).map(|(why, until)| match until {
            Some(until) => format!("{why} {}", at(until).text),
            None => why.to_owned(),
        }));
        let waits_at_all = item.is_open() && item.state != ItemState::Leased;
        Ok(Self {
            id: item.id.to_string(),
            glyph: glyph(item.kind),
            state: item.state.word(),
            state_label: match item.state {
                ItemState::Failed if item.is_open() => "Tries again",
                state => state.label(),
            },
            summary: first.map_or_else(|| item.kind.label().to_owned(), |r| r.summary.clone()),
            more: item.reasons.len().saturating_sub(1),
            words: words.join(" · "),
            error: item.last_error.clone().unwrap_or_default(),
            task_href: match task.as_str() {
                "" => String::new(),
                name => ws.url(&format!("tasks/{name}")),
            },
            task,
            run_href: run
                .as_ref()
                .map_or_else(String::new, |r| ws.url(&format!("runs/{}", r.number))),
            run: run.as_ref().map_or_else(String::new, Run::name),
            at: at(item.ended_at.unwrap_or(item.created_at)),
            can_retry: match item.state {
                ItemState::Failed | ItemState::DeadLetter | ItemState::Cancelled => true,
                ItemState::Pending => item.not_before.is_some(),
                ItemState::Leased | ItemState::Done => false,
            },
            can_cancel: waits_at_all,
            href: ws.url(&format!("inbox/{}", item.id)),
        })
    }
}

/// The tasks that must be done before an item is begun, in words.
fn waits_for_others(tx: &impl ReadExt, item: &Item) -> Result<Option<String>, StoreError> {
    let Some(task) = item.task.filter(|_| item.waits_for_blockers()) else { return Ok(None) };
    let blockers = relations::open_blockers(tx, task)?;
    let names = blockers.iter().take(3).map(|blocker| tasks::name(tx, blocker.number));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    Ok((!names.is_empty()).then(|| format!("held: waits for {}", names.join(", "))))
}

/// What an open item waits for, and until when if that is known.
fn waits(item: &Item, now: Timestamp) -> Option<(&'static str, Option<Timestamp>)> {
    if !item.is_open() || item.state == ItemState::Leased {
        return None;
    }
    let later = item.not_before.filter(|at| *at > now);
    match (item.held_reason.as_deref(), later) {
        (Some(reason), _) => Some((held(reason), None)),
        (None, Some(at)) => Some(("goes on", Some(at))),
        (None, None) => None,
    }
}

/// Why the dispatcher does not begin an item, in words.
fn held(reason: &str) -> &'static str {
    match reason {
        "workspace_paused" => "held: all work stands still",
        "agent_paused" => "held: the agent is paused",
        "agent_provisioning" => "held: the agent is being set up",
        "agent_error" => "held: the agent has an error",
        "agent_asleep" => "held: the agent's host sleeps",
        "agent_archived" => "held: the agent is archived",
        "over_budget" | "budget" => "held: the budget is used up",
        _ => "held",
    }
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
    }
}
