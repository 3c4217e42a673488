//! Kinds of searchable records.

use crate::agents::model::AGENTS;
use crate::cards;
use crate::comments::model::COMMENTS;
use crate::deliverables::model::{DELIVERABLES, REVIEWS};
use crate::files::model::TASK_FILES;
use crate::links::model::LINKS;
use crate::routines::model::ROUTINES;
use crate::runs::model::SESSION_EVENTS;
use crate::streams::model::STREAMS;
use crate::tasks::model::TASKS;
use crate::tasks::model::series::SERIES;
use crate::tasks::model::template::TEMPLATES;
use crate::workspace::model::MEMBERS;
use entity::{Entity, Finds};
use kernel::AgentId;
use kernel::key::{Key as _, KeyBuf};

/// A searchable kind. The numbers are stored in indexes and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Task,
    Comment,
    Deliverable,
    /// A file of a task.
    File,
    Agent,
    Person,
    /// A message in a conversation.
    Message,
    Stream,
    /// A page of HQ, such as a settings page. Not indexed.
    Page,
    Routine,
    /// A recurring task.
    Series,
    /// A task template.
    Template,
    Link,
    /// A review of a deliverable.
    Review,
    /// A file of an agent. Not a record.
    AgentFile,
    /// A record of the noun whose descriptor has this number.
    Entity(u8),
}

impl Kind {
    /// Kinds without descriptors, in group order. Kinds with descriptors come after `Self::Template`.
    const OWN: [Self; 15] = [
        Self::Task,
        Self::Agent,
        Self::Person,
        Self::Stream,
        Self::Routine,
        Self::Series,
        Self::Template,
        Self::Deliverable,
        Self::Review,
        Self::Comment,
        Self::Message,
        Self::File,
        Self::AgentFile,
        Self::Link,
        Self::Page,
    ];

    /// All kinds, in group order.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        let at = Self::OWN.iter().position(|kind| *kind == Self::Template).map_or(0, |at| at + 1);
        let (work, other) = Self::OWN.split_at(at);
        let nouns =
            cards::all().filter_map(|noun| noun.finds).map(|finds| Self::Entity(finds.number));
        work.iter().copied().chain(nouns).chain(other.iter().copied())
    }

    /// Number in indexes.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Task => 0,
            Self::Comment => 1,
            Self::Deliverable => 2,
            Self::File => 3,
            Self::Agent => 4,
            Self::Person => 5,
            Self::Message => 6,
            Self::Stream => 7,
            Self::Page => 9,
            Self::Routine => 10,
            Self::Series => 11,
            Self::Template => 12,
            Self::Link => 14,
            Self::Review => 15,
            Self::AgentFile => 16,
            Self::Entity(number) => number,
        }
    }

    /// Descriptor and search settings, for a noun with a descriptor.
    #[must_use]
    pub fn card(self) -> Option<(&'static Entity, Finds)> {
        match self {
            Self::Entity(number) => {
                cards::of_number(number).and_then(|noun| Some((noun, noun.finds?)))
            }
            _ => None,
        }
    }

    /// Word in URLs and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Comment => "comment",
            Self::Deliverable => "deliverable",
            Self::File => "file",
            Self::Agent => "agent",
            Self::Person => "person",
            Self::Message => "message",
            Self::Stream => "stream",
            Self::Page => "page",
            Self::Routine => "routine",
            Self::Series => "series",
            Self::Template => "template",
            Self::Link => "link",
            Self::Review => "review",
            Self::AgentFile => "agent_file",
            Self::Entity(_) => self.card().map_or("record", |(noun, _)| noun.word),
        }
    }

    /// Plural label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Task => "Tasks",
            Self::Comment => "Comments",
            Self::Deliverable => "Deliverables",
            Self::File => "Files",
            Self::Agent => "Agents",
            Self::Person => "People",
            Self::Message => "Messages",
            Self::Stream => "Streams",
            Self::Page => "Pages",
            Self::Routine => "Routines",
            Self::Series => "Recurring tasks",
            Self::Template => "Task templates",
            Self::Link => "Links",
            Self::Review => "Reviews",
            Self::AgentFile => "Agent files",
            Self::Entity(_) => self.card().map_or("Records", |(_, finds)| finds.label),
        }
    }

    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::Comment => "comment",
            Self::Deliverable => "box",
            Self::File => "file",
            Self::Agent => "agent",
            Self::Person => "user",
            Self::Message => "send",
            Self::Stream => "layers",
            Self::Page => "right",
            Self::Routine | Self::Series => "repeat",
            Self::Template => "copy",
            Self::Link => "link",
            Self::Review => "check",
            Self::AgentFile => "doc",
            Self::Entity(_) => self.card().map_or("doc", |(_, finds)| finds.glyph),
        }
    }

    /// Table of the records. `None` for kinds without a table.
    #[must_use]
    pub fn table(self) -> Option<u16> {
        Some(match self {
            Self::Task => TASKS.number,
            Self::Comment => COMMENTS.number,
            Self::Deliverable => DELIVERABLES.number,
            Self::File => TASK_FILES.number,
            Self::Agent => AGENTS.number,
            Self::Person => MEMBERS.number,
            Self::Message => SESSION_EVENTS.number,
            Self::Stream => STREAMS.number,
            Self::Routine => ROUTINES.number,
            Self::Series => SERIES.number,
            Self::Template => TEMPLATES.number,
            Self::Link => LINKS.number,
            Self::Review => REVIEWS.number,
            Self::Entity(_) => self.card()?.0.table,
            Self::AgentFile | Self::Page => return None,
        })
    }

    #[must_use]
    pub fn is_indexed(self) -> bool {
        self != Self::Page
    }

    #[must_use]
    pub fn of_table(table: u16) -> Option<Self> {
        Self::all().find(|kind| kind.table() == Some(table))
    }

    /// Parses a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::all().find(|kind| kind.word() == word)
    }

    /// Kind with this index number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::all().find(|kind| kind.number() == number)
    }
}

