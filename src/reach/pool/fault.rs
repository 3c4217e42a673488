//! Why a call of a tool has no result.

use mcp::client::McpError;

use crate::oauth::NoToken;

#[derive(Debug)]
pub enum Fault {
    /// Nothing was sent. A sentence.
    NotReady(String),
    /// A person has to sign in first, and nothing was carried out. A sentence.
    SignIn(String),
    Call(McpError),
}

impl Fault {
    /// What went wrong, in a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::NotReady(text) | Self::SignIn(text) => text.clone(),
            Self::Call(error) => web::form::sentence(&error.to_string()),
        }
    }

    /// The same before a call: the tool has not been called.
    pub(super) fn before_call(self) -> Self {
        match self {
            Self::Call(error) => Self::Call(McpError::Before(Box::new(error))),
            other => other,
        }
    }
}

impl From<NoToken> for Fault {
    fn from(why: NoToken) -> Self {
        match why {
            NoToken::SignIn(text) => Self::SignIn(text),
            NoToken::Later(text) => Self::NotReady(text),
        }
    }
}
