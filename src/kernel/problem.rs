//! What every error of a feature or leaf can say about itself at the edge.

/// One field of a form or body that was refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name as it was sent.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// A refused field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// The few kinds of failure; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// 422: the input is wrong.
    Invalid,
    /// 401: nobody is signed in.
    Unauthorized,
    /// 403: signed in, but not allowed.
    Forbidden,
    /// 404: not there, or not for this person.
    NotFound,
    /// 405: the address does not take this method.
    WrongMethod,
    /// 408: the request did not arrive in time.
    Slow,
    /// 409: somebody else was faster, or the state does not allow it.
    Conflict,
    /// 410: it was there.
    Gone,
    /// 412: the record has changed since it was read.
    Stale,
    /// 413: too large.
    TooLarge,
    /// 421: asked under a name that is not ours.
    Misdirected,
    /// 429: too often.
    Limited,
    /// 502: somebody that we asked has failed.
    Upstream,
    /// 503: not now.
    Unavailable,
    /// 500: our fault.
    Internal,
    /// 507: the disk is full.
    Full,
}

impl ProblemKind {
    /// The HTTP status.
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

    /// A title for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "Something in the input is not right",
            Self::Unauthorized => "Please sign in",
            Self::Forbidden => "You may not do this",
            Self::NotFound => "Not found",
            Self::WrongMethod => "This address does not take that method",
            Self::Slow => "The request took too long to arrive",
            Self::Conflict => "This does not fit the present state",
            Self::Gone => "This is no longer there",
            Self::Stale => "Somebody changed this in the meantime",
            Self::TooLarge => "Too large",
            Self::Misdirected => "Not at this address",
            Self::Limited => "Too many requests",
            Self::Upstream => "Another service did not answer as it should",
            Self::Unavailable => "Not available right now",
            Self::Internal => "Something went wrong on our side",
            Self::Full => "The disk is full",
        }
    }
}

/// An error that can be shown to a person, a client or a model.
pub trait Problem: std::error::Error + Send + Sync + 'static {
    /// A stable name in `snake_case`.
    fn code(&self) -> &'static str;
    /// Its kind.
    fn kind(&self) -> ProblemKind;
    /// The fields that were refused.
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }
}
