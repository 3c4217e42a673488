//! Resolves ids to names. People are loaded once, everything else once per id.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::agents::model::{AGENTS, REACH};
use crate::audit::model::KEEPING;
use crate::browsers::model::{AGENT_BROWSERS, BROWSER_POLICIES};
use crate::cards;
use crate::comments::model::{COMMENTS, REACTIONS};
use crate::connections::model::{CONNECTION_KEYS, CONNECTIONS, Connection, USUAL_THINKING};
use crate::deliverables::model::{DELIVERABLES, Deliverable, REVIEWS, VERSIONS, Version};
use crate::files::model::TASK_FILES;
use crate::inbox::model::INBOX;
use crate::inbox::model::pace::PACES;
use crate::links::model::LINKS;
use crate::places::{self, Said};
use crate::routines::model::{ROUTINE_RULES, ROUTINES};
use crate::runs::model::{RUN_LIMITS, RUNS, Run, SUBAGENT_LIMITS};
use crate::streams::model::{STREAMS, Stream};
use crate::tasks::model::label::TASK_LABELS;
use crate::tasks::model::relation::RELATIONS;
use crate::tasks::model::series::{OCCURRENCES, SERIES};
use crate::tasks::model::template::{TEMPLATES, Template};
use crate::tasks::model::{TASKS, Task};
use crate::tasks::queries as tasks;
use crate::tasks::queries::people::People;
use crate::trust::model::TRUST_MODES;
use crate::usage::model::budget::BUDGETS;
use crate::usage::model::price::PRICES;
use crate::workspace::model::{BRAND, INVITES, MEMBERS, PEOPLE, SETTINGS};
use entity::Entity;
use kernel::Assignee;
use kernel::text::{capitalized, ellipsis};
use store::{Read, ReadExt, Record, Root, StoreError, Table, history};

/// Maximum length of a displayed name.
const MAX_NAME: usize = 90;

/// Tables of records that group or link tasks.
const GROUPS: [u16; 6] = [
    STREAMS.number,
    TASK_LABELS.number,
    RELATIONS.number,
    SERIES.number,
    TEMPLATES.number,
    OCCURRENCES.number,
];

/// Tables with one row per agent: table, name of the row, tab of the agent's page.
const OF_AGENTS: [(Table, &str, &str); 3] = [
    (AGENT_BROWSERS, "Browser", "browser"),
    (BROWSER_POLICIES, "Browser rules", "browser"),
    (TRUST_MODES, "Mode", "behaviour"),
];

/// Display text, with the path of a page if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// Path below the workspace, or empty.
    pub path: String,
}

impl Word {
    /// Text without a link.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), path: String::new() }
    }
}

/// Name lookup in one snapshot.
pub struct Names<'r> {
    read: &'r dyn Read,
    pub people: People,
    /// Prefix of task numbers.
    pub key: String,
    known: RefCell<HashMap<(&'static str, String), Word>>,
}

