//! Why a waiting item is not started. Pages, tools and the API use this module, so that they agree.

use jiff::tz::TimeZone;

use crate::agents::queries::elsewhere::{self, Machine};
use crate::inbox::model::{DROPPED_AFTER, Item};
use crate::runs::queries::words;
use crate::tasks::queries::{self as tasks, relations};
use kernel::display;
use kernel::text::capitalized;
use kernel::{AgentId, ItemKind, ItemState, Outcome, Timestamp};
use store::{Read, StoreError};

use super::order::{QUIET_HOURS, RATE_LIMIT};
use super::pace;

/// Held because the agent's host is silent.
pub const HOST_SILENT: &str = "host_silent";
/// Held because the agent's host accepts no new work.
pub const HOST_PAUSED: &str = "host_paused";

/// Maximum number of open items of an agent to examine.
const ASKED: usize = 20;
/// Maximum number of blockers to name.
const NAMED: usize = 3;

/// Why an open item is not started now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub cause: Cause,
    /// Start of the delay, if known.
    pub since: Option<Timestamp>,
    /// End of the delay, if known.
    pub until: Option<Timestamp>,
}

/// Cause of a delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// State of the workspace or agent, quiet hours, pace or budget, in words.
    Held(String),
    /// The agent's host is silent, or its gateway accepts no new work.
    Machine {
        label: String,
        /// `true` for a silent host, `false` for a paused one.
        is_silent: bool,
        /// Time of the last contact.
        heard_at: Option<Timestamp>,
    },
    /// Names of the blocking tasks.
    Blocked(Vec<String>),
    /// Retry delay, with the error as a sentence.
    Again(String),
    /// Waits for the results of other subtasks, so that they are read together.
    Parts,
    /// Snoozed.
    Later,
}

impl Cause {
    /// Cause for an item at this moment. Cheaper than [`Why::of`], which also determines the end.
    pub fn of(tx: &dyn Read, item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        if !item.is_open() || item.state == ItemState::Leased {
            return Ok(None);
        }
        if let Some(reason @ (HOST_SILENT | HOST_PAUSED)) = item.held_reason.as_deref()
            && let Some(Machine { label, is_revoked, heard_at }) =
                elsewhere::machine(tx, item.agent)?
        {
            if is_revoked {
                let words = "has been revoked; move the agent to another machine";
                return Ok(Some(Self::Held(format!("{label} {words}"))));
            }
            return Ok(Some(Self::Machine { label, is_silent: reason == HOST_SILENT, heard_at }));
        }
        if let Some(reason) = item.held_reason.as_deref() {
            return Ok(Some(Self::Held(match reason {
                RATE_LIMIT => {
                    format!("the limit is {} per hour", pace::most(&pace::of(tx, item.agent)?))
                }
                reason => held_words(reason).to_owned(),
            })));
        }
        if item.not_before.is_some_and(|at| now < at) {
            return Ok(Some(match (item.state, item.last_error.as_deref()) {
                (ItemState::Failed, Some(error)) => Self::Again(went_wrong(error)),
                _ if item.kind == ItemKind::DelegationResult && item.run.is_none() => Self::Parts,
                _ => Self::Later,
            }));
        }
        let Some(task) = item.task.filter(|_| item.waits_for_blockers()) else { return Ok(None) };
        let blockers = relations::open_blockers(tx, task)?;
        let names = blockers.iter().take(NAMED).map(|blocker| tasks::name(tx, blocker.number));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        Ok((!blockers.is_empty()).then_some(Self::Blocked(names)))
    }

    /// Short text, for lists of many items.
    #[must_use]
    pub fn short(&self) -> &str {
        match self {
            Self::Held(words) => words,
            Self::Machine { is_silent: true, .. } => held_words(HOST_SILENT),
            Self::Machine { is_silent: false, .. } => held_words(HOST_PAUSED),
            Self::Blocked(_) => "blocked by other tasks",
            Self::Again(_) => "waiting to retry",
            Self::Parts => "waiting for other subtasks",
            Self::Later => "postponed",
        }
    }
}

impl Why {
    /// Why an item is not started. `None` if it only waits for a free slot, is leased, or is closed.
    pub fn of(tx: &dyn Read, item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        let Some(cause) = Cause::of(tx, item, now)? else { return Ok(None) };
        let since = match cause {
            Cause::Machine { is_silent: true, heard_at, .. } => heard_at.or(item.held_since),
            Cause::Held(_) | Cause::Machine { .. } => item.held_since,
            Cause::Blocked(_) | Cause::Again(_) | Cause::Parts | Cause::Later => None,
        };
        let until = match (&cause, item.held_reason.as_deref()) {
            (Cause::Held(_), Some(QUIET_HOURS)) => {
                pace::quiet_until(tx, &pace::of(tx, item.agent)?, now)?
            }
            (Cause::Held(_), Some(RATE_LIMIT)) => {
                pace::full_until(tx, &pace::of(tx, item.agent)?, now)?
            }
            (Cause::Held(_) | Cause::Machine { .. } | Cause::Blocked(_), _) => None,
            (Cause::Again(_) | Cause::Parts | Cause::Later, _) => item.not_before,
        };
        Ok(Some(Self { cause, since, until }))
    }

