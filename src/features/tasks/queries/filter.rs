//! The keys of the filter language that tasks have, and what they mean.

use std::collections::HashSet;
use std::sync::Arc;

use super::due;
use super::error::TaskError;
use super::having;
use super::list::{OPEN, Today};
use super::people::People;
use super::terms::{self, Being, Dated, Of, OneOf, Sign, Terms, Test};
use crate::kernel::filter::{
    self, Days, Key, Kind, MAX_TERMS, MAX_VALUES, Query, Term, unknown_key, unknown_value,
};
use crate::kernel::{AgentStatus, Assignee, Priority, TaskId, TaskStatus};
use crate::store::{Read, StoreError};

/// What tasks can be asked for, in the order in which a query is written.
pub const KEYS: &[Key] = &[
    key("status", Kind::Words(STATUSES), "Where it stands"),
    key("is", Kind::Words(BEINGS), "In this state"),
    key(
        "assignee",
        Kind::Names(&[("me", "Me"), ("none", "Nobody"), ("any", "Somebody")]),
        "Who has it",
    ),
    key("creator", Kind::Names(&[("me", "Me")]), "Who made it"),
    key("watcher", Kind::Later("Watchers"), ""),
    key("agent-state", Kind::Words(AGENT_STATES), "What its agent does"),
    key("stream", Kind::Later("Streams"), ""),
    key("label", Kind::Later("Labels"), ""),
    key("priority", Kind::Words(PRIORITIES), "How urgent it is"),
    key("due", Kind::Date, "When it is due"),
    key("start", Kind::Later("Start dates"), ""),
    key("created", Kind::Date, "When it was made"),
    key("updated", Kind::Date, "When it last changed"),
    key("done", Kind::Date, "When it was done"),
    key(
        "parent",
        Kind::Names(&[("none", "Of its own"), ("any", "A part of another")]),
        "What it is a part of",
    ),
    key("series", Kind::Later("Recurring tasks"), ""),
    key("template", Kind::Later("Templates of tasks"), ""),
    key("collection", Kind::Later("Collections"), ""),
    key("has", Kind::Words(BELONGINGS), "With something"),
    key("waiting", Kind::Names(&[("me", "Me"), ("any", "Anybody")]), "Who has to act"),
    key("blocks", Kind::Later("Relations between tasks"), ""),
    key("blocked-by", Kind::Later("Relations between tasks"), ""),
    key("cost", Kind::Number, "What it cost, in dollars"),
    key("id", Kind::Number, "Its number"),
];

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, about }
}

const STATUSES: filter::Words = &[
    ("todo", "To do"),
    ("in_progress", "In progress"),
    ("blocked", "Blocked"),
    ("done", "Done"),
    ("cancelled", "Cancelled"),
    ("missed", "Missed"),
];
const PRIORITIES: filter::Words =
    &[("urgent", "Urgent"), ("high", "High"), ("medium", "Medium"), ("low", "Low")];
const BEINGS: filter::Words = &[
    ("open", "Open"),
    ("closed", "Closed"),
    ("overdue", "Overdue"),
    ("blocked", "Blocked"),
    ("archived", "Archived"),
    ("mine", "Mine"),
];
const BELONGINGS: filter::Words = &[
    ("deliverable", "Delivered work"),
    ("attachment", "A file"),
    ("comment", "A comment"),
    ("subtasks", "Subtasks"),
    ("run", "A run"),
];
const AGENT_STATES: filter::Words = &[
    ("working", "Working"),
    ("ready", "Ready"),
    ("paused", "Paused"),
    ("error", "Needs attention"),
    ("hibernating", "Asleep"),
    ("provisioning", "Setting up"),
];

/// Who asks, and what names mean here.
pub struct Asker<'a> {
    /// The store.
    pub read: &'a dyn Read,
    /// Everybody.
    pub people: &'a People,
    /// Who `me` is.
    pub me: Assignee,
    /// The day.
    pub today: &'a Today,
}

/// A query as it was understood.
#[derive(Clone, Debug, Default)]
pub struct Understood {
    /// What filters.
    pub terms: Terms,
    /// Each term in the order of writing, with what is wrong with it, or nothing.
    pub said: Vec<(Term, String)>,
}

