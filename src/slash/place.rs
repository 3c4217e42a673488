//! Where a command is given, by whom, and what it answers.

use app::Ws;
use features::agents::model::Agent;
use features::notifications::sending::letters::origin;
use features::runs::model::Session;
use features::runs::queries::{self, talk};
use features::runs::rules::{RunError, SessionSpec};
use kernel::{AccountId, Role, SessionId};
use serde::{Deserialize, Serialize};
use store::{Read, WriteTx};
use web::session::{Access, Person};

use super::{Command, CommandError, read};

/// Who gives a command.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// `None` for a person without an account, who can only use `/help`.
    pub account: Option<AccountId>,
    pub role: Role,
    pub access: Access,
    /// Whether this person may grant permissions without confirming their identity first.
    pub is_proved: bool,
}

impl From<&Person> for Caller {
    fn from(who: &Person) -> Self {
        let Person { role, access, is_proved, .. } = *who;
        Self { account: Some(who.account), role, access, is_proved }
    }
}

/// Where answers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The pages of HQ: links are relative, and forms can be offered.
    Web,
    /// Outside HQ: links are absolute, and there are no tables.
    Messenger,
}

/// The conversation that a command is about.
#[derive(Clone, Debug)]
pub enum Talk {
    /// The conversation that has replaced this one, if any; the caller's own if `None`.
    Of(Option<SessionId>),
    /// The conversation with this key, such as that of a room.
    At(SessionSpec),
}

/// Everything that a command needs to know besides its arguments.
#[derive(Clone)]
pub struct Place {
    pub ws: Ws,
    pub caller: Caller,
    /// The agent of the conversation.
    pub agent: Agent,
    pub talk: Talk,
    pub surface: Surface,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Markdown.
    pub text: String,
    /// Whether the command started a new conversation here.
    pub is_anew: bool,
}

impl Place {
    /// Whether the caller may use the command.
    #[must_use]
    pub fn admits(&self, command: &Command) -> bool {
        let is_known = self.caller.account.is_some() || command.name == "help";
        is_known && command.admits(self.caller.access)
    }

    /// Executes a command of [`super::parse`] within a transaction. After an error, nothing of the command remains in
    /// it, so the caller can store the message and the text of the error with it.
    ///
    /// # Errors
    /// `NotAllowed` if the message is to be treated as text; invalid arguments; errors of the rules.
    pub fn execute(
        &self,
        tx: &mut WriteTx<'_>,
        command: &'static Command,
        arguments: &str,
    ) -> Result<Answer, CommandError> {
        if !self.admits(command) {
            return Err(CommandError::NotAllowed);
        }
        let request = read::command(command, arguments)?;
        tx.attempt(|tx| self.act(tx, request))
    }

    /// Resolves the place to a session spec.
    ///
    /// # Errors
    /// `NoSession` if the conversation does not exist, is archived, or this person may not write in it.
    pub fn spec(&self, tx: &dyn Read) -> Result<SessionSpec, RunError> {
        let session = match &self.talk {
            Talk::At(spec) => return Ok(spec.clone()),
            Talk::Of(session) => *session,
        };
        let agent = &self.agent;
        let me = (self.me()?, self.caller.role);
        match (talk::place_of(tx, agent, me, session)?, session) {
            (Some((key, owner)), _) => {
                Ok(SessionSpec { agent: agent.id, key, owner: Some(owner), task: None })
            }
            (None, Some(id)) => Err(RunError::NoSession(id)),
            (None, None) => Err(RunError::NoAgent(agent.id)),
        }
    }

    pub(super) fn session(&self, tx: &dyn Read) -> Result<Option<Session>, RunError> {
        Ok(queries::session_by_key(tx, &self.spec(tx)?.key)?)
    }

    /// The caller's account.
    pub(super) fn me(&self) -> Result<AccountId, RunError> {
        self.caller.account.ok_or(RunError::NotYours)
    }

    /// Address of a page of the workspace.
    pub(super) fn url(&self, path: &str) -> String {
        let url = self.ws.url(path);
        match self.surface {
            Surface::Web => url,
            Surface::Messenger => format!("{}{url}", origin(&self.ws.app)),
        }
    }
}
