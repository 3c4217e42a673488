//! Why nothing happens with what waits for an agent: pages, tools and the API ask here, so that they
//! say the same.

use jiff::tz::TimeZone;

use crate::inbox::model::{DROPPED_AFTER, Item};
use crate::runs::queries::words;
use crate::tasks::queries::{self as tasks, relations};
use kernel::text::capitalized;
use kernel::{AgentId, ItemKind, ItemState, Outcome, Timestamp};
use store::{ReadExt, StoreError};

use super::order::{QUIET_HOURS, RATE_LIMIT};
use super::pace;

/// How many open items of an agent are asked before it counts as busy with them.
const ASKED: usize = 20;
/// How many of the tasks that an item waits for are named.
const NAMED: usize = 3;

/// Why an open item is not begun at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What keeps it.
    pub cause: Cause,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// Until when, where that is known.
    pub until: Option<Timestamp>,
}

/// What keeps an item from being begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The state of the workspace or of the agent, its hours, its pace or its budget: in words.
    Held(&'static str),
    /// Other tasks that have to be done before, by name.
    Blocked(Vec<String>),
    /// The pause before the next try, with what went wrong in a sentence.
    Again(String),
    /// The results of other parts of the task, so that they are read together.
    Parts,
    /// The moment that it was put off to.
    Later,
}

impl Why {
    /// Why an item is not begun now. Nothing when it may begin as soon as a place is free, when a run has
    /// it, and when it is over.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn of(tx: &impl ReadExt, item: &Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        if !item.is_open() || item.state == ItemState::Leased {
            return Ok(None);
        }
        if let Some(reason) = item.held_reason.as_deref() {
            let until = match reason {
                QUIET_HOURS => pace::quiet_until(tx, &pace::of(tx, item.agent)?, now)?,
                RATE_LIMIT => pace::full_until(tx, &pace::of(tx, item.agent)?, now)?,
                _ => None,
            };
            let cause = Cause::Held(held_words(reason));
            return Ok(Some(Self { cause, since: item.held_since, until }));
        }
        if let Some(until) = item.not_before.filter(|at| now < *at) {
            let cause = match (item.state, item.last_error.as_deref()) {
                (ItemState::Failed, Some(error)) => Cause::Again(went_wrong(error)),
                _ if item.kind == ItemKind::DelegationResult && item.run.is_none() => Cause::Parts,
                _ => Cause::Later,
            };
            return Ok(Some(Self { cause, since: None, until: Some(until) }));
        }
        let Some(task) = item.task.filter(|_| item.waits_for_blockers()) else { return Ok(None) };
        let blockers = relations::open_blockers(tx, task)?;
        let names = blockers.iter().take(NAMED).map(|blocker| tasks::name(tx, blocker.number));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let cause = Cause::Blocked(names);
        Ok((!blockers.is_empty()).then_some(Self { cause, since: None, until: None }))
    }

    /// Why nothing that waits for an agent is begun now: the reason that ends first. Nothing when one of
    /// its items may begin.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn of_agent(
        tx: &impl ReadExt,
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

    /// The state word that pages colour and the API answers.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.cause {
            Cause::Again(_) => "retrying",
            Cause::Held(_) | Cause::Blocked(_) | Cause::Parts | Cause::Later => "held",
        }
    }

    /// The state in one or two words.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.cause {
            Cause::Held(_) | Cause::Blocked(_) | Cause::Parts => "Held",
            Cause::Again(_) => "Tries again",
            Cause::Later => "Goes on later",
        }
    }

    /// The reason in a sentence, without a time of day.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Held(words) => format!("{}.", capitalized(words)),
            Cause::Blocked(tasks) => format!("It waits for {}.", tasks.join(", ")),
            Cause::Again(error) => error.clone(),
            Cause::Parts => "It waits for the other parts of the task.".to_owned(),
            Cause::Later => "It was put off.".to_owned(),
        }
    }

    /// The reason as a part of a line: "held: quiet hours, since 22:00, until 7:00".
    #[must_use]
    pub fn words(&self, now: Timestamp, zone: &TimeZone) -> String {
        let mut words = match &self.cause {
            Cause::Held(words) => format!("held: {words}"),
            Cause::Blocked(tasks) => format!("held: waits for {}", tasks.join(", ")),
            Cause::Parts => "held: waits for the other parts of the task".to_owned(),
            Cause::Again(_) => "tries again".to_owned(),
            Cause::Later => "goes on".to_owned(),
        };
        if let Some(since) = self.since {
            words.push_str(", since ");
            words.push_str(&clock(since, now, zone));
        }
        if let Some(until) = self.until {
            words.push_str(match self.cause {
                Cause::Held(_) | Cause::Blocked(_) | Cause::Parts => ", until ",
                Cause::Again(_) | Cause::Later => " at ",
            });
            words.push_str(&clock(until, now, zone));
        }
        words
    }
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
        "workspace_paused" => "all work is paused",
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

/// The sentence for what is noted as an item's last error: some of it is a word for programs, some is
/// what an agent or a provider has said.
#[must_use]
pub fn went_wrong(error: &str) -> String {
    if let Some(before) = error.strip_prefix(DROPPED_AFTER) {
        return format!("Dropped. Before that: {}", went_wrong(before));
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

#[cfg(test)]
mod tests {
    use super::{Cause, TimeZone, Why, went_wrong};
    use kernel::time::from_ms;

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
            assert_eq!(went_wrong(noted), said, "{noted}");
        }
        for noted in ["no_outcome", "crash_loop", "interrupted", "stopped"] {
            let said = went_wrong(noted);
            assert!(said.contains(' ') && said.ends_with('.'), "{noted}: {said}");
        }
    }

    #[test]
    fn a_reason_says_since_when_and_until_when() {
        let now = from_ms(1_700_000_000_000);
        let at = |minutes: i64| Some(from_ms(1_700_000_000_000 + minutes * 60_000));
        let words = |cause, since, until| Why { cause, since, until }.words(now, &TimeZone::UTC);
        assert_eq!(
            words(Cause::Held("quiet hours"), at(-13), at(600)),
            "held: quiet hours, since 22:00, until 15 Nov 8:13"
        );
        assert_eq!(words(Cause::Again(String::new()), None, at(5)), "tries again at 22:18");
        assert_eq!(words(Cause::Later, None, at(5)), "goes on at 22:18");
        let tasks = vec!["HQ-1".to_owned(), "HQ-2".to_owned()];
        assert_eq!(words(Cause::Blocked(tasks), None, None), "held: waits for HQ-1, HQ-2");
    }
}
