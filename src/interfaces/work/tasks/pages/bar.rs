//! Choices of the bulk bar and of a row's menu. Each choice includes its appearance in a row, so that the page can show
//! the change before the response arrives.

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

pub struct BulkBar {
    /// Words and labels of statuses.
    pub statuses: Vec<(&'static str, &'static str)>,
    pub assignees: Vec<Taker>,
    /// Words and labels of priorities.
    pub priorities: Vec<(&'static str, &'static str)>,
    /// Dates.
    pub dues: Vec<Day>,
    /// Streams: value and label.
    pub streams: Vec<(String, String)>,
    /// Names and colours of labels.
    pub labels: Vec<(String, String)>,
    /// Maximum number of tasks per change.
    pub most: usize,
}

/// An assignee to choose.
pub struct Taker {
    /// The form value.
    pub value: String,
    pub label: String,
    /// The face in a row.
    pub face: Face,
    /// Whether this is the current assignee.
    pub chosen: bool,
}

/// All assignees to choose from, with the current one selected.
///
/// # Errors
/// A name is unknown.
pub fn takers(scene: &ViewContext, now: Option<Assignee>) -> Result<Vec<Taker>, TaskError> {
    let taker = |choice: Choice| {
        let who = scene.people.find(&choice.value, scene.myself())?;
        let value = if who.is_none() { "none".to_owned() } else { choice.value };
        let face = scene.people.face_or_nobody(who);
        Ok(Taker { value, label: choice.label, face, chosen: choice.chosen })
    };
    scene.people.choices(now, scene.me).into_iter().map(taker).collect()
}

/// A due date to choose.
pub struct Day {
    /// The form value.
    pub value: String,
    pub label: &'static str,
    /// The text in a row.
    pub says: String,
    /// The tone in a row.
    pub tone: &'static str,
}

/// The due dates to choose from, including none. `time` is a time of day that the task keeps, such as `14:30`; empty
/// for the whole day.
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