impl<'r> Names<'r> {
    #[must_use]
    pub fn read(&self) -> &'r dyn Read {
        self.read
    }

    /// Loads the people of the workspace.
    pub fn new(read: &'r dyn Read) -> Result<Self, StoreError> {
        let (people, key) = (People::read(read)?, tasks::key(read)?);
        Ok(Self { read, people, key, known: RefCell::default() })
    }

    /// Adds a name for an id that the workspace's records do not contain.
    pub fn know(&self, kind: &'static str, id: impl ToString, word: Word) {
        self.known.borrow_mut().insert((kind, id.to_string()), word);
    }

    /// Name of the id in a field. If unknown, the last characters of the id.
    pub fn of(&self, field: &str, id: &str) -> Result<Word, StoreError> {
        let kind = match field {
            "task" | "parent" | "other" => "task",
            "stream" => "stream",
            "template" => "template",
            "run" => "run",
            "connection" | "default_connection" | "reviewer_connection" => "connection",
            "deliverable" => "deliverable",
            "version" => "version",
            "workspace" => "workspace",
            "agent" | "mentions" => return Ok(self.somebody(id)),
            "account" | "people" | "by" | "reports_to" => return Ok(self.somebody(id)),
            other => match cards::of_word(other) {
                Some(noun) => noun.word,
                None => return Ok(short(id)),
            },
        };
        let at = (kind, id.to_owned());
        if let Some(known) = self.known.borrow().get(&at) {
            return Ok(known.clone());
        }
        let word = self.look_up(kind, id)?.unwrap_or_else(|| short(id));
        self.known.borrow_mut().insert(at, word.clone());
        Ok(word)
    }

    fn look_up(&self, kind: &str, id: &str) -> Result<Option<Word>, StoreError> {
        Ok(match kind {
            "task" => self.get::<Task>(id)?.map(|task| self.task(task.number, &task.title)),
            "run" => self
                .get::<Run>(id)?
                .map(|run| Word { path: format!("runs/{}", run.name()), text: run.name() }),
            "connection" => self.get::<Connection>(id)?.map(|one| Word::plain(one.name)),
            "stream" => self
                .get::<Stream>(id)?
                .map(|one| Word { path: format!("streams/{}", one.id), text: one.name }),
            "template" => self.get::<Template>(id)?.map(|one| Word {
                path: format!("settings/task-templates/{}", one.id),
                text: one.name,
            }),
            "deliverable" => self.get::<Deliverable>(id)?.map(|one| Word::plain(one.title)),
            "workspace" => None,
            "version" => {
                self.get::<Version>(id)?.map(|one| Word::plain(format!("Version {}", one.number)))
            }
            word => cards::of_word(word).map(|noun| self.by_card(noun, id)).transpose()?.flatten(),
        })
    }

    fn get<R: Record<Id: std::str::FromStr>>(&self, id: &str) -> Result<Option<R>, StoreError> {
        match id.parse::<R::Id>() {
            Ok(id) => self.read.get::<R>(id),
            Err(_) => Ok(None),
        }
    }

    /// Subject of a comment or file.
    fn place(&self, fields: &Map<String, Value>) -> Result<Word, StoreError> {
        match places::place_of(fields) {
            Some(Said::Task(id)) => self.of("task", id),
            Some(Said::Row(noun, id)) => self.of(noun.word, id),
            None => Ok(Word::plain("")),
        }
    }

    /// Name of a record of a noun with a descriptor.
    fn by_card(&self, noun: &Entity, id: &str) -> Result<Option<Word>, StoreError> {
        let Some(key) = (noun.rows.key)(id) else { return Ok(None) };
        if let Some(fields) = noun.get(self.read, &key)? {
            return Ok(Some(Word { text: (noun.title)(&fields), path: (noun.path)(&fields) }));
        }
        if !noun.remembered {
            return Ok(None);
        }
        let row = history::last(self.read, &Root { table: noun.table, key })?;
        let fields = row.and_then(|row| (noun.rows.fields)(&row));
        Ok(fields.map(|fields| Word::plain((noun.title)(&fields))))
    }

    /// Name of an agent or member by id.
    #[must_use]
    pub fn somebody(&self, id: &str) -> Word {
        if let Some(agent) = id.parse().ok().and_then(|id| self.people.agent(id)) {
            return Word { text: agent.name.clone(), path: format!("agents/{}", agent.slug) };
        }
        let member = id.parse().ok().and_then(|id| self.people.member(id));
        member.map_or_else(|| short(id), |member| Word::plain(&member.name))
    }

    #[must_use]
    pub fn assignee(&self, who: Assignee) -> Word {
        Word::plain(self.people.name(who))
    }

    fn task(&self, number: u32, title: &str) -> Word {
        let name = format!("{}-{number}", self.key);
        Word { text: ellipsis(&format!("{name} {title}"), MAX_NAME), path: format!("tasks/{name}") }
    }

    /// Title of a record without a name that belongs to an agent.
    fn of_agent(&self, what: &str, agent: &str, tab: &str) -> Word {
        let text = ellipsis(&format!("{what}: {}", self.somebody(agent).text), MAX_NAME);
        Word { text, path: format!("agents/{agent}/{tab}") }
    }

    /// Title of a record from its current or former fields.
    pub fn title(&self, table: u16, fields: &Map<String, Value>) -> Result<Word, StoreError> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| {
            u32::try_from(fields.get(name).and_then(Value::as_u64).unwrap_or_default())
                .unwrap_or_default()
        };
        let cut = |words: String| ellipsis(&words, MAX_NAME);
        if let Some((_, what, tab)) = OF_AGENTS.iter().find(|(one, ..)| one.number == table) {
            return Ok(self.of_agent(what, text("agent"), tab));
        }
        if let Some(noun) = cards::of_table(table) {
            let text = cut(format!("{} {}", capitalized(noun.one), (noun.title)(fields)));
            return Ok(Word { text, path: (noun.path)(fields) });
        }
        Ok(match table {
            t if t == TASKS.number => self.task(number("number"), text("title")),
            t if GROUPS.contains(&t) => self.group_title(table, fields)?,
            t if t == COMMENTS.number => {
                let on = self.place(fields)?;
                let path = match on.path.is_empty() {
                    true => String::new(),
                    false => format!("{}#c-{}", on.path, text("id")),
                };
                Word { text: cut(format!("Comment on {}", on.text)), path }
            }
            t if t == REACTIONS.number => {
                let on = self.place(fields)?;
                Word { text: cut(format!("Reaction on {}", on.text)), path: on.path }
            }
            t if t == DELIVERABLES.number => {
                let on = self.of("task", text("task"))?;
                Word { text: cut(text("title").to_owned()), path: on.path }
            }
            t if t == VERSIONS.number => {
                let of = self.of("deliverable", text("deliverable"))?;
                let on = self.of("task", text("task"))?;
                Word {
                    text: cut(format!("Version {} of {}", number("number"), of.text)),
                    path: on.path,
                }
            }
            t if t == REVIEWS.number => {
                let on = self.of("task", text("task"))?;
                Word { text: cut(format!("Review on {}", on.text)), path: on.path }
            }
            t if t == AGENTS.number => Word {
                text: cut(text("name").to_owned()),
                path: format!("agents/{}", text("slug")),
            },
            t if t == REACH.number => {
                match fields.get("of").and_then(|of| of.get("Agent")).and_then(Value::as_str) {
                    Some(agent) => {
                        let agent = self.somebody(agent);
                        Word {
                            text: cut(format!("Reachable hosts: {}", agent.text)),
                            path: agent.path,
                        }
                    }
                    None => Word {
                        text: "Private hosts agents can reach".into(),
                        path: "settings/general".into(),
                    },
                }
            }
            t if t == RUN_LIMITS.number => self.choice_title("Run limits", fields),
            t if t == PACES.number => {
                let agent = self.somebody(text("agent"));
                Word { text: cut(format!("Working hours: {}", agent.text)), path: agent.path }
            }
            t if t == RUNS.number => {
                let name = format!("R-{}", number("number"));
                Word { path: format!("runs/{name}"), text: name }
            }
            t if t == ROUTINES.number => Word {
                text: cut(text("name").to_owned()),
                path: format!("routines/{}", text("id")),
            },
            t if t == TASK_FILES.number => {
                let on = self.place(fields)?;
                Word { text: cut(text("name").to_owned()), path: on.path }
            }
            t if t == LINKS.number => {
                let on = self.of("task", text("task"))?;
                Word { text: cut(format!("Link on {}", on.text)), path: on.path }
            }
            t if t == MEMBERS.number => {
                Word { text: cut(text("name").to_owned()), path: "settings/members".into() }
            }
            t if t == CONNECTIONS.number => {
                Word { text: cut(text("name").to_owned()), path: "settings/connections".into() }
            }
            t if t == BUDGETS.number => Word {
                text: cut(format!("Budget ({})", text("period"))),
                path: "settings/usage".into(),
            },
            t if t == PRICES.number => Word {
                text: cut(format!("Price: {}", text("model"))),
                path: "settings/usage/prices".into(),
            },
            _ => fixed_title(table),
        })
    }
}

