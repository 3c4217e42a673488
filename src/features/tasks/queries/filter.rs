//! Translation of filter queries into conditions on tasks.

use std::sync::Arc;

use super::due;
use super::error::TaskError;
use super::having;
use super::keys::KEYS;
use super::list::{OPEN, Today};
use super::marks;
use super::named::{Named, chosen, named};
use super::overdue::Passed;
use super::people::People;
use super::standing;
use super::taskset::TaskSet;
use super::terms::{self, Being, Dated, Of, OneOf, Sign, Terms, Test};
use crate::streams::model::Stream;
use crate::tasks::model::label::Label;
use crate::tasks::model::series::Series;
use crate::tasks::model::template::Template;
use kernel::filter::{
    self, Key, Kind, MAX_TERMS, MAX_VALUES, Query, Term, unknown_key, unknown_value,
};
use kernel::{AgentStatus, Assignee, Priority, TaskId, TaskStatus, Timestamp};
use store::{Read, StoreError};

/// Context for resolving names in a query.
pub struct Asker<'a> {
    pub read: &'a dyn Read,
    pub people: &'a People,
    /// Meaning of `me`.
    pub me: Assignee,
    pub today: &'a Today,
}

/// A parsed query.
#[derive(Clone, Debug, Default)]
pub struct Understood {
    pub terms: Terms,
    /// Each term in query order, with its error message or an empty string.
    pub checked: Vec<(Term, String)>,
}

impl Understood {
    /// The first error message.
    #[must_use]
    pub fn wrong(&self) -> Option<&str> {
        self.checked.iter().map(|(_, wrong)| wrong.as_str()).find(|wrong| !wrong.is_empty())
    }

    /// Returns the terms, or fails on any error. For API clients, which need to see errors.
    ///
    /// # Errors
    /// If a term is unknown or invalid.
    pub fn strict(self) -> Result<Terms, TaskError> {
        match self.wrong() {
            Some(wrong) => Err(TaskError::field("q", wrong)),
            None => Ok(self.terms),
        }
    }
}

