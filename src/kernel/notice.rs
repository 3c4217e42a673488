//! Notifications: a [`Notice`] describes what happened, its subject and its recipients.
//!
//! A feature emits notices from its rules: `tx.emit(Notice::new(NoticeKind::OperationFailed, About::Routine(id),
//! title).to(owner).event())`. The notification feature resolves watchers, exclusions and grouping in the same
//! transaction.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::id::{
    AccountId, AgentId, ConnectionId, GatewayId, ImportId, PluginId, RecordId, RoutineId, RunId,
    StreamId, TaskId,
};
use super::text::ellipsis;
use super::vocab::NoticeKind;

/// Maximum title length, in characters.
const MAX_TITLE: usize = 160;
/// Maximum body length, in characters.
pub const MAX_BODY: usize = 200;

/// The subject of a notification. Stored by position: variants are only appended.
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
    /// A record of an entity: table number and id.
    Row(u16, RecordId),
}

/// A notification to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The kind of notification.
    pub kind: NoticeKind,
    /// The subject that the notification links to.
    pub about: About,
    /// One line that names the actor, the action and the object.
    pub title: String,
    /// Additional text; may be empty.
    pub body: String,
    /// Recipients by name, whether they watch or not.
    pub to: Vec<AccountId>,
    /// Whether watchers of `about` are notified.
    pub watchers: bool,
    /// Watchers who are not notified.
    pub except: Vec<AccountId>,
    /// Whether workspace admins are notified.
    pub admins: Admins,
}

/// When workspace admins are notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admins {
    /// Only if they watch.
    No,
    /// Only if the notice has no other recipient.
    IfNobody,
    /// Always.
    Always,
}

impl Notice {
    /// A notice for the watchers of `about`. The actor (`tx.by()`) is never notified.
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

    /// Sets the body; long text is cut.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<str>) -> Self {
        let words: Vec<&str> = body.as_ref().split_whitespace().collect();
        self.body = ellipsis(&words.join(" "), MAX_BODY);
        self
    }

    /// Adds a recipient.
    #[must_use]
    pub fn to(mut self, account: AccountId) -> Self {
        if !self.to.contains(&account) {
            self.to.push(account);
        }
        self
    }

    /// Excludes watchers.
    #[must_use]
    pub fn except(mut self, accounts: &[AccountId]) -> Self {
        self.except.extend_from_slice(accounts);
        self
    }

    /// Notifies workspace admins too.
    #[must_use]
    pub fn admins(mut self) -> Self {
        self.admins = Admins::Always;
        self
    }

    /// Notifies workspace admins if there is no other recipient.
    #[must_use]
    pub fn or_admins(mut self) -> Self {
        self.admins = Admins::IfNobody;
        self
    }

    /// Does not notify watchers.
    #[must_use]
    pub fn only(mut self) -> Self {
        self.watchers = false;
        self
    }

    /// Wraps the notice in an event for `tx.emit`. Features use this because they do not call each other's rules.
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