    /// Why an agent's waiting items are not started: the reason that ends first. `None` if one of them may start.
    pub fn of_agent(
        tx: &dyn Read,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let mut first: Option<Self> = None;
        for item in super::open(tx, agent, ASKED)? {
            let Some(why) = Self::of(tx, &item, now)? else { return Ok(None) };
            let ends = |why: &Self| why.until.unwrap_or(Timestamp::MAX);
            if first.as_ref().is_none_or(|first| ends(&why) < ends(first)) {
                first = Some(why);
            }
        }
        Ok(first)
    }

    /// State word for colours and the API.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.cause {
            Cause::Again(_) => "retrying",
            Cause::Held(_)
            | Cause::Machine { .. }
            | Cause::Blocked(_)
            | Cause::Parts
            | Cause::Later => "held",
        }
    }

    /// Short label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.cause {
            Cause::Held(_) | Cause::Machine { .. } | Cause::Blocked(_) | Cause::Parts => "Held",
            Cause::Again(_) => "Retrying",
            Cause::Later => "Continues later",
        }
    }

    /// Reason as a sentence, without a time of day.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Held(words) => format!("{}.", capitalized(words)),
            Cause::Machine { label, is_silent: true, .. } => {
                format!("{label} is offline. Work starts when it returns.")
            }
            Cause::Machine { label, is_silent: false, .. } => {
                format!("{label} is paused. Work starts when it is resumed.")
            }
            Cause::Blocked(tasks) => format!("Blocked by {}.", tasks.join(", ")),
            Cause::Again(error) => error.clone(),
            Cause::Parts => "Waiting for the other subtasks.".to_owned(),
            Cause::Later => "Postponed.".to_owned(),
        }
    }

    /// The reason as a part of a line: "held until 7:00: quiet hours", "retrying at 22:18".
    #[must_use]
    pub fn words(&self, now: Timestamp, zone: &TimeZone) -> String {
        let what = match self.cause {
            Cause::Held(_) | Cause::Machine { .. } | Cause::Blocked(_) | Cause::Parts => "held",
            Cause::Again(_) => "retrying",
            Cause::Later => "continues",
        };
        format!("{what}{}", self.when(now, zone))
    }

    /// Reason below the label, which already says that the item is held.
    #[must_use]
    pub fn detail(&self, now: Timestamp, zone: &TimeZone) -> String {
        capitalized(self.when(now, zone).trim_start_matches([':', ' ']))
    }

    /// Suffix such as " until 7:00: quiet hours", ": the agent is paused, since 22:00" or " at 22:18".
    fn when(&self, now: Timestamp, zone: &TimeZone) -> String {
        let reason = match &self.cause {
            Cause::Held(words) => words.clone(),
            Cause::Machine { label, is_silent, .. } => {
                let at = |at| format!(" since {}", clock(at, now, zone));
                let since = self.since.map(at).unwrap_or_default();
                return match is_silent {
                    true => {
                        format!(": {label} has been offline{since}; work starts when it returns")
                    }
                    false => format!(": {label} is paused{since}; work starts when it is resumed"),
                };
            }
            Cause::Blocked(tasks) => format!("blocked by {}", tasks.join(", ")),
            Cause::Parts => "waiting for the other subtasks".to_owned(),
            Cause::Again(_) | Cause::Later => {
                let at = self.until.map(|at| format!(" at {}", clock(at, now, zone)));
                return at.unwrap_or_default();
            }
        };
        match (self.since, self.until) {
            (_, Some(until)) => format!(" until {}: {reason}", clock(until, now, zone)),
            (Some(since), None) => format!(": {reason}, since {}", clock(since, now, zone)),
            (None, None) => format!(": {reason}"),
        }
    }
}

/// Time such as "22:00", with the day if it is not today.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, today) = (zone.to_datetime(at), zone.to_datetime(now).date());
    let time = display::short_time(at.time());
    match at.date() == today {
        true => time,
        false => format!("{} {time}", display::day_of_year(at.date())),
    }
}

