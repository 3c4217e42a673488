//! Earlier messages of a conversation that an API client keeps. They are written to the session as messages of
//! people, model and tools, so that the model reads them in their roles.

use crate::runs::model::{Body, CallStatus, EventKind, Session, SessionEvent};
use kernel::text::head_tail;
use providers::model::Part;
use store::WriteTx;

use super::RunError;

/// Maximum length of one text that a model is sent, in bytes.
pub const MAX_EARLIER: usize = 24 * 1024;

/// An earlier message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Instructions, and notes of HQ about what follows.
    Instructions(String),
    /// Message of a person.
    Said(String),
    /// A response of the model with its calls.
    Answered {
        /// May be empty if there are calls.
        text: String,
        calls: Vec<EarlierCall>,
    },
    /// Result of a call of the last response.
    Result {
        /// Call id.
        call: String,
        text: String,
    },
}

impl Earlier {
    /// Redacts secrets in texts of models and tools. Messages of people are redacted when they are sent.
    #[must_use]
    pub fn cleaned(self, clean: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Answered { text, calls } => Self::Answered {
                text: clean(&text),
                calls: calls
                    .into_iter()
                    .map(|call| EarlierCall { arguments: clean(&call.arguments), ..call })
                    .collect(),
            },
            Self::Result { call, text } => Self::Result { call, text: clean(&text) },
            other => other,
        }
    }

    /// Whether the message is empty.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Instructions(text) | Self::Said(text) => text.trim().is_empty(),
            Self::Answered { text, calls } => text.trim().is_empty() && calls.is_empty(),
            Self::Result { .. } => false,
        }
    }
}

/// An earlier tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierCall {
    /// Letters, digits, `-` and `_`.
    pub id: String,
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Writes the earlier messages into an empty session; a session with events is left unchanged.
pub(super) fn recount(
    tx: &mut WriteTx<'_>,
    mut session: Session,
    all: Vec<Earlier>,
) -> Result<(), RunError> {
    if 0 < session.events || all.is_empty() {
        return Ok(());
    }
    let mut open: Vec<EarlierCall> = Vec::new();
    for one in all {
        let kind = match one {
            Earlier::Instructions(text) => EventKind::Notice { text },
            Earlier::Said(text) => EventKind::Input {
                input: Some(tx.new_id()),
                text: body(&text),
                by: tx.by(),
                steered: false,
            },
            Earlier::Answered { text, calls } => {
                open.clone_from(&calls);
                answered(&text, calls)
            }
            Earlier::Result { call, text } => {
                // Every provider rejects a result without its call.
                let Some(at) = open.iter().position(|one| one.id == call) else { continue };
                let EarlierCall { id: call_id, name, .. } = open.remove(at);
                EventKind::ToolFinished {
                    step: 0,
                    call_id,
                    name,
                    status: CallStatus::Ok,
                    result: body(&text),
                    millis: 0,
                    paths: Vec::new(),
                    seq: None,
                }
            }
        };
        let (n, at) = (session.events, tx.now());
        tx.put(&SessionEvent { session: session.id, n, run: None, at, kind })?;
        session.events += 1;
    }
    tx.put(&session)?;
    Ok(())
}

fn answered(text: &str, calls: Vec<EarlierCall>) -> EventKind {
    let message = (!text.trim().is_empty()).then(|| Part::text(shown(text)));
    let calls = calls.into_iter().map(|EarlierCall { id, name, arguments }| Part::ToolCall {
        id,
        name,
        arguments,
    });
    let parts: Vec<Part> = message.into_iter().chain(calls).collect();
    EventKind::Assistant {
        call: 0,
        parts: Body::Inline(serde_json::to_string(&parts).unwrap_or_default()),
        stop: String::new(),
        input_tokens: 0,
        output_tokens: 0,
        billed_micros: None,
        millis: 0,
    }
}

fn body(text: &str) -> Body {
    Body::Inline(shown(text))
}

fn shown(text: &str) -> String {
    head_tail(text, MAX_EARLIER, "\n[…]\n")
}
