//! What several tasks at once can get, and what one row's menu offers. Each choice carries how a row shows it,
//! so that the page can show it before HQ has answered.

use jiff::ToSpan as _;

use super::frame::asker;
use crate::features::tasks::model::label::Label;
use crate::features::tasks::queries::due;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::scene::Scene;
use crate::kernel::{Priority, TaskStatus};
use crate::store::{Range, Read, ReadExt as _};
use crate::web::parts::Face;
use crate::web::time::{Due, Work};

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
}

/// Somebody who can get tasks.
pub struct Taker {
    /// As it is sent.
    pub value: String,
    /// What people read.
    pub label: String,
    /// How a row shows them.
    pub face: Face,
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

impl BulkBar {
    /// What can be chosen.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(scene: &Scene, read: &dyn Read) -> Result<Self, TaskError> {
        let today = due::day(scene.today.now, &scene.today.zone);
        let day = |days: i64, label| {
            let day = today.checked_add(days.days()).unwrap_or(today);
            let shown = Due::new(day, today, Work::Open);
            Day { value: day.to_string(), label, says: shown.text, tone: shown.tone.as_str() }
        };
        let never = Day {
            value: "none".to_owned(),
            label: "No date",
            says: String::new(),
            tone: "neutral",
        };
        let mut streams = asker(scene, read).names("stream")?;
        if !streams.is_empty() {
            streams.push(("none".to_owned(), "No stream".to_owned()));
        }
        let mut assignees = Vec::new();
        for choice in scene.people.choices(None, scene.me) {
            let who = scene.people.find(&choice.value, scene.myself())?;
            let value = if who.is_none() { "none".to_owned() } else { choice.value };
            let face = scene.people.face_or_nobody(who);
            assignees.push(Taker { value, label: choice.label, face });
        }
        let labels: Vec<Label> = read.list(&Range::all())?;
        let tag = |label: Label| (label.name, label.colour.label().to_lowercase());
        Ok(Self {
            statuses: TaskStatus::ALL.iter().map(|one| (one.word(), one.label())).collect(),
            assignees,
            priorities: Priority::ALL.iter().rev().map(|p| (p.word(), p.label())).collect(),
            dues: vec![day(0, "Today"), day(1, "Tomorrow"), day(7, "In a week"), never],
            streams,
            labels: labels.into_iter().map(tag).collect(),
        })
    }
}
