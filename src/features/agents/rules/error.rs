//! Errors of agent rules.

use kernel::{FieldError, Problem, ProblemKind};
use store::StoreError;

use super::profile::{MAX_LINES, MAX_WORDS};
use super::{MAX_DESCRIPTION, MAX_MESSAGE, MAX_NAME, MAX_SLUG, OUTPUT};

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("agent {0} does not exist")]
    NotFound(String),
    #[error("use a name of 1 to {MAX_NAME} characters")]
    BadName,
    /// The name has line breaks or characters that change the text direction.
    #[error("use one line, without line breaks or characters that change the text direction")]
    TangledName,
    /// Invalid characters or length.
    #[error("use 2 to {MAX_SLUG} lower-case letters, digits and single dashes, as in my-agent")]
    BadSlug,
    /// The slug has another meaning in HQ.
    #[error("\"{0}\" is reserved; choose another handle")]
    ReservedSlug(String),
    /// An agent or a person has the slug.
    #[error("@{0} is taken; choose another handle")]
    SlugTaken(String),
    #[error("choose one emoji")]
    BadEmoji,
    #[error("a description can have at most {MAX_DESCRIPTION} characters")]
    BadDescription,
    #[error("use one line of at most {MAX_WORDS} characters for the role")]
    BadRole,
    /// Too many, or one is too long or has a comma.
    #[error(
        "name at most {MAX_LINES} domains, each of at most {MAX_WORDS} characters and without a comma"
    )]
    BadDomains,
    /// Too many, or one is too long or has a comma.
    #[error(
        "name at most {MAX_LINES} capabilities, each of at most {MAX_WORDS} characters and without a comma"
    )]
    BadCapabilities,
    #[error("there is no template \"{0}\"; see the new agent page for available ones")]
    NoTemplate(String),
    #[error("this connection doesn't exist; choose another model")]
    NoConnection,
    #[error("use a model ID of 1 to 200 characters without spaces")]
    BadModel,
    #[error("use a budget between $0 and $1,000,000 a month, or leave it empty for none")]
    BadBudget,
    /// Warning level out of range.
    #[error("warn at 1 to 100 percent of the budget")]
    BadShare,
    /// Maximum output out of range.
    #[error("an answer can have {} to {} tokens", OUTPUT.start(), OUTPUT.end())]
    BadOutput,
    /// Unknown manager.
    #[error("no one here is called \"{0}\"; choose an agent or a member")]
    NoManager(String),
    /// Invalid successor of an archived agent.
    #[error("choose an active agent or a member to take over its work")]
    NoHeir,
    #[error("an agent can't report to itself; choose someone else")]
    OwnManager,
    /// The manager already reports to the agent.
    #[error("{manager} already reports to {agent}, directly or indirectly; choose someone else")]
    Circle {
        agent: String,
        /// The requested manager.
        manager: String,
    },
    /// The agent's state does not allow the operation.
    #[error("{name} is {state}; {hint}")]
    WrongState {
        name: String,
        state: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    #[error("write what your colleague should know or do")]
    EmptyMessage,
    #[error("a message can have at most {MAX_MESSAGE} bytes; put more into a comment or a file")]
    LongMessage,
    #[error("you can't message yourself; use `work_snooze` to continue later")]
    Yourself,
    #[error("the task that the message is about does not exist")]
    NoTask,
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
