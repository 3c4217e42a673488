//! Usage report: totals of calls by agent, model, task, stream, routine, machine, source, kind or day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::agents::model::Agent;
use crate::agents::queries::machines::{HERE, Machines};
use crate::agents::queries::{self as agents, Called};
use crate::routines::model::Routine;
use crate::streams::model::Stream;
use crate::tasks::model::Task;
use crate::tasks::queries as tasks;
use crate::usage::model::day::{Sums, UsageDay};
use crate::usage::model::nobody;
use crate::usage::model::source::{OTHER, TESTS, UsageSource};
use crate::usage::period::Month;
use kernel::display;
use kernel::text::ellipsis;
use kernel::{AgentId, CallKind, GatewayId, Route, RoutineId, RunTrigger, StreamId, TaskId};
use providers::oauth::Vendor;
use store::{Read, ReadExt, StoreError};

use super::daily::Rolled;

/// Series key of all calls together.
pub const ALL: &str = "all";
/// Maximum length of a line's name.
const MAX_NAME: usize = 80;

/// Grouping of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    #[default]
    Agent,
    /// Model and provider.
    Model,
    Task,
    /// Stream of the task.
    Stream,
    /// The routine that started the run or created its task.
    Routine,
    /// The gateway of the run.
    Gateway,
    /// Trigger of the run.
    Source,
    /// Purpose of the call within the run.
    Kind,
    Day,
}

impl By {
    pub const ALL: [Self; 9] = [
        Self::Agent,
        Self::Model,
        Self::Task,
        Self::Stream,
        Self::Routine,
        Self::Gateway,
        Self::Source,
        Self::Kind,
        Self::Day,
    ];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Model => "model",
            Self::Task => "task",
            Self::Stream => "stream",
            Self::Routine => "routine",
            Self::Gateway => "gateway",
            Self::Source => "source",
            Self::Kind => "kind",
            Self::Day => "day",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Agent => "Agent",
            Self::Model => "Model",
            Self::Task => "Task",
            Self::Stream => "Stream",
            Self::Routine => "Routine",
            Self::Gateway => "Machine",
            Self::Source => "Source",
            Self::Kind => "Kind",
            Self::Day => "Day",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.word() == word.trim())
    }
}

/// Amount drawn by day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// Billed micro-dollars.
    #[default]
    Billed,
    /// List price in micro-dollars, also for calls paid by a subscription.
    List,
    /// Tokens sent and received.
    Tokens,
}

impl Of {
    pub const ALL: [Self; 3] = [Self::Billed, Self::List, Self::Tokens];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::List => "list",
            Self::Tokens => "tokens",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Billed => "Billed",
            Self::List => "List price",
            Self::Tokens => "Tokens",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.word() == word.trim())
    }

    /// The amount of these calls.
    #[must_use]
    pub fn amount(self, sums: &Sums) -> i64 {
        match self {
            Self::Billed => sums.billed_micros,
            Self::List => sums.list_micros,
            Self::Tokens => {
                let sent = sums.input.saturating_add(sums.cache_read);
                let all = sent.saturating_add(sums.cache_write).saturating_add(sums.output);
                i64::try_from(all).unwrap_or(i64::MAX)
            }
        }
    }
}

/// Line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Stable identifier: an id, a model or a date.
    pub key: String,
    pub name: String,
    /// Additional text; may be empty.
    pub note: String,
    /// Page path in the workspace; may be empty.
    pub path: String,
    pub sums: Sums,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub total: Sums,
    /// Highest amount first; days in date order.
    pub lines: Vec<Line>,
    /// Chosen amount by day and line key. A report by day has only the key [`ALL`].
    pub days: BTreeMap<u32, BTreeMap<String, i64>>,
}

/// Builds a report. `of` is the amount drawn by day.
pub fn report(
    read: &dyn Read,
    rolled: &Rolled,
    (by, of): (By, Of),
    machines: &Machines,
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut lines: BTreeMap<Which, Sums> = BTreeMap::new();
    let mut add = |day: u32, which: Which, sums: Sums| {
        report.total += sums;
        let amount = of.amount(&sums);
        if amount != 0 {
            let at = report.days.entry(day).or_default().entry(which.series()).or_default();
            *at = at.saturating_add(amount);
        }
        *lines.entry(which).or_default() += sums;
    };
    match by {
        By::Source | By::Kind => {
            for one in &rolled.sources {
                add(one.day, Which::of_source(one, by), one.sums);
            }
        }
        By::Agent | By::Model | By::Task | By::Stream | By::Routine | By::Gateway | By::Day => {
            for one in &rolled.days {
                add(one.day, Which::of_day(one, by), one.sums);
            }
        }
    }
    let known = Known {
        called: match by {
            By::Agent => Called::among(&agents::all(read)?),
            _ => Called::default(),
        },
        machines,
    };
    for (which, sums) in lines {
        let (name, note, path) = which.words(read, &known)?;
        report.lines.push(Line { key: which.key(), name, note, path, sums });
    }
    if by != By::Day {
        report.lines.sort_by_key(|line| Reverse((of.amount(&line.sums), line.sums.calls)));
    }
    Ok(report)
}

