//! An inbox item as pages show it.

use jiff::tz::TimeZone;

use crate::agents::model::Agent;
use crate::inbox::model::{DROPPED_AFTER, Item};
use crate::runs::model::Run;
use crate::runs::queries::words;
use crate::tasks::queries::{self as tasks, relations};
use app::Ws;
use kernel::text::capitalized;
use kernel::{ItemKind, ItemState, Outcome, Priority, Timestamp};
use store::{ReadExt, StoreError};
use web::parts::Face;
use web::time::RelTime;

use super::order::{HELD_BY_ITSELF, QUIET_HOURS, RATE_LIMIT};
use super::pace;

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
    /// All of them, oldest first, when there is more to read than the summary.
    pub reasons: Vec<(String, String)>,
    /// Task, tries, and what it waits for, in one line.
    pub words: String,
    /// What went wrong last, or why it was cancelled, in a sentence.
    pub error: String,
    /// Whether that is a fault and not what somebody wished.
    pub is_fault: bool,
    /// The task's page, or empty.
    pub task_href: String,
    /// The task's name, or empty.
    pub task: String,
    /// The run's page, or empty.
    pub run_href: String,
    /// The run's name, or empty.
    pub run: String,
    /// Whose it is: face and page.
    pub agent: Option<(Face, String)>,
    /// When it was made, or when it ended.
    pub at: RelTime,
    /// What the button says that lets it be begun now; empty when it cannot be.
    pub retry: &'static str,
    /// Whether it can be moved to the front.
    pub can_move: bool,
    /// Whether it can be cancelled.
    pub can_cancel: bool,
    /// Whether it can be put away.
    pub can_drop: bool,
    /// Where all this is sent.
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
        let waits_at_all = item.is_open() && item.state != ItemState::Leased;
        let first = item.reasons.first();
        let mut words = vec![item.kind.label().to_owned()];
        if item.priority != Priority::Medium {
            words.push(format!("{} priority", item.priority.label().to_lowercase()));
        }
        words.extend((item.attempts > 1).then(|| format!("try {}", item.attempts)));
        words.extend(item.front_at.is_some().then(|| "at the front".to_owned()));
        words.extend(waits_for_others(tx, item)?);
        words.extend(waits(tx, item, now, zone)?);
        let said = item.reasons.iter().any(|reason| !reason.text.is_empty());
        let told = item.reasons.iter().map(|one| (one.summary.clone(), one.text.clone()));
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
            reasons: if said || 1 < item.reasons.len() { told.collect() } else { Vec::new() },
            words: words.join(" · "),
            error: item.last_error.as_deref().map_or_else(String::new, last_words),
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

    /// With whose it is, for lists of all agents.
    #[must_use]
    pub fn of(mut self, ws: &Ws, agent: Option<&Agent>) -> Self {
        self.agent = agent.map(|agent| {
            let face = Face::agent(&agent.name, &agent.emoji, &agent.slug);
            (face, ws.url(&format!("agents/{}/inbox", agent.slug)))
        });
        self
    }
}

/// The sentence for what is noted as an item's last error: some of it is a word for programs, some is
/// what an agent or a provider has said.
fn last_words(error: &str) -> String {
    if let Some(before) = error.strip_prefix(DROPPED_AFTER) {
        return format!("Dropped. Before that: {}", last_words(before));
    }
    let outcome = match error {
        "stopped" => return "Its run was stopped.".to_owned(),
        "task closed" => return "The task was closed.".to_owned(),
        "task archived" => return "The task was archived.".to_owned(),
        "agent archived" => return "The agent was archived.".to_owned(),
        "reassigned" => return "The task was given to somebody else.".to_owned(),
        "undone" => return "The change that asked for it was undone.".to_owned(),
        "no_outcome" => Outcome::NoOutcome,
        "crash_loop" => Outcome::CrashLoop,
        "interrupted" => Outcome::Interrupted,
        _ => match error.strip_prefix("limit: ") {
            Some(which) => Outcome::Limit { which: which.to_owned() },
            None => return capitalized(error),
        },
    };
    words::reason(&outcome).unwrap_or_else(|| error.to_owned())
}

fn is_held_by_itself(item: &Item) -> bool {
    item.held_reason.as_deref().is_some_and(|reason| HELD_BY_ITSELF.contains(&reason))
}

/// The tasks that must be done before an item is begun, in words.
fn waits_for_others(tx: &impl ReadExt, item: &Item) -> Result<Option<String>, StoreError> {
    let Some(task) = item.task.filter(|_| item.waits_for_blockers()) else { return Ok(None) };
    let blockers = relations::open_blockers(tx, task)?;
    let names = blockers.iter().take(3).map(|blocker| tasks::name(tx, blocker.number));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    Ok((!names.is_empty()).then(|| format!("held: waits for {}", names.join(", "))))
}

/// What an open item waits for, since when, and until when if that is known.
fn waits(
    tx: &impl ReadExt,
    item: &Item,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Option<String>, StoreError> {
    if !item.is_open() || item.state == ItemState::Leased {
        return Ok(None);
    }
    let Some(reason) = item.held_reason.as_deref() else {
        let later = item.not_before.filter(|at| *at > now);
        return Ok(later.map(|until| format!("goes on {}", RelTime::new(until, now, zone).text)));
    };
    let mut words = format!("held: {}", held_words(reason));
    if let Some(since) = item.held_since {
        words.push_str(", since ");
        words.push_str(&clock(since, now, zone));
    }
    let until = match reason {
        QUIET_HOURS => pace::quiet_until(tx, &pace::of(tx, item.agent)?, now)?,
        RATE_LIMIT => pace::full_until(tx, &pace::of(tx, item.agent)?, now)?,
        _ => None,
    };
    if let Some(until) = until {
        words.push_str(", until ");
        words.push_str(&clock(until, now, zone));
    }
    Ok(Some(words))
}

/// "22:00", with the day when it is not today's.
fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, today) = (zone.to_datetime(at), zone.to_datetime(now).date());
    let form = if at.date() == today { "%-H:%M" } else { "%-d %b %-H:%M" };
    at.strftime(form).to_string()
}

/// Why the dispatcher does not begin an item, in words.
#[must_use]
pub fn held_words(reason: &str) -> &'static str {
    match reason {
        "workspace_paused" => "all work stands still",
        "agent_paused" => "the agent is paused",
        "agent_provisioning" => "the agent is being set up",
        "agent_error" => "the agent has an error",
        "agent_asleep" => "the agent's host sleeps",
        "agent_archived" => "the agent is archived",
        "over_budget" | "budget" => "the budget is used up",
        QUIET_HOURS => "quiet hours",
        RATE_LIMIT => "it began as many in the last hour as it may",
        _ => "the agent cannot begin it yet",
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
        ItemKind::TaskEscalation => "warn",
    }
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn what_went_wrong_is_said_in_sentences() {
        let loops = "The agent repeated the same call again and again.";
        for (noted, said) in [
            ("limit: loop", loops.to_owned()),
            ("dropped after: limit: loop", format!("Dropped. Before that: {loops}")),
            ("task closed", "The task was closed.".to_owned()),
            ("declined: it is done already", "Declined: it is done already".to_owned()),
            ("Die Datei fehlt.", "Die Datei fehlt.".to_owned()),
            ("", String::new()),
        ] {
            assert_eq!(last_words(noted), said, "{noted}");
        }
        for noted in ["no_outcome", "crash_loop", "interrupted", "stopped"] {
            let said = last_words(noted);
            assert!(said.contains(' ') && said.ends_with('.'), "{noted}: {said}");
        }
    }
}
