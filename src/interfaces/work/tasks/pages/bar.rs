//! What several tasks at once can get, and what one row's menu offers. Each choice carries how a row shows it,
//! so that the page can show it before HQ has answered.

use jiff::ToSpan as _;

use super::frame::asker;
use features::tasks::model::label::Label;
use features::tasks::queries::due;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::view_context::ViewContext;
use features::tasks::rules::bulk::MOST;
use kernel::{Assignee, Priority, TaskStatus};
use store::{Range, Read, ReadExt as _};
use web::parts::{Choice, Face, Tone};
use web::time::{Due, Work};

/// What several tasks at once can get.
pub struct BulkBar {
    /// Words and labels of statuses.
    pub statuses: Vec<(&'static str, &'static str)>,
    /// Who can get them.
    pub assignees: Vec<Taker>,
    /// Words and labels of priorities.
    pub priorities: Vec<(&'static str, &'static str)>,
    /// Dates.
    pub dues: Vec<Day>,
    /// Names of streams, as they are sent and in words.
    pub streams: Vec<(String, String)>,
    /// Names and colours of labels.
    pub labels: Vec<(String, String)>,
    /// How many tasks it changes at most.
    pub most: usize,
}

/// Somebody who can get tasks.
pub struct Taker {
    /// As it is sent.
    pub value: String,
    /// What people read.
    pub label: String,
    /// How a row shows them.
    pub face: Face,
    /// Whether they have the task now.
    pub chosen: bool,
}

/// Everybody who can get a task; the one who has it now is chosen.
///
/// # Errors
/// When a name means nobody.
pub fn takers(scene: &ViewContext, now: Option<Assignee>) -> Result<Vec<Taker>, TaskError> {
    let taker = |choice: Choice| {
        let who = scene.people.find(&choice.value, scene.myself())?;
        let value = if who.is_none() { "none".to_owned() } else { choice.value };
        let face = scene.people.face_or_nobody(who);
        Ok(Taker { value, label: choice.label, face, chosen: choice.chosen })
    };
    scene.people.choices(now, scene.me).into_iter().map(taker).collect()
}

/// A day on which tasks can be due.
pub struct Day {
    /// As it is sent.
    pub value: String,
    /// What people read.
    pub label: &'static str,
    /// What a row says of it.
    pub says: String,
    /// How near it is.
    pub tone: &'static str,
}

/// The days that are offered, and that there is none. A time of day that a task keeps, such as `14:30`, is said
/// with them; empty is the whole day.
pub fn days(scene: &ViewContext, time: &str) -> Vec<Day> {
    let today = due::day(scene.today.now, &scene.today.zone);
    let day = |days: i64, value: Option<&str>, label| {
        let day = today.checked_add(days.days()).unwrap_or(today);
        let shown = Due::new(day, today, Work::Open).at(time.to_owned());
        let value = value.map_or_else(|| day.to_string(), str::to_owned);
        Day { value, label, says: shown.text, tone: shown.tone.as_str() }
    };
    let none = Day {
        value: "none".to_owned(),
        label: "No date",
        says: String::new(),
        tone: Tone::Neutral.as_str(),
    };
    vec![
        day(0, Some("today"), "Today"),
        day(1, Some("tomorrow"), "Tomorrow"),
        day(7, None, "In a week"),
        none,
    ]
}

impl BulkBar {
    /// What can be chosen.
    pub fn new(scene: &ViewContext, read: &dyn Read) -> Result<Self, TaskError> {
        let mut streams = asker(scene, read).names("stream")?;
        if !streams.is_empty() {
            streams.push(("none".to_owned(), "No stream".to_owned()));
        }
        let labels: Vec<Label> = read.list(&Range::all())?;
        let tag = |label: Label| (label.name, web::ink::drawn(label.colour));
        Ok(Self {
            statuses: TaskStatus::ALL.iter().map(|one| (one.word(), one.label())).collect(),
            assignees: takers(scene, None)?,
            priorities: Priority::ALL.iter().rev().map(|p| (p.word(), p.label())).collect(),
            dues: days(scene, ""),
            streams,
            labels: labels.into_iter().map(tag).collect(),
            most: MOST,
        })
    }
}
