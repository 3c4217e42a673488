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

#[derive(Deserialize)]
pub(super) struct Texts {
    pub labels: Vec<String>,
    pub streams: Vec<StreamText>,
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

/// A stream with its kinds of work.
#[derive(Deserialize)]
pub(super) struct StreamText {
    pub name: String,
    pub icon: String,
    pub about: String,
    pub goal: String,
    acts: Vec<String>,
    things: Vec<String>,
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
    /// Words of row names.
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

    /// A random phrase of a kind.
    pub fn say(&self, dice: &mut Dice, kind: &str) -> String {
        dice.pick(&self.lines[kind]).clone()
    }

    /// A random title for a task in a stream.
    pub fn title(&self, dice: &mut Dice, stream: usize) -> String {
        let of = &self.streams[stream];
        let title = format!("{} {}", dice.pick(&of.acts), dice.pick(&of.things));
        match dice.chance(600) {
            true => format!("{title} {}", self.say(dice, "detail")),
            false => title,
        }
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
    use super::{Dice, Texts};
    use providers::catalog;

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