/// Words for a held reason of the dispatcher.
#[must_use]
pub fn held_words(reason: &str) -> &'static str {
    match reason {
        "workspace_paused" => "all work is paused",
        "agent_paused" => "the agent is paused",
        "agent_provisioning" => "the agent is being set up",
        "agent_error" => "the agent has an error",
        "agent_asleep" => "the agent’s machine is asleep",
        "agent_archived" => "the agent is archived",
        "over_budget" | "budget" => "the budget is too low for the next call",
        HOST_SILENT => "its machine is offline",
        HOST_PAUSED => "its machine is paused",
        QUIET_HOURS => "quiet hours",
        RATE_LIMIT => "the hourly item limit is reached",
        _ => "the agent can’t start it yet",
    }
}

/// Sentence for an item's last error, which is either an error code or text from an agent or provider.
#[must_use]
pub fn went_wrong(error: &str) -> String {
    if let Some(before) = error.strip_prefix(DROPPED_AFTER) {
        return format!("Dropped. Before that: {}", went_wrong(before));
    }
    if let Some(outcome) = outcome_of(error) {
        return words::reason(&outcome).unwrap_or_else(|| error.to_owned());
    }
    match error {
        "stopped" => "Its run was stopped.".to_owned(),
        "task closed" => "The task was closed.".to_owned(),
        "task archived" => "The task was archived.".to_owned(),
        "agent archived" => "The agent was archived.".to_owned(),
        "reassigned" => "The task was reassigned.".to_owned(),
        "undone" => "The change that requested it was undone.".to_owned(),
        _ => capitalized(error),
    }
}

/// The outcome that an item's last error stands for, if it is a code.
fn outcome_of(error: &str) -> Option<Outcome> {
    Some(match error {
        "no_outcome" => Outcome::NoOutcome,
        "crash_loop" => Outcome::CrashLoop,
        "interrupted" => Outcome::Interrupted,
        _ => Outcome::Limit { which: error.strip_prefix("limit: ")?.to_owned() },
    })
}

/// Verb for work that ended with this error: "failed", or what happened instead.
#[must_use]
pub fn verb(error: &str) -> &'static str {
    outcome_of(error).map_or("failed", |outcome| words::verb(&outcome))
}

#[cfg(test)]
mod tests {
    use super::{Cause, TimeZone, Why, went_wrong};
    use kernel::time::from_ms;

    #[test]
    fn what_went_wrong_is_said_in_sentences() {
        let loops = "The agent repeated the same call again and again.";
        for (noted, sentence) in [
            ("limit: loop", loops.to_owned()),
            ("dropped after: limit: loop", format!("Dropped. Before that: {loops}")),
            ("task closed", "The task was closed.".to_owned()),
            ("declined: it is done already", "Declined: it is done already".to_owned()),
            ("Die Datei fehlt.", "Die Datei fehlt.".to_owned()),
            ("", String::new()),
        ] {
            assert_eq!(went_wrong(noted), sentence, "{noted}");
        }
        for noted in ["no_outcome", "crash_loop", "interrupted", "stopped"] {
            let sentence = went_wrong(noted);
            assert!(sentence.contains(' ') && sentence.ends_with('.'), "{noted}: {sentence}");
        }
    }

    #[test]
    fn a_reason_says_since_when_and_until_when() {
        let now = from_ms(1_700_000_000_000);
        let at = |minutes: i64| Some(from_ms(1_700_000_000_000 + minutes * 60_000));
        let words = |cause, since, until| Why { cause, since, until }.words(now, &TimeZone::UTC);
        assert_eq!(
            words(Cause::Held("quiet hours".to_owned()), at(-13), at(600)),
            "held until 15 Nov 8:13: quiet hours"
        );
        let paused = Cause::Held("the agent is paused".to_owned());
        assert_eq!(words(paused.clone(), at(-13), None), "held: the agent is paused, since 22:00");
        let detail = |cause, until| Why { cause, since: None, until }.detail(now, &TimeZone::UTC);
        assert_eq!(detail(paused, None), "The agent is paused");
        assert_eq!(detail(Cause::Later, at(5)), "At 22:18");
        assert_eq!(words(Cause::Again(String::new()), None, at(5)), "retrying at 22:18");
        assert_eq!(words(Cause::Later, None, at(5)), "continues at 22:18");
        let machine = |is_silent| {
            let label = "GPU box".to_owned();
            Cause::Machine { label, is_silent, heard_at: None }
        };
        assert_eq!(
            words(machine(true), at(-13), None),
            "held: GPU box has been offline since 22:00; work starts when it returns"
        );
        assert_eq!(
            detail(machine(false), None),
            "GPU box is paused; work starts when it is resumed"
        );
        let tasks = vec!["HQ-1".to_owned(), "HQ-2".to_owned()];
        assert_eq!(words(Cause::Blocked(tasks), None, None), "held: blocked by HQ-1, HQ-2");
    }
}