/// A searchable record: kind and key bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Found {
    pub kind: Kind,
    pub key: Vec<u8>,
}

impl Found {
    #[must_use]
    pub fn agent_file(agent: AgentId, path: &str) -> Self {
        let mut key = KeyBuf::of(&agent).into_bytes();
        key.extend_from_slice(path.as_bytes());
        Self { kind: Kind::AgentFile, key }
    }

    /// Agent and path of an agent's file.
    #[must_use]
    pub fn of_agent(&self) -> Option<(AgentId, &str)> {
        let mut rest = self.key.as_slice();
        let agent = AgentId::take(&mut rest).filter(|_| self.kind == Kind::AgentFile)?;
        Some((agent, std::str::from_utf8(rest).ok()?))
    }

    /// Document name in the index.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.kind.number(), hex::encode(&self.key))
    }

    /// Document name of a passage in the index.
    #[must_use]
    pub fn part(&self, number: u8, n: usize) -> String {
        format!("{number}.{}.{n}", hex::encode(&self.key))
    }

    /// Key of the record with this document name, and the passage number if it is a passage.
    #[must_use]
    pub fn place(name: &str) -> Option<(Vec<u8>, Option<u32>)> {
        let (_, rest) = name.split_once('.')?;
        let (key, n) = match rest.split_once('.') {
            Some((key, n)) => (key, Some(n.parse().ok()?)),
            None => (rest, None),
        };
        Some((hex::decode(key).ok()?, n))
    }

    /// Record with this document name, and the passage number if it is a passage.
    #[must_use]
    pub fn whole(name: &str) -> Option<(Self, Option<u32>)> {
        if let Some(found) = Self::named(name) {
            return Some((found, None));
        }
        let number: u8 = name.split_once('.')?.0.parse().ok()?;
        let is_of = |kind: &Kind| {
            let parts = kind.card().and_then(|(_, finds)| finds.parts);
            parts.is_some_and(|parts| parts.number == number)
        };
        let (key, n) = Self::place(name)?;
        Some((Self { kind: Kind::all().find(is_of)?, key }, n))
    }

    /// Record with this document name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (kind, key) = name.split_once('.')?;
        let kind = Kind::of_number(kind.parse().ok()?)?;
        Some(Self { kind, key: hex::decode(key).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Kind};
    use kernel::{AgentId, TypedId as _};

    #[test]
    fn kinds_are_known_by_word_number_and_table() {
        for kind in Kind::all() {
            assert_eq!(Kind::of_word(kind.word()), Some(kind));
            assert_eq!(Kind::of_number(kind.number()), Some(kind));
            assert!(usize::from(kind.number()) < search::KINDS);
            if let Some(table) = kind.table() {
                assert_eq!(Kind::of_table(table), Some(kind));
            }
        }
    }

    #[test]
    fn a_record_is_known_by_its_name_in_the_index() {
        let found = Found { kind: Kind::Message, key: vec![0, 255, 7] };
        assert_eq!(found.name(), "6.00ff07");
        assert_eq!(Found::named(&found.name()), Some(found));
        assert_eq!(Found::named("99.00"), None);
        let found = Found { kind: Kind::Task, key: vec![1, 255] };
        assert_eq!(Found::named(&found.part(23, 4)), None, "a piece is no record");
        assert_eq!(Found::place(&found.part(23, 4)), Some((vec![1, 255], Some(4))));
        assert_eq!(Found::place(&found.name()), Some((vec![1, 255], None)));
    }

    #[test]
    fn a_file_of_an_agent_is_known_by_whose_it_is_and_its_path() {
        let agent = AgentId::from_bytes([5; 16]);
        let file = Found::agent_file(agent, "memory/2026-11-20.md");
        let parsed = Found::named(&file.name()).expect("a name");
        assert_eq!(parsed.of_agent(), Some((agent, "memory/2026-11-20.md")));
        assert_eq!(Found { kind: Kind::File, ..parsed }.of_agent(), None);
    }
}
