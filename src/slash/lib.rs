//! Slash commands of conversations: the table, the parser and what each command does. Pages, API, terminal and
//! messengers share them. A command is a message that begins with `/` and a name.
//!
//! A message that begins with `//`, or whose first word is not a name (such as a path), is text. `/think`, `/model` and
//! `/fast` before text apply to that message only.
//!
//! A messenger calls [`parse`] and, for a command, [`Place::execute`] in the transaction that stores the message. It
//! treats a command as text if [`Place::admits`] is false, and reads the settings in a text with [`read()`].

mod act;
mod around;
mod decide;
mod place;
mod read;
mod tell;

use kernel::Can;
use tool::args::nearest;
use web::session::Access;

pub use act::model;
pub use place::{Answer, Caller, Place, Surface, Talk};
pub use read::{Approve, CommandError, Request, Spoken, Words, read};

use Audience::{Admin, Decider, Everyone, Writer};

/// Who may use a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever may talk to the bot or open the page.
    Everyone,
    /// People who may talk to agents.
    Writer,
    /// People who may answer agents' requests.
    Decider,
    /// People who manage agents.
    Admin,
}

impl Audience {
    /// The capability that it stands for.
    #[must_use]
    pub fn needs(self) -> Can {
        match self {
            Self::Everyone => Can::Read,
            Self::Writer => Can::Chat,
            Self::Decider => Can::Approve,
            Self::Admin => Can::Agents,
        }
    }
}

/// A command, as lists show it.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The name without the slash.
    pub name: &'static str,
    pub alias: Option<&'static str>,
    /// Syntax of the arguments; empty if there are none.
    pub arguments: &'static str,
    /// At most 100 characters, which is Discord's limit.
    pub about: &'static str,
    pub audience: Audience,
}

impl Command {
    /// Whether a person with these capabilities may use it.
    #[must_use]
    pub fn admits(&self, access: Access) -> bool {
        access.may(self.audience.needs())
    }
}

const fn spec(
    audience: Audience,
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
) -> Command {
    Command { name, alias: None, arguments, about, audience }
}

/// All commands, in display order.
pub static COMMANDS: &[Command] = &[
    Command { alias: Some("commands"), ..spec(Everyone, "help", "", "List the commands") },
    spec(Everyone, "status", "", "Show model, context, cost, queue and waits"),
    spec(Writer, "new", "[model]", "Start a new conversation; queued messages move over"),
    spec(Writer, "reset", "", "Start over; earlier messages stay readable"),
    spec(Writer, "stop", "", "Stop the current run; queued messages stay"),
    spec(Writer, "compact", "[focus]", "Summarize the older part of the conversation"),
    spec(Writer, "model", "[id[@connection]] [-s]", "Show or choose the model here; -s saves it"),
    spec(Writer, "think", "[level] [-s]", "Show or choose the thinking level here; -s saves it"),
    spec(Writer, "fast", "[on|auto|off|default]", "Show or choose faster answers"),
    spec(
        Writer,
        "queue",
        "[mode] [debounce:2s] [cap:20] [drop:old]",
        "How messages are handled while it works",
    ),
    Command {
        alias: Some("tell"),
        ..spec(Writer, "steer", "text", "Send a message for the next step")
    },
    spec(Everyone, "usage", "", "Show tokens and cost"),
    spec(Everyone, "context", "[detail]", "Show what fills the context"),
    spec(Writer, "btw", "question", "Ask a side question: no tools, not part of this conversation"),
    spec(Writer, "jobs", "", "Show background work: programs, sub-agents, timers"),
    spec(Writer, "task", "[title|id]", "Show a task or create one for this agent"),
    spec(Writer, "tasks", "", "Show your open tasks"),
    spec(Writer, "reasoning", "[on|off|default]", "Expand or hide its thinking here"),
    spec(Writer, "verbose", "[on|full|off|default]", "Expand or hide its tool calls here"),
    spec(Decider, "answer", "[R-12] text", "Answer a run’s question; defaults to this one"),
    spec(
        Decider,
        "approve",
        "[id|first] [once|run|always|deny] [note]",
        "List approvals or answer one",
    ),
    spec(Writer, "rename", "[name]", "Name the conversation"),
    spec(Everyone, "budget", "", "Show the agent’s and workspace’s budgets"),
    spec(Admin, "pause", "", "Pause the agent after its current step"),
    spec(Admin, "resume", "", "Resume the agent"),
    spec(Writer, "agent", "[name]", "Chat with another agent"),
];

/// What a message is, before its arguments are checked.
#[derive(Clone, Debug)]
pub enum Parsed<'t> {
    /// Text for the agent; [`read()`] returns the settings in it.
    Text,
    Command {
        command: &'static Command,
        arguments: &'t str,
    },
    /// No command has this name; `nearest` has similar ones, without the slash.
    Unknown {
        nearest: Vec<&'static str>,
    },
}

/// Tells whether a message is a command.
#[must_use]
pub fn parse(text: &str) -> Parsed<'_> {
    let Some((name, arguments)) = named(text.trim()) else { return Parsed::Text };
    match find(&name) {
        None => Parsed::Unknown { nearest: similar(&name) },
        Some(command) if read::is_said(command, arguments) => Parsed::Text,
        Some(command) => Parsed::Command { command, arguments },
    }
}

/// The command with this name or alias, without the slash.
#[must_use]
pub fn find(name: &str) -> Option<&'static Command> {
    let same = |spec: &&Command| spec.name == name || spec.alias == Some(name);
    COMMANDS.iter().find(same)
}

fn similar(name: &str) -> Vec<&'static str> {
    nearest(name, COMMANDS.iter().map(|spec| spec.name), 3)
}

/// Splits a slash name from the rest. Returns `None` if the first word cannot be a command name.
fn named(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix('/')?;
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let plain = name.chars().all(|c| c.is_ascii_alphabetic() || c == '_' || c == '-');
    let is_name = plain && name.starts_with(|c: char| c.is_ascii_alphabetic());
    is_name.then(|| (name.to_ascii_lowercase(), rest.trim()))
}

#[cfg(test)]
mod tests;
