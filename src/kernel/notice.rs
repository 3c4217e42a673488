//! What people are told of: a [`Notice`] says what happened, about what, and who should hear of it.
//!
//! A feature that has something to tell emits one from its rules:
//! `tx.emit(Notice::new(NoticeKind::OperationFailed, About::Routine(id), title).to(owner).event())`.
//! Notifications do the rest in the same transaction: who watches, who is left out, what joins.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::id::{
    AccountId, AgentId, ConnectionId, GatewayId, ImportId, PluginId, RecordId, RoutineId, RunId,
    StreamId, TaskId,
};
use super::text::ellipsis;
use super::vocab::NoticeKind;

/// The longest title, in characters.
const MAX_TITLE: usize = 160;
/// The longest body, in characters.
pub const MAX_BODY: usize = 200;

/// What a notification leads to. Stored by position: variants are only appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum About {
    /// The workspace as a whole.
    Workspace,
    /// A task.
    Task(TaskId),
    /// An agent.
    Agent(AgentId),
    /// A run.
    Run(RunId),
    /// A provider connection.
    Connection(ConnectionId),
    /// A routine.
    Routine(RoutineId),
    /// An import.
    Import(ImportId),
    /// A plugin.
    Plugin(PluginId),
    /// A host of agents.
    Gateway(GatewayId),
    /// A stream.
    Stream(StreamId),
    /// A record of a noun with a card: its table and its id.
    Row(u16, RecordId),
}

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What kind of thing.
    pub kind: NoticeKind,
    /// What it leads to.
    pub about: About,
    /// One line, with the names of who did what to what.
    pub title: String,
    /// More words, or nothing.
    pub body: String,
    /// Who hears of it by name, whether they watch or not.
    pub to: Vec<AccountId>,
    /// Whether those who watch `about` hear of it too.
    pub watchers: bool,
    /// Who does not hear of it, although they watch.
    pub except: Vec<AccountId>,
    /// Whether those who look after the workspace hear of it.
    pub admins: Admins,
}

/// Whether those who look after a workspace hear of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admins {
    /// Only if they watch.
    No,
    /// If nobody else does.
    IfNobody,
    /// Always.
    Always,
}

impl Notice {
    /// Something that those who watch `about` hear of. Who did it (`tx.by()`) never does.
    pub fn new(kind: NoticeKind, about: About, title: impl AsRef<str>) -> Self {
        Self {
            kind,
            about,
            title: ellipsis(title.as_ref().trim(), MAX_TITLE),
            body: String::new(),
            to: Vec::new(),
            watchers: true,
            except: Vec::new(),
            admins: Admins::No,
        }
    }

    /// With more words; long ones are cut.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<str>) -> Self {
        let words: Vec<&str> = body.as_ref().split_whitespace().collect();
        self.body = ellipsis(&words.join(" "), MAX_BODY);
        self
    }

    /// This person hears of it, too.
    #[must_use]
    pub fn to(mut self, account: AccountId) -> Self {
        if !self.to.contains(&account) {
            self.to.push(account);
        }
        self
    }

    /// These do not hear of it for watching.
    #[must_use]
    pub fn except(mut self, accounts: &[AccountId]) -> Self {
        self.except.extend_from_slice(accounts);
        self
    }

    /// Those who look after the workspace hear of it, too.
    #[must_use]
    pub fn admins(mut self) -> Self {
        self.admins = Admins::Always;
        self
    }

    /// Those who look after the workspace hear of it when nobody else does.
    #[must_use]
    pub fn or_admins(mut self) -> Self {
        self.admins = Admins::IfNobody;
        self
    }

    /// Nobody hears of it for watching.
    #[must_use]
    pub fn only(mut self) -> Self {
        self.watchers = false;
        self
    }

    /// As an event, for `tx.emit`: the way for features, which do not call each other's rules.
    #[must_use]
    pub fn event(self) -> Event {
        Event::NoticeGiven { notice: self }
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Admins, Notice};
    use crate::{AccountId, NoticeKind, TypedId as _};

    #[test]
    fn a_notice_is_short_and_names_each_person_once() {
        let long = "word ".repeat(400);
        let mira = AccountId::from_bytes([1; 16]);
        let notice = Notice::new(NoticeKind::System, About::Workspace, &long).body(&long);
        let notice = notice.to(mira).to(mira).only().admins();
        assert!(notice.title.chars().count() <= 160 && notice.title.ends_with('…'));
        assert!(notice.body.chars().count() <= 200 && !notice.body.contains("  "));
        assert_eq!((notice.to.len(), notice.watchers, notice.admins), (1, false, Admins::Always));
    }
}