impl Understood {
    /// What is wrong first, if anything is.
    #[must_use]
    pub fn wrong(&self) -> Option<&str> {
        self.said.iter().map(|(_, wrong)| wrong.as_str()).find(|wrong| !wrong.is_empty())
    }

    /// The terms, for a program, which should hear of its mistake.
    ///
    /// # Errors
    /// When a term is not known.
    pub fn strict(self) -> Result<Terms, TaskError> {
        match self.wrong() {
            Some(wrong) => Err(TaskError::field("q", wrong)),
            None => Ok(self.terms),
        }
    }
}

impl Asker<'_> {
    /// Reads a query. What is not known is told and does not count; the rest does.
    ///
    /// # Errors
    /// When the store fails.
    pub fn understand(&self, query: &Query) -> Result<Understood, TaskError> {
        let mut found = Understood::default();
        for (n, term) in query.terms.iter().enumerate() {
            let mut wrong = Vec::new();
            if n < MAX_TERMS && term.values.len() <= MAX_VALUES {
                self.add(&mut found.terms, term, &mut wrong)?;
            } else {
                wrong.push("This is more than a list can be asked at once.".to_owned());
            }
            found.said.push((term.clone(), wrong.join(" ")));
        }
        Ok(found)
    }

    fn add(&self, to: &mut Terms, term: &Term, wrong: &mut Vec<String>) -> Result<(), TaskError> {
        let sign = if term.not { Sign::Not } else { Sign::Is };
        if term.is_words() {
            if let Some(words) = term.values.first() {
                to.push_words(sign, words);
            }
            return Ok(());
        }
        let Some(key) = filter::key(KEYS, &term.key) else {
            wrong.push(unknown_key(&term.key, KEYS));
            return Ok(());
        };
        if let Kind::Later(what) = key.kind {
            wrong.push(format!("{what} are not here yet; this does not filter."));
            return Ok(());
        }
        if term.values.is_empty() {
            wrong.push(format!("Say what {}: should be.", term.key));
            return Ok(());
        }
        if let Some(test) = self.test(key, &term.values, wrong)? {
            to.push(sign, test);
        }
        Ok(())
    }

    /// What the values ask; nothing when none of them is known.
    fn test(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let dated = |dated, wrong: &mut Vec<String>| {
            let spans = self.dates(key, values, wrong);
            (!spans.is_empty()).then_some(Test::When(dated, spans))
        };
        Ok(match key.name {
            "status" => {
                let bits = bits(key, values, wrong, |word| {
                    word.parse().ok().map(|status: TaskStatus| terms::status_bit(status))
                });
                bits.map(Test::Status)
            }
            "priority" => {
                let bits = bits(key, values, wrong, |word| {
                    word.parse().ok().map(|priority: Priority| terms::priority_bit(priority))
                });
                bits.map(Test::Priority)
            }
            "is" => self.beings(key, values, wrong),
            "agent-state" => self.agent_state(key, values, wrong),
            "assignee" => self.who(Of::Assignee, key, values, wrong),
            "creator" => self.who(Of::Creator, key, values, wrong),
            "due" => dated(Dated::Due, wrong),
            "created" => dated(Dated::Created, wrong),
            "updated" => dated(Dated::Updated, wrong),
            "done" => dated(Dated::Done, wrong),
            "parent" => self.parents(values, wrong)?,
            "has" => self.belongings(key, values, wrong)?,
            "waiting" => self.waiting(key, values, wrong)?,
            "cost" => {
                let spans = numbers(key, values, wrong);
                match spans.is_empty() {
                    true => None,
                    false => Some(Test::Cost(spans, Arc::new(having::costs(self.read)?))),
                }
            }
            // "id"
            _ => self.ids(key, values, wrong)?,
        })
    }

    fn beings(&self, key: &Key, values: &[String], wrong: &mut Vec<String>) -> Option<Test> {
        let open = OPEN.iter().fold(0, |bits, status| bits | terms::status_bit(*status));
        let mut list = Vec::new();
        for value in values {
            list.push(match value.to_ascii_lowercase().as_str() {
                "open" => Being::Status(open),
                "closed" => Being::Status(!open),
                "blocked" => Being::Status(terms::status_bit(TaskStatus::Blocked)),
                "archived" => Being::Archived,
                "mine" => Being::Of(self.me),
                "overdue" => {
                    let today = due::day(self.today.now, &self.today.zone);
                    let before = Days { from: None, to: Some(today) };
                    Being::DueBefore(before.span(&self.today.zone).1)
                }
                "unread" => {
                    wrong.push("What is unread is not here yet; this does not filter.".to_owned());
                    continue;
                }
                _ => {
                    wrong.push(unknown_word(key, value));
                    continue;
                }
            });
        }
        (!list.is_empty()).then_some(Test::Being(list))
    }

    /// Tasks of agents in one of these states.
    fn agent_state(&self, key: &Key, values: &[String], wrong: &mut Vec<String>) -> Option<Test> {
        let mut who = OneOf::default();
        let mut known = false;
        for value in values {
            let word = value.to_ascii_lowercase();
            let status = word.parse::<AgentStatus>().ok();
            if status.is_none() && word != "working" {
                wrong.push(unknown_word(key, value));
                continue;
            }
            known = true;
            let agents = self.people.agents().filter(|agent| match status {
                None => self.people.is_working(agent.id),
                Some(AgentStatus::Ready) => {
                    agent.status == AgentStatus::Ready && !self.people.is_working(agent.id)
                }
                Some(status) => agent.status == status,
            });
            who.values.extend(agents.map(|agent| Assignee::Agent(agent.id)));
        }
        // A state that no agent is in just now finds nothing.
        known.then_some(Test::Who(Of::Assignee, who))
    }

    fn who(&self, of: Of, key: &Key, values: &[String], wrong: &mut Vec<String>) -> Option<Test> {
        let mut who = OneOf::default();
        for value in values {
            match value.to_ascii_lowercase().as_str() {
                "none" if of == Of::Assignee => who.none = true,
                "any" => who.any = true,
                _ => match self.people.find(value, self.me) {
                    Ok(Some(one)) => who.values.push(one),
                    _ => wrong.push(self.unknown_person(key, value)),
                },
            }
        }
        (!who.is_empty()).then_some(Test::Who(of, who))
    }

    fn unknown_person(&self, key: &Key, value: &str) -> String {
        let names = self.people.names();
        unknown_value(key.name, value, names.iter().map(|(name, _)| name.as_str()))
    }

    fn dates(&self, key: &Key, values: &[String], wrong: &mut Vec<String>) -> OneOf<(i64, i64)> {
        let zone = &self.today.zone;
        let today = due::day(self.today.now, zone);
        let mut spans = OneOf::default();
        for value in values {
            match value.to_ascii_lowercase().as_str() {
                "none" => spans.none = true,
                "any" => spans.any = true,
                text => match filter::days(text, today) {
                    Some(days) => spans.values.push(days.span(zone)),
                    None => wrong.push(format!(
                        "\"{}\" is no date for {}; write today, 2026-11-20, <7d, >-3d or a..b.",
                        short(value),
                        key.name
                    )),
                },
            }
        }
        spans
    }

    fn parents(
        &self,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let mut ids: OneOf<TaskId> = OneOf::default();
        for value in values {
            match value.to_ascii_lowercase().as_str() {
                "none" => ids.none = true,
                "any" => ids.any = true,
                _ => ids.values.extend(self.task(value, wrong)?),
            }
        }
        Ok((!ids.is_empty()).then_some(Test::Parent(ids)))
    }

    fn task(&self, name: &str, wrong: &mut Vec<String>) -> Result<Option<TaskId>, StoreError> {
        match super::resolve(self.read, name) {
            Ok(task) => Ok(Some(task.id)),
            Err(TaskError::Store(error)) => Err(error),
            Err(error) => {
                wrong.push(crate::web::form::sentence(&error.to_string()));
                Ok(None)
            }
        }
    }

    fn belongings(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let mut found: Option<HashSet<TaskId>> = None;
        for value in values {
            let more = match value.to_ascii_lowercase().as_str() {
                "deliverable" => having::deliverables(self.read)?,
                "attachment" => having::files(self.read)?,
                "comment" => having::comments(self.read)?,
                "subtasks" => having::parts(self.read)?,
                "run" => having::runs(self.read)?,
                _ => {
                    wrong.push(unknown_word(key, value));
                    continue;
                }
            };
            match &mut found {
                Some(found) => found.extend(more),
                None => found = Some(more),
            }
        }
        Ok(found.map(|ids| Test::In(Arc::new(ids))))
    }

    fn waiting(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let mut found: Option<HashSet<TaskId>> = None;
        for value in values {
            let who = match value.to_ascii_lowercase().as_str() {
                "any" => None,
                _ => match self.people.find(value, self.me) {
                    Ok(Some(who)) => Some(who),
                    _ => {
                        wrong.push(self.unknown_person(key, value));
                        continue;
                    }
                },
            };
            let more = having::waiting(self.read, who, self.today.now)?;
            found.get_or_insert_default().extend(more);
        }
        Ok(found.map(|ids| Test::In(Arc::new(ids))))
    }

    /// Numbers, or names such as `MC-142`.
    fn ids(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let mut spans = Vec::new();
        for value in values {
            let number = match filter::numbers(value) {
                None => super::number(self.read, value)?.map(|number| number.to_string()),
                Some(_) => Some(value.clone()),
            };
            match number.as_deref().and_then(filter::numbers) {
                Some(span) => spans.push(span),
                None => wrong.push(not_a_number(key, value)),
            }
        }
        Ok((!spans.is_empty()).then_some(Test::Number(spans)))
    }

    /// What a key that takes names knows, with labels.
    #[must_use]
    pub fn names(&self, key: &str) -> Vec<(String, String)> {
        match key {
            "assignee" | "creator" => self.people.names(),
            "waiting" => self.people.members_named(),
            _ => Vec::new(),
        }
    }
}

