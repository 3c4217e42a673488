//! Waits that runs request: for a person's answer, a time, or the end of a task.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::Run;
use crate::tasks::model::Task;
use kernel::{AgentId, JsonText, RunId, TaskId, Timestamp, TypedId};
use store::codec::{self, DecodeError};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const PARKS: Table = Table::new(173, "parks");
/// Task; open waits only.
pub const PARKS_BY_TASK: Index = Index::multi(174, "parks_by_task");

/// Wait of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Park {
    pub run: RunId,
    /// Number of the call in the run.
    pub step: u32,
    pub agent: AgentId,
    /// Empty if the wait is not for an answer.
    pub question: String,
    /// Suggested answers; other answers are accepted too.
    pub options: Vec<String>,
    /// Time at which the wait ends by itself.
    #[serde(with = "millisecond::optional")]
    pub until: Option<Timestamp>,
    /// The task whose end the run waits for.
    pub task: Option<TaskId>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub over_at: Option<Timestamp>,
    /// Set if an MCP server asks during the call, or wants a sign-in for it. The call has begun.
    pub asked: Option<Elicitation>,
}

impl Park {
    /// Whether a call waits for the sign-in to its MCP server, which has not carried it out.
    #[must_use]
    pub fn is_for_sign_in(&self) -> bool {
        self.asked.is_some() && self.question.is_empty()
    }
}

/// A question of an MCP server, or its demand for a sign-in. The texts of a question come from a stranger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elicitation {
    /// The server's name in this workspace.
    pub server: String,
    /// JSON Schema of a flat form; `None` for an address to visit.
    pub schema: Option<JsonText>,
    /// For a sign-in: path in the workspace of the page on which a person signs in.
    pub url: Option<String>,
    /// Input of the call for its continuation after a restart; `None` if it waits in this process.
    pub state: Option<JsonText>,
    /// Sent to the server: an action, and the content of the form.
    pub answer: Option<JsonText>,
    /// The call has continued. If HQ stops now, its outcome is unknown.
    pub is_taken: bool,
}

impl Record for Park {
    type Id = (RunId, u32);
    const TABLE: Table = PARKS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 2;
    const INDEXES: &'static [Index] = &[PARKS_BY_TASK];
    fn id(&self) -> (RunId, u32) {
        (self.run, self.step)
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(task) = self.task.filter(|_| self.over_at.is_none()) {
            keys.entry(PARKS_BY_TASK).part(task);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
        refs.to::<Task>(2, self.task, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.task = None;
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match version {
            // The older layout only lacks the last field, whose absence is encoded as a zero.
            1 => codec::decode(&[body, [0_u8].as_slice()].concat()),
            _ => Err(DecodeError::UnknownVersion { table: PARKS.name, version }),
        }
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            run: RunId::from_bytes([8; 16]),
            step: 3,
            agent: AgentId::from_bytes([5; 16]),
            question: "Which of the two offers?".into(),
            options: vec!["The cheaper one".into()],
            until: Some(at),
            task: Some(TaskId::from_bytes([2; 16])),
            at,
            over_at: None,
            asked: Some(Elicitation {
                server: "tracker".into(),
                schema: Some(JsonText(r#"{"properties":{"a":{"type":"string"}}}"#.into())),
                url: Some("https://x.example/".into()),
                state: Some(JsonText::empty()),
                answer: Some(JsonText(r#"{"action":"decline"}"#.into())),
                is_taken: true,
            }),
        }
    }
}
