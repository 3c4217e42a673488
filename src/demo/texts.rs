//! Names and texts of the company, from `company.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crm::model::TalkKind;
use entity::Kind;
use features::routines::wish::RoutineRequest;
use features::views::model::Look;
use kernel::MissedPolicy;
use kernel::cadence::ScheduleFields;

use super::dice::Dice;

/// Weeks that titles count before they also name a year.
const WEEKS: usize = 52;
/// Year that the second round of weeks names; further ones go back.
const YEAR: usize = 2025;

#[derive(Deserialize)]
pub(super) struct Texts {
    pub labels: Vec<String>,
    pub streams: Vec<StreamText>,
    /// What tells tasks with the same title apart, such as depots and months, by kind.
    again: BTreeMap<String, Vec<String>>,
    pub agents: Vec<AgentText>,
    pub templates: Vec<TemplateText>,
    pub series: Vec<SeriesText>,
    pub routines: Vec<RoutineRequest>,
    pub views: Vec<ViewText>,
    /// Phrases of people and agents, by kind.
    lines: BTreeMap<String, Vec<String>>,
    tools: Vec<ToolText>,
    pub customers: CustomerTexts,
}

/// A stream with its work.
#[derive(Deserialize)]
pub(super) struct StreamText {
    pub name: String,
    pub icon: String,
    pub about: String,
    pub goal: String,
    /// Markdown of its deliverables; `{piece}` is the title.
    delivery: String,
    pub tasks: Vec<TaskText>,
}

#[derive(Deserialize)]
pub(super) struct TaskText {
    title: String,
    about: String,
    /// Title of its deliverable.
    piece: String,
    /// Preposition and kind of what follows the title when the task occurs again.
    again: String,
}

#[derive(Deserialize)]
pub(super) struct AgentText {
    pub name: String,
    pub emoji: String,
    pub about: String,
    /// Agent template.
    pub template: String,
    pub model: String,
    /// Indexes of its streams.
    pub streams: Vec<usize>,
}

#[derive(Deserialize)]
pub(super) struct TemplateText {
    pub name: String,
    pub about: String,
    /// Titles and roles.
    pub steps: Vec<(String, String)>,
}

#[derive(Deserialize)]
pub(super) struct SeriesText {
    pub title: String,
    /// Index of its stream.
    pub stream: usize,
    pub missed: MissedPolicy,
    pub schedule: ScheduleFields,
}

#[derive(Deserialize)]
pub(super) struct ViewText {
    pub name: String,
    pub icon: String,
    pub look: Look,
}

/// A call of a reading tool.
#[derive(Clone, Deserialize)]
pub(super) struct ToolText {
    pub name: String,
    /// JSON.
    pub arguments: String,
    pub result: String,
}

#[derive(Deserialize)]
pub(super) struct CustomerTexts {
    pub places: Vec<String>,
    /// Trades and their industries.
    pub trades: Vec<(String, String)>,
    pub given: Vec<String>,
    pub family: Vec<String>,
    pub roles: Vec<String>,
    pub towns: Vec<String>,
    pub tags: Vec<String>,
    pub stages: Vec<String>,
    pub sizes: Vec<String>,
    pub sources: Vec<String>,
    pub next: Vec<String>,
    /// Kind, subject and body.
    pub talks: Vec<(TalkKind, String, String)>,
    pub collections: Vec<CollectionText>,
}

#[derive(Deserialize)]
pub(super) struct CollectionText {
    pub name: String,
    pub icon: String,
    pub about: String,
    pub fields: Vec<FieldText>,
    /// Names of its first rows.
    pub rows: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct FieldText {
    pub label: String,
    pub kind: Kind,
    pub choices: Vec<String>,
}

impl Texts {
    pub fn read() -> Self {
        serde_json::from_str(include_str!("company.json")).expect("invariant: the file fits")
    }

    /// The phrases of a kind.
    pub fn all(&self, kind: &str) -> &[String] {
        &self.lines[kind]
    }

    /// A random phrase of a kind.
    pub fn say(&self, dice: &mut Dice, kind: &str) -> String {
        dice.pick(self.all(kind)).clone()
    }

