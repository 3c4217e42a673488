//! What the people and agents of the company say. The texts lie beside this file.

use std::collections::BTreeMap;

use super::dice::Dice;

/// A stream with the work that comes up in it.
pub(super) struct StreamText {
    pub name: &'static str,
    /// Its emoji.
    pub icon: &'static str,
    /// What it holds.
    pub about: &'static str,
    pub goal: &'static str,
    /// What is done in it.
    deeds: Vec<&'static str>,
    things: Vec<&'static str>,
}

pub(super) struct AgentText {
    pub name: &'static str,
    pub emoji: &'static str,
    pub about: &'static str,
    /// The template of its files.
    pub template: &'static str,
    /// The model that its runs name.
    pub model: &'static str,
    /// The places of the streams that it works in.
    pub streams: Vec<usize>,
}

/// A look at something that an agent takes with a tool.
pub(super) struct ToolText {
    /// The tool.
    pub name: &'static str,
    /// Its arguments in JSON.
    pub arguments: String,
    /// What it answered.
    pub result: String,
}

/// All texts.
pub(super) struct Words {
    pub streams: Vec<StreamText>,
    pub agents: Vec<AgentText>,
    lines: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Words {
    /// Reads what lies beside.
    pub fn read() -> Self {
        let streams = include_str!("text/streams.txt").split("\n\n").filter_map(stream).collect();
        let agents = include_str!("text/agents.txt").lines().filter_map(agent).collect();
        let mut lines: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
        let mut section = "";
        for line in include_str!("text/words.txt").lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(name) => section = name,
                None => lines.entry(section).or_default().push(line),
            }
        }
        Self { streams, agents, lines }
    }

    /// One of the texts of a kind; nothing where the kind is not known.
    pub fn say(&self, dice: &mut Dice, kind: &str) -> String {
        let all = self.lines.get(kind).map_or(&[][..], Vec::as_slice);
        match all {
            [] => String::new(),
            all => dice.pick(all).replace("\\n", "\n"),
        }
    }

    /// The title of a piece of work in a stream.
    pub fn title(&self, dice: &mut Dice, stream: usize) -> String {
        let of = &self.streams[stream];
        let (deed, thing) = (*dice.pick(&of.deeds), *dice.pick(&of.things));
        match dice.chance(600) {
            true => format!("{deed} {thing} {}", self.say(dice, "detail")),
            false => format!("{deed} {thing}"),
        }
    }

    /// A tool that an agent looks around with, about something.
    pub fn tool(&self, dice: &mut Dice, title: &str) -> ToolText {
        let all = self.lines.get("tool").map_or(&[][..], Vec::as_slice);
        let line = if all.is_empty() { "list | {} | nothing" } else { *dice.pick(all) };
        let mut parts = line.splitn(3, " | ");
        let name = parts.next().unwrap_or("list");
        let arguments = parts.next().unwrap_or("{}");
        let result = parts.next().unwrap_or_default();
        let words: Vec<&str> = title.split_whitespace().skip(1).take(3).collect();
        Self::filled(name, arguments, result, title, &words.join(" "))
    }

    fn filled(
        name: &'static str,
        arguments: &str,
        result: &str,
        title: &str,
        words: &str,
    ) -> ToolText {
        // As a part of JSON.
        let words = words.replace(['"', '\\'], "");
        ToolText {
            name,
            arguments: arguments.replace("{words}", &words),
            result: result.replace("\\n", "\n").replace("{title}", title),
        }
    }
}

fn stream(block: &'static str) -> Option<StreamText> {
    let mut lines = block.lines().filter(|line| !line.is_empty());
    let mut head = lines.next()?.split(" | ");
    let (name, icon) = (head.next()?, head.next()?);
    let (about, goal) = (head.next()?, head.next()?);
    let deeds = lines.next()?.strip_prefix("do: ")?.split("; ").collect();
    let things = lines.next()?.strip_prefix("what: ")?.split("; ").collect();
    Some(StreamText { name, icon, about, goal, deeds, things })
}

fn agent(line: &'static str) -> Option<AgentText> {
    let mut parts = line.split(" | ");
    let (name, emoji, about) = (parts.next()?, parts.next()?, parts.next()?);
    let (template, model) = (parts.next()?, parts.next()?);
    let streams = parts.next()?.split(' ').filter_map(|n| n.parse().ok()).collect();
    Some(AgentText { name, emoji, about, template, model, streams })
}

#[cfg(test)]
mod tests {
    use super::{Dice, Words};
    use providers::catalog;

    #[test]
    fn every_text_can_be_used() {
        let words = Words::read();
        assert_eq!((words.streams.len(), words.agents.len()), (12, 20));
        for agent in &words.agents {
            assert!(catalog::describe(agent.model).price.is_some(), "{}", agent.model);
            assert!(agent.streams.iter().all(|n| *n < words.streams.len()), "{}", agent.name);
            assert!(!agent.streams.is_empty(), "{}", agent.name);
        }
        let kinds = [
            "detail",
            "description",
            "ask",
            "report",
            "answer",
            "summary",
            "trouble",
            "asks",
            "approve",
            "change",
            "reject",
            "note",
            "tool",
            "thought",
            "delivery",
        ];
        let mut dice = Dice::of(1);
        for kind in kinds {
            assert!(!words.say(&mut dice, kind).is_empty(), "{kind}");
        }
        assert_eq!(words.lines.len(), kinds.len());
    }

    #[test]
    fn titles_are_short_and_seldom_the_same() {
        let (words, mut dice) = (Words::read(), Dice::of(5));
        let titles: Vec<String> = (0..1_000).map(|n| words.title(&mut dice, n % 12)).collect();
        assert!(titles.iter().all(|title| title.chars().count() <= 120));
        let mut once = titles.clone();
        once.sort_unstable();
        once.dedup();
        assert!(700 < once.len(), "{} of 1,000 differ", once.len());
    }

    #[test]
    fn what_a_tool_was_asked_is_json() {
        let (words, mut dice) = (Words::read(), Dice::of(9));
        for _ in 0..100 {
            let tool = words.tool(&mut dice, "Rewrite the \"price\" page for the old town");
            let asked: serde_json::Value = serde_json::from_str(&tool.arguments).expect("JSON");
            assert!(asked.is_object(), "{asked}");
            assert!(!tool.result.is_empty() && !tool.result.contains('{'), "{}", tool.result);
        }
    }
}