/// Names loaded before the first line.
struct Known<'m> {
    called: Called,
    machines: &'m Machines,
}

/// Key of a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    Agent(AgentId),
    Model(String, String),
    Task(Option<TaskId>),
    Stream(Option<StreamId>),
    Routine(Option<RoutineId>),
    Gateway(Option<GatewayId>),
    Source(String),
    Kind(CallKind),
    Day(u32),
}

impl Which {
    fn of_day(one: &UsageDay, by: By) -> Self {
        match by {
            By::Model => Self::Model(one.model.clone(), one.provider.clone()),
            By::Task => Self::Task(one.task),
            By::Stream => Self::Stream(one.stream),
            By::Routine => Self::Routine(one.routine),
            By::Gateway => Self::Gateway(one.gateway),
            By::Day => Self::Day(one.day),
            By::Agent | By::Source | By::Kind => Self::Agent(one.agent),
        }
    }

    fn of_source(one: &UsageSource, by: By) -> Self {
        match by {
            By::Kind => Self::Kind(one.kind),
            _ => Self::Source(one.source.clone()),
        }
    }

    fn key(&self) -> String {
        match self {
            Self::Agent(id) if *id == nobody() => TESTS.to_owned(),
            Self::Agent(id) => id.to_string(),
            Self::Model(model, provider) => format!("{provider}/{model}"),
            Self::Task(None) | Self::Stream(None) | Self::Routine(None) => "none".to_owned(),
            Self::Task(Some(id)) => id.to_string(),
            Self::Stream(Some(id)) => id.to_string(),
            Self::Routine(Some(id)) => id.to_string(),
            Self::Gateway(None) => HERE.to_owned(),
            Self::Gateway(Some(id)) => id.to_string(),
            Self::Source(word) => word.clone(),
            Self::Kind(kind) => kind.word().to_owned(),
            Self::Day(day) => Month::date_of(*day).to_string(),
        }
    }

    /// Series key in the chart.
    fn series(&self) -> String {
        match self {
            Self::Day(_) => ALL.to_owned(),
            other => other.key(),
        }
    }

    /// Name, additional text and page path.
    fn words(
        &self,
        read: &dyn Read,
        known: &Known<'_>,
    ) -> Result<(String, String, String), StoreError> {
        let plain = |name: &str| (name.to_owned(), String::new(), String::new());
        Ok(match self {
            Self::Agent(id) if *id == nobody() => plain("Connection tests"),
            Self::Agent(id) => match read.get::<Agent>(*id)? {
                Some(agent) => {
                    (known.called.name(&agent), String::new(), format!("agents/{}", agent.slug))
                }
                None => plain("Deleted agent"),
            },
            Self::Model(model, provider) => {
                let note = match Vendor::of(provider) {
                    Some(maker) => {
                        format!("{}, {}", maker.about().name, Route::Subscription.label())
                    }
                    None => provider.clone(),
                };
                (model.clone(), note, String::new())
            }
            Self::Task(None) => plain("No task"),
            Self::Task(Some(id)) => match read.get::<Task>(*id)? {
                Some(task) => {
                    let name = tasks::name(read, task.number)?;
                    let words = ellipsis(&format!("{name} {}", task.title), MAX_NAME);
                    (words, String::new(), format!("tasks/{name}"))
                }
                None => plain("Deleted task"),
            },
            Self::Stream(None) => plain("No stream"),
            Self::Stream(Some(id)) => match read.get::<Stream>(*id)? {
                Some(stream) => (stream.name, String::new(), format!("streams/{id}")),
                None => plain("Deleted stream"),
            },
            Self::Routine(None) => plain("No routine"),
            Self::Routine(Some(id)) => match read.get::<Routine>(*id)? {
                Some(routine) => (routine.name, String::new(), format!("routines/{id}")),
                None => plain("Deleted routine"),
            },
            Self::Gateway(id) => match known.machines.of(*id) {
                Some(one) => {
                    (one.label.clone(), String::new(), format!("runs?gateway={}", one.slug))
                }
                None => plain(known.machines.label(*id)),
            },
            Self::Source(word) => plain(source(word)),
            Self::Kind(kind) => plain(kind.label()),
            Self::Day(day) => {
                let date = Month::date_of(*day);
                let date = format!("{} {}", date.strftime("%a"), display::day(date));
                (date, String::new(), String::new())
            }
        })
    }
}

/// Display text of a run's source.
#[must_use]
pub fn source(word: &str) -> &str {
    match word {
        TESTS => "Connection tests",
        OTHER => "Other",
        word => match word.parse::<RunTrigger>() {
            Ok(trigger) => trigger.label(),
            Err(_) => word,
        },
    }
}