impl Names<'_> {
    /// Title of a setting of one agent or of all.
    fn choice_title(&self, what: &str, fields: &Map<String, Value>) -> Word {
        let agent = fields.get("of").and_then(|of| of.get("Agent")).and_then(Value::as_str);
        match agent.map(|agent| self.somebody(agent)) {
            Some(agent) => Word {
                text: ellipsis(&format!("{what}: {}", agent.text), MAX_NAME),
                path: format!("{}/settings", agent.path),
            },
            None => Word { text: what.to_owned(), path: "settings/general".to_owned() },
        }
    }
}

/// Title of a record that does not depend on its fields.
fn fixed_title(table: u16) -> Word {
    let at = |text: &str, path: &str| Word { text: text.into(), path: path.into() };
    match table {
        t if t == SETTINGS.number => at("Workspace settings", "settings/general"),
        t if t == BRAND.number => at("Brand colour", "settings/general"),
        t if t == KEEPING.number => at("History retention", "settings/audit"),
        t if t == USUAL_THINKING.number => at("Default thinking", "settings/connections"),
        t if t == SUBAGENT_LIMITS.number => at("Sub-agent limits", "settings/general"),
        t if t == ROUTINE_RULES.number => at("Routine rules", "routines"),
        t if t == PEOPLE.number => at("Member rules", "settings/members"),
        t if t == CONNECTION_KEYS.number => Word::plain("Connection key"),
        t if t == INVITES.number => Word::plain("Invitation"),
        t if t == INBOX.number => Word::plain("Inbox item"),
        _ => Word::plain("A record"),
    }
}