    /// Title and description of a stream's task. `round` counts how often the stream had each of its tasks before: the
    /// first titles are plain, later ones name a depot, model, town or month, and finally a week.
    pub fn task(&self, stream: usize, at: usize, round: usize) -> (String, String) {
        let task = &self.streams[stream].tasks[at];
        let title = match round.checked_sub(1) {
            None => task.title.clone(),
            Some(round) => format!("{} {}", task.title, self.apart(&task.again, at, round)),
        };
        (title, task.about.clone())
    }

    /// `at` shifts the names, so that different tasks get different ones in a round.
    fn apart(&self, again: &str, at: usize, round: usize) -> String {
        let (word, kind) = again.split_once(' ').expect("invariant: a preposition and a kind");
        let all = &self.again[kind];
        let name = &all[(round + 3 * at) % all.len()];
        match (round / all.len()).checked_sub(1) {
            None => format!("{word} {name}"),
            Some(n) if n < WEEKS => format!("{word} {name}, week {}", n + 1),
            Some(n) => format!("{word} {name}, week {} of {}", n % WEEKS + 1, YEAR + 1 - n / WEEKS),
        }
    }

    /// Title and text of the deliverable of a task with this title.
    pub fn delivery(&self, title: &str) -> (String, String) {
        for stream in &self.streams {
            if let Some(task) = stream.tasks.iter().find(|task| title.starts_with(&task.title)) {
                let piece = format!("{}{}", task.piece, &title[task.title.len()..]);
                let text = stream.delivery.replace("{piece}", &piece);
                return (piece, text);
            }
        }
        // A task of a series; those of routines and templates have no stream of their own.
        let stream = self.series.iter().find(|one| one.title == title).map_or(0, |one| one.stream);
        (title.to_owned(), self.streams[stream].delivery.replace("{piece}", title))
    }

    /// A tool call that fits a title.
    pub fn tool(&self, dice: &mut Dice, title: &str) -> ToolText {
        let ToolText { name, arguments, result } = dice.pick(&self.tools).clone();
        let words: Vec<&str> = title.split_whitespace().skip(1).take(3).collect();
        // Safe within a JSON string.
        let words = words.join(" ").replace(['"', '\\'], "");
        let arguments = arguments.replace("{words}", &words);
        ToolText { name, arguments, result: result.replace("{title}", title) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Dice, Texts};
    use providers::catalog;

    #[test]
    fn titles_differ_and_deliverables_are_named_after_them() {
        let texts = Texts::read();
        let count: usize = texts.streams.iter().map(|one| one.tasks.len()).sum();
        assert!((60..=120).contains(&count), "{count}");
        let mut seen = HashSet::new();
        for stream in 0..texts.streams.len() {
            for at in 0..texts.streams[stream].tasks.len() {
                for round in 0..1_100 {
                    let (title, about) = texts.task(stream, at, round);
                    assert!(!about.is_empty() && title.len() < 100, "{title}");
                    let (piece, text) = texts.delivery(&title);
                    assert!(text.contains(&piece) && !text.contains('{'), "{title}: {text}");
                    assert!(seen.insert(title.clone()), "{title} occurs twice");
                }
            }
        }
    }

    #[test]
    fn agents_work_in_streams_with_models_that_have_a_price() {
        let texts = Texts::read();
        assert_eq!((texts.streams.len(), texts.agents.len()), (12, 20));
        for agent in &texts.agents {
            assert!(catalog::describe(&agent.model).price.is_some(), "{}", agent.model);
            assert!(agent.streams.iter().all(|n| *n < texts.streams.len()), "{}", agent.name);
            assert!(!agent.streams.is_empty(), "{}", agent.name);
        }
    }

    #[test]
    fn what_a_tool_was_asked_is_json() {
        let (texts, mut dice) = (Texts::read(), Dice(9));
        for _ in 0..100 {
            let tool = texts.tool(&mut dice, "Rewrite the \"price\" page for the old town");
            let arguments: serde_json::Value = serde_json::from_str(&tool.arguments).expect("JSON");
            assert!(arguments.is_object(), "{arguments}");
            assert!(!tool.result.is_empty() && !tool.result.contains('{'), "{}", tool.result);
        }
    }
}