impl Asker<'_> {
    /// Parses a query. Invalid terms are reported and ignored.
    pub fn understand(&self, query: &Query) -> Result<Understood, TaskError> {
        let mut found = Understood::default();
        for (n, term) in query.terms.iter().enumerate() {
            let mut wrong = Vec::new();
            if n < MAX_TERMS && term.values.len() <= MAX_VALUES {
                self.add(&mut found.terms, term, &mut wrong)?;
            } else {
                wrong.push("This filter is too long. Remove some conditions.".to_owned());
            }
            found.checked.push((term.clone(), wrong.join(" ")));
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
            wrong.push(format!("{what}. This condition is ignored."));
            return Ok(());
        }
        if term.values.is_empty() {
            wrong.push(format!("Enter a value for {}:", term.key));
            return Ok(());
        }
        if key.name == "status" {
            self.add_standing(to, sign, (key, &term.values), wrong)?;
        } else if let Some(test) = self.test(key, &term.values, wrong)? {
            to.push(sign, test);
        }
        Ok(())
    }

    /// Adds a condition on the displayed status, so that a group and its filter link match the same tasks.
    fn add_standing(
        &self,
        to: &mut Terms,
        sign: Sign,
        (key, values): (&Key, &[String]),
        wrong: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let mut reviewed = false;
        let bits = bits(key, values, wrong, |word| match word.parse::<TaskStatus>() {
            Ok(status) => Some(terms::status_bit(status)),
            Err(_) if word == standing::review().0 => {
                reviewed = true;
                Some(0)
            }
            Err(_) => None,
        });
        let bits = bits.unwrap_or(0);
        if bits & open() == 0 && !reviewed {
            // Closed tasks are never in review.
            if bits != 0 {
                to.push(sign, Test::Status(bits));
            }
            return Ok(());
        }
        to.push_standing(sign, (bits, reviewed), Arc::new(marks::in_review(self.read)?));
        Ok(())
    }

    /// Test for the values of a key. `None` if all values are unknown.
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
        Ok(match key.name.as_ref() {
            "priority" => {
                let bits = bits(key, values, wrong, |word| {
                    word.parse().ok().map(|priority: Priority| terms::priority_bit(priority))
                });
                bits.map(Test::Priority)
            }
            "is" => self.beings(key, values, wrong)?,
            "agent-state" => self.agent_state(key, values, wrong),
            "assignee" => self.who(Of::Assignee, key, values, wrong),
            "creator" => self.who(Of::Creator, key, values, wrong),
            "watcher" => self.watchers(key, values, wrong)?,
            "stream" => self.of_kind::<Stream>(key, values, wrong, Test::Stream)?,
            "label" => self.labels(key, values, wrong)?,
            "series" => self.of_kind::<Series>(key, values, wrong, Test::Series)?,
            "template" => self.of_kind::<Template>(key, values, wrong, Test::Template)?,
            "blocks" | "blocked-by" => self.ties(key, values, wrong)?,
            "due" => dated(Dated::Due, wrong),
            "start" => dated(Dated::Start, wrong),
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

    fn beings(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let open = open();
        let mut list = Vec::new();
        for value in values {
            let being = match value.to_ascii_lowercase().as_str() {
                "open" => Being::Status(open),
                "closed" => Being::Status(!open),
                "blocked" => {
                    list.push(Being::Status(terms::status_bit(TaskStatus::Blocked)));
                    Being::In(Arc::new(marks::blocked(self.read)?.into_keys().collect()))
                }
                "in-review" => Being::In(Arc::new(marks::in_review(self.read)?)),
                "archived" => Being::Archived,
                "mine" => Being::Of(self.me),
                "overdue" => Being::Overdue(Passed::at(self.today.now, &self.today.zone)),
                "unread" => Being::In(Arc::new(having::unread(self.read, self.me)?)),
                _ => {
                    wrong.push(unknown_word(key, value));
                    continue;
                }
            };
            list.push(being);
        }
        Ok((!list.is_empty()).then_some(Test::Being(list)))
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
        // A valid state without agents matches nothing.
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
        unknown_value(&key.name, value, names.iter().map(|(name, _)| name.as_str()))
    }

    fn dates(&self, key: &Key, values: &[String], wrong: &mut Vec<String>) -> OneOf<(i64, i64)> {
        let zone = &self.today.zone;
        let today = due::day(self.today.now, zone);
        let mut spans = OneOf::default();
        for value in values {
            match value.to_ascii_lowercase().as_str() {
                "none" => spans.none = true,
                "any" => spans.any = true,
                text => match filter::days(text, today)
                    .map(|days| days.span(zone))
                    .or_else(|| from_moment(value))
                {
                    Some(span) => spans.values.push(span),
                    None => wrong.push(format!(
                        "\"{}\" isn’t a date for {}. Use today, 2026-11-20, <7d, >-3d or a..b.",
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
                wrong.push(web::form::sentence(&error.to_string()));
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
        let mut found: Option<TaskSet> = None;
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
                Some(found) => found.extend(more.into_ids()),
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
        let mut found: Option<TaskSet> = None;
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
            found.get_or_insert_default().extend(more.into_ids());
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

    /// Possible values of a key that takes names, with labels.
    pub fn names(&self, key: &str) -> Result<Vec<(String, String)>, StoreError> {
        let same =
            |names: Vec<String>| names.into_iter().map(|name| (name.clone(), name)).collect();
        Ok(match key {
            "assignee" | "creator" => self.people.names(),
            "waiting" | "watcher" => self.people.members_named(),
            "stream" => {
                same(named::<Stream>(self.read)?.into_iter().map(|(_, name)| name).collect())
            }
            "label" => same(named::<Label>(self.read)?.into_iter().map(|(_, name)| name).collect()),
            "series" => {
                same(named::<Series>(self.read)?.into_iter().map(|(_, name)| name).collect())
            }
            "template" => {
                same(named::<Template>(self.read)?.into_iter().map(|(_, name)| name).collect())
            }
            _ => Vec::new(),
        })
    }

    fn watchers(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let mut all = Vec::new();
        for value in values {
            match self.people.find(value, self.me).ok().flatten().and_then(Assignee::person) {
                Some(member) => all.push(having::watched(self.read, self.people, member)?),
                None => wrong.push(self.unknown_person(key, value)),
            }
        }
        Ok((!all.is_empty()).then_some(Test::Watched(all)))
    }

    /// Test of a key whose values are names of records of one kind.
    fn of_kind<R: Named<Id: Copy>>(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
        test: impl FnOnce(OneOf<R::Id>) -> Test,
    ) -> Result<Option<Test>, TaskError> {
        let ids = chosen(key, values, &named::<R>(self.read)?, wrong);
        Ok((!ids.is_empty()).then(|| test(ids)))
    }

    fn labels(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let known = named::<Label>(self.read)?;
        let ids = chosen(key, values, &known, wrong);
        if ids.is_empty() {
            return Ok(None);
        }
        let with = match ids.any || ids.none {
            true => marks::labelled(self.read)?,
            false => TaskSet::default(),
        };
        let mut tests = Vec::new();
        if !ids.values.is_empty() {
            tests.push(Being::In(Arc::new(marks::with_label(self.read, &ids.values)?)));
        }
        let with = Arc::new(with);
        if ids.any {
            tests.push(Being::In(Arc::clone(&with)));
        }
        if ids.none {
            tests.push(Being::NotIn(with));
        }
        Ok(Some(Test::Being(tests)))
    }

    /// Tasks that block or are blocked by others. `any` and `none` consider only open tasks; a named task matches in
    /// any state.
    fn ties(
        &self,
        key: &Key,
        values: &[String],
        wrong: &mut Vec<String>,
    ) -> Result<Option<Test>, TaskError> {
        let waiting = key.name == "blocked-by";
        let mut tests = Vec::new();
        for value in values {
            let word = value.to_ascii_lowercase();
            if word == "any" || word == "none" {
                let all = match waiting {
                    true => marks::blocked(self.read)?,
                    false => marks::blocking(self.read)?,
                };
                let all = Arc::new(all.into_keys().collect());
                tests.push(if word == "any" { Being::In(all) } else { Being::NotIn(all) });
            } else if let Some(id) = self.task(value, wrong)? {
                let pairs = marks::waits(self.read)?;
                let tied = pairs.into_iter().filter_map(|(task, other)| match waiting {
                    true => (other == id).then_some(task),
                    false => (task == id).then_some(other),
                });
                tests.push(Being::In(Arc::new(tied.collect())));
            }
        }
        Ok((!tests.is_empty()).then_some(Test::Being(tests)))
    }
}

/// Half-open range from a moment as written in links, such as `>=2026-11-20T18:05:00Z`, in milliseconds.
fn from_moment(text: &str) -> Option<(i64, i64)> {
    let at: Timestamp = text.trim().strip_prefix(">=")?.parse().ok()?;
    Some((at.as_millisecond(), i64::MAX))
}

/// Open statuses, as bits.
fn open() -> u8 {
    OPEN.iter().fold(0, |bits, status| bits | terms::status_bit(*status))
}

fn bits(
    key: &Key,
    values: &[String],
    wrong: &mut Vec<String>,
    mut bit: impl FnMut(&str) -> Option<u8>,
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
    format!("\"{}\" isn’t a number for {}. Use 5, <5, >5 or 2..5.", short(value), key.name)
}

fn unknown_word(key: &Key, value: &str) -> String {
    let words = match key.kind {
        Kind::Words(words) | Kind::Names(words) | Kind::Text(words) => words,
        Kind::Date | Kind::Number | Kind::Later(_) => &[],
    };
    unknown_value(&key.name, value, words.iter().map(|(word, _)| *word))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