impl Names<'_> {
    /// Title of a record that groups or links tasks.
    fn group_title(&self, table: u16, fields: &Map<String, Value>) -> Result<Word, StoreError> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let (words, path) = match table {
            t if t == STREAMS.number => {
                (text("name").to_owned(), format!("streams/{}", text("id")))
            }
            t if t == SERIES.number => {
                (text("title").to_owned(), format!("tasks/recurring/{}", text("id")))
            }
            t if t == TEMPLATES.number => {
                (text("name").to_owned(), format!("settings/task-templates/{}", text("id")))
            }
            t if t == OCCURRENCES.number => {
                return Ok(Word::plain("Recurring task occurrence"));
            }
            t if t == TASK_LABELS.number => {
                let (on, label) =
                    (self.of("task", text("task"))?, self.of("label", text("label"))?);
                (format!("Label {} on {}", label.text, on.text), on.path)
            }
            _ => {
                let (on, other) = (self.of("task", text("task"))?, self.of("task", text("other"))?);
                (format!("{} and {}", on.text, other.text), on.path)
            }
        };
        Ok(Word { text: ellipsis(&words, MAX_NAME), path })
    }
}

/// Last characters of an unknown id.
fn short(id: &str) -> Word {
    let tail: String = id.chars().rev().take(8).collect();
    Word::plain(tail.chars().rev().collect::<String>())
}

/// Singular and plural noun of a table's records.
#[must_use]
pub fn noun(table: u16, name: &'static str) -> (&'static str, &'static str) {
    if let Some(noun) = cards::of_table(table) {
        return (noun.one, noun.many);
    }
    match name {
        "tasks" => ("task", "tasks"),
        "streams" => ("stream", "streams"),
        "task_labels" => ("task label", "task labels"),
        "task_relations" => ("task relation", "task relations"),
        "series" => ("recurring task", "recurring tasks"),
        "task_templates" => ("task template", "task templates"),
        "task_rules" => ("task rules", "task rules"),
        "occurrences" => ("occurrence", "occurrences"),
        "comments" => ("comment", "comments"),
        "reactions" => ("reaction", "reactions"),
        "task_links" => ("link", "links"),
        "deliverables" => ("deliverable", "deliverables"),
        "deliverable_versions" => ("deliverable version", "deliverable versions"),
        "reviews" => ("review", "reviews"),
        "agents" => ("agent", "agents"),
        "agent_reach" => ("host list", "host lists"),
        "inbox_paces" => ("agent schedule", "agent schedules"),
        "settings" => ("workspace settings", "workspace settings"),
        "brand" => ("brand colour", "brand colours"),
        "members" => ("member", "members"),
        "connections" => ("connection", "connections"),
        "connection_keys" => ("connection key", "connection keys"),
        "secret_values" => ("secret value", "secret values"),
        "secret_receipts" => ("secret receipt", "secret receipts"),
        "connection_spare_keys" => ("additional connection key", "additional connection keys"),
        "model_fallbacks" => ("fallback list", "fallback lists"),
        "model_cooldowns" => ("cooldown", "cooldowns"),
        "usual_thinking" => ("default thinking", "default thinking"),
        "subagent_limits" => ("sub-agent limits", "sub-agent limits"),
        "run_limits" => ("run limits", "run limits"),
        "permission_uses" => ("permission use", "permission uses"),
        "routines" => ("routine", "routines"),
        "routine_rules" => ("routine rules", "routine rules"),
        "routine_runs" => ("routine run", "routine runs"),
        "routine_clocks" => ("routine schedule", "routine schedules"),
        "connection_grants" => ("connection sign-in", "connection sign-ins"),
        "connection_logins" => ("pending sign-in", "pending sign-ins"),
        "connection_windows" => ("usage window", "usage windows"),
        "budgets" => ("budget", "budgets"),
        "prices" => ("price", "prices"),
        "budget_notices" => ("budget notice", "budget notices"),
        "budget_waits" => ("budget wait", "budget waits"),
        "run_grants" => ("run grant", "run grants"),
        "input_grants" => ("message sender", "message senders"),
        "sender_grants" => ("run sender", "run senders"),
        "run_evidence" => ("late run report", "late run reports"),
        "people" => ("member rules", "member rules"),
        "retention" => ("rule", "rules"),
        "task_files" => ("file", "files"),
        "invites" => ("invitation", "invitations"),
        "inbox" => ("inbox item", "inbox items"),
        "runs" => ("run", "runs"),
        "sessions" => ("conversation", "conversations"),
        "session_events" => ("run step", "run steps"),
        "session_contexts" => ("conversation context", "conversation contexts"),
        "queued_inputs" => ("message", "messages"),
        "read_marks" => ("read marker", "read markers"),
        "usage" => ("model call", "model calls"),
        "reservations" => ("budget reservation", "budget reservations"),
        "mail_settings" => ("mail server", "mail servers"),
        "deliveries" => ("outgoing message", "outgoing messages"),
        "watches" => ("watch", "watches"),
        "notifications" | "notification_recipients" => ("notification", "notifications"),
        "notification_choices" => ("notification setting", "notification settings"),
        "needs_away" => ("snooze list", "snooze lists"),
        _ if table == super::super::model::FILE_REVERTS.number => ("file revert", "file reverts"),
        other => (other, other),
    }
}
