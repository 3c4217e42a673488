//! What rules of agents answer when they refuse.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use super::profile::{MAX_LINES, MAX_WORDS};
use super::{MAX_DESCRIPTION, MAX_MESSAGE, MAX_NAME, MAX_SLUG, OUTPUT};

/// What a rule of agents refuses.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No such agent.
    #[error("agent {0} does not exist")]
    NotFound(String),
    /// The name is empty or too long.
    #[error("a name has 1 to {MAX_NAME} characters")]
    BadName,
    /// The name has characters that do not stand in a line as they are read.
    #[error(
        "a name is one line, without line breaks and characters that turn the direction of text"
    )]
    TangledName,
    /// The slug has other characters or another length.
    #[error(
        "a handle has 2 to {MAX_SLUG} lower-case letters, digits and single dashes, as in my-agent"
    )]
    BadSlug,
    /// The slug means something else.
    #[error("\"{0}\" has a meaning of its own in HQ; choose another handle")]
    ReservedSlug(String),
    /// An agent or a person has it.
    #[error("@{0} is taken; choose another handle")]
    SlugTaken(String),
    /// No emoji.
    #[error("choose one emoji")]
    BadEmoji,
    /// Too long.
    #[error("a description has at most {MAX_DESCRIPTION} characters")]
    BadDescription,
    /// Too long, or more than a line.
    #[error("a role is one line of at most {MAX_WORDS} characters")]
    BadRole,
    /// Too many, or one of them too long.
    #[error(
        "name at most {MAX_LINES} domains, each of at most {MAX_WORDS} characters and without a comma"
    )]
    BadDomains,
    /// Too many, or one of them too long.
    #[error(
        "name at most {MAX_LINES} capabilities, each of at most {MAX_WORDS} characters and without a comma"
    )]
    BadCapabilities,
    /// No such template.
    #[error("there is no template \"{0}\"; the page for new agents shows those that are")]
    NoTemplate(String),
    /// No such connection.
    #[error("there is no such connection; choose another model")]
    NoConnection,
    /// Not a model's id.
    #[error("a model's id has 1 to 200 characters and no spaces")]
    BadModel,
    /// An amount that cannot be a budget.
    #[error("a budget is between $0 and $1,000,000 a month; leave it empty for none")]
    BadBudget,
    /// Not a share.
    #[error("the warning comes at 1 to 100 percent of the budget")]
    BadShare,
    /// Too little or too much.
    #[error("an answer may have {} to {} tokens", OUTPUT.start(), OUTPUT.end())]
    BadOutput,
    /// Nobody of that name could be its manager.
    #[error("nobody here is called \"{0}\"; it can report to an agent or to a person who is here")]
    NoManager(String),
    /// What it has cannot go there.
    #[error(
        "what it has goes to somebody else who is here: an agent that is not archived, or a person"
    )]
    NoHeir,
    /// It would report to itself.
    #[error("an agent cannot report to itself; choose somebody else")]
    OwnManager,
    /// It would report to somebody who reports to it.
    #[error(
        "{manager} already reports to {agent}, directly or by way of others; that would make a circle"
    )]
    Circle {
        agent: String,
        /// Who should be its manager.
        manager: String,
    },
    /// The state does not allow it.
    #[error("{name} is {state}; {hint}")]
    WrongState {
        /// The agent.
        name: String,
        state: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// A message without words.
    #[error("write what your colleague should know or do")]
    EmptyMessage,
    /// A message that is too long.
    #[error("a message has at most {MAX_MESSAGE} bytes; put more into a comment or a file")]
    LongMessage,
    /// A message to oneself.
    #[error("you cannot send a message to yourself; use `work_snooze` to go on later")]
    Yourself,
    /// The message is about a task that is not there.
    #[error("the task that the message is about does not exist")]
    NoTask,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for AgentError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "agent_not_found",
            Self::BadName | Self::TangledName => "name_invalid",
            Self::BadSlug => "slug_invalid",
            Self::ReservedSlug(_) => "slug_reserved",
            Self::SlugTaken(_) => "slug_taken",
            Self::BadEmoji => "emoji_invalid",
            Self::BadDescription => "description_invalid",
            Self::BadRole => "role_invalid",
            Self::BadDomains => "domains_invalid",
            Self::BadCapabilities => "capabilities_invalid",
            Self::NoTemplate(_) => "template_not_found",
            Self::NoConnection => "connection_not_found",
            Self::BadModel => "model_invalid",
            Self::BadBudget => "budget_invalid",
            Self::BadShare => "budget_share_invalid",
            Self::BadOutput => "max_output_invalid",
            Self::NoManager(_) => "manager_not_found",
            Self::NoHeir => "heir_not_found",
            Self::OwnManager => "manager_self",
            Self::Circle { .. } => "manager_circle",
            Self::WrongState { .. } => "agent_state",
            Self::EmptyMessage => "message_empty",
            Self::LongMessage => "message_too_long",
            Self::Yourself => "message_to_self",
            Self::NoTask => "task_not_found",
            Self::Store(error) => error.code(),
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotFound(_) => ProblemKind::NotFound,
            Self::SlugTaken(_) | Self::WrongState { .. } => ProblemKind::Conflict,
            Self::Store(error) => error.kind(),
            _ => ProblemKind::Invalid,
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let field = match self {
            Self::BadName | Self::TangledName => "name",
            Self::BadSlug | Self::ReservedSlug(_) | Self::SlugTaken(_) => "slug",
            Self::BadEmoji => "emoji",
            Self::BadDescription => "description",
            Self::BadRole => "role",
            Self::BadDomains => "domains",
            Self::BadCapabilities => "capabilities",
            Self::NoTemplate(_) => "template",
            Self::NoConnection | Self::BadModel => "model",
            Self::BadBudget => "budget",
            Self::BadShare => "budget_soft",
            Self::BadOutput => "max_output",
            Self::NoManager(_) | Self::OwnManager | Self::Circle { .. } => "reports_to",
            _ => return Vec::new(),
        };
        vec![FieldError::new(field, self.to_string())]
    }
}
