//! Trait for errors that are reported to users and API clients.

/// A rejected field of a form or body.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field name as sent.
    pub field: String,
    /// What is wrong and what would be valid.
    pub message: String,
}

impl FieldError {
    /// Rejects a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Error categories. Each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// 422: invalid input.
    Invalid,
    /// 401: not signed in.
    Unauthorized,
    /// 403: signed in, but not allowed.
    Forbidden,
    /// 404: missing, or hidden from this person.
    NotFound,
    /// 405: method not allowed.
    WrongMethod,
    /// 408: request timeout.
    Slow,
    /// 409: concurrent change, or not allowed in the current state.
    Conflict,
    /// 410: no longer there.
    Gone,
    /// 412: changed since it was read.
    Stale,
    /// 413: too large.
    TooLarge,
    /// 421: the request's host name is not one of ours.
    Misdirected,
    /// 429: too many requests.
    Limited,
    /// 502: an upstream server failed.
    Upstream,
    /// 503: temporarily unavailable.
    Unavailable,
    /// 500: internal error.
    Internal,
    /// 507: the disk is full.
    Full,
}

impl ProblemKind {
    /// HTTP status code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 422,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::WrongMethod => 405,
            Self::Slow => 408,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::Misdirected => 421,
            Self::Limited => 429,
            Self::Upstream => 502,
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::Full => 507,
        }
    }

    /// Title for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid input",
            Self::Unauthorized => "Please sign in",
            Self::Forbidden => "You don’t have permission",
            Self::NotFound => "Not found",
            Self::WrongMethod => "Method not allowed here",
            Self::Slow => "The request took too long",
            Self::Conflict => "Conflict with the current state",
            Self::Gone => "This no longer exists",
            Self::Stale => "This has changed since you read it",
            Self::TooLarge => "Too large",
            Self::Misdirected => "Wrong address",
            Self::Limited => "Too many requests",
            Self::Upstream => "Unexpected response from another service",
            Self::Unavailable => "Not available right now",
            Self::Internal => "Something went wrong",
            Self::Full => "The disk is full",
        }
    }
}

/// An error that can be shown to a person, a client or a model.
pub trait Problem: std::error::Error + Send + Sync + 'static {
    /// Stable `snake_case` code.
    fn code(&self) -> &'static str;
    /// Error category.
    fn kind(&self) -> ProblemKind;
    /// The rejected fields.
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }
}