fn bits(
    key: &Key,
    values: &[String],
    wrong: &mut Vec<String>,
    bit: impl Fn(&str) -> Option<u8>,
) -> Option<u8> {
    let mut all = 0;
    for value in values {
        match bit(&value.to_ascii_lowercase()) {
            Some(bit) => all |= bit,
            None => wrong.push(unknown_word(key, value)),
        }
    }
    (all != 0).then_some(all)
}

fn numbers(key: &Key, values: &[String], wrong: &mut Vec<String>) -> Vec<filter::Numbers> {
    let mut spans = Vec::new();
    for value in values {
        match filter::numbers(value.trim_start_matches('$')) {
            Some(span) => spans.push(span),
            None => wrong.push(not_a_number(key, value)),
        }
    }
    spans
}

fn not_a_number(key: &Key, value: &str) -> String {
    format!("\"{}\" is no number for {}; write 5, <5, >5 or 2..5.", short(value), key.name)
}

fn unknown_word(key: &Key, value: &str) -> String {
    let words = match key.kind {
        Kind::Words(words) | Kind::Names(words) => words,
        Kind::Date | Kind::Number | Kind::Later(_) => &[],
    };
    unknown_value(key.name, value, words.iter().map(|(word, _)| *word))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::{KEYS, PRIORITIES, STATUSES};
    use crate::kernel::filter::Kind;
    use crate::kernel::{Priority, TaskStatus};

    #[test]
    fn every_status_and_priority_can_be_asked_for() {
        let words = |all: &[(&str, &str)]| {
            all.iter()
                .map(|(word, label)| ((*word).to_owned(), (*label).to_owned()))
                .collect::<Vec<_>>()
        };
        let statuses: Vec<_> = TaskStatus::ALL
            .iter()
            .map(|one| (one.word().to_owned(), one.label().to_owned()))
            .collect();
        assert_eq!(words(STATUSES), statuses);
        let priorities: Vec<_> = Priority::ALL
            .iter()
            .rev()
            .map(|one| (one.word().to_owned(), one.label().to_owned()))
            .collect();
        assert_eq!(words(PRIORITIES), priorities);
    }

    #[test]
    fn what_is_not_here_yet_says_so_in_a_sentence() {
        for key in KEYS {
            if let Kind::Later(what) = key.kind {
                assert!(what.starts_with(char::is_uppercase), "{}", key.name);
            } else {
                assert!(!key.about.is_empty(), "{}", key.name);
            }
        }
    }
}
