//! Session events: messages, model calls, tool calls and decisions.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Attachment, Run, SESSION_EVENTS, Session};
use kernel::{Actor, InputId, Outcome, RunId, SessionId, Thinking, Timestamp, TypedId, WaitFor};
use store::{BlobId, BlobRefs, Class, Record, Root, Table};

/// `stop` value of a response that is incomplete because its call failed.
pub const BROKEN_OFF: &str = "broken_off";

/// Text of any length: inline up to 16 KiB, else a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    Inline(String),
    Blob {
        id: BlobId,
        /// Length in bytes.
        len: u64,
        /// What a model reads: head and tail, at most 16 KiB.
        head: String,
    },
}

impl Body {
    /// The text available without reading the blob.
    #[must_use]
    pub fn head(&self) -> &str {
        match self {
            Self::Inline(text) => text,
            Self::Blob { head, .. } => head,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallStatus {
    Ok,
    /// With an error that the model reads.
    Error,
    Timeout,
    /// Stopped by a person.
    Stopped,
    /// Never begun, because a message came first.
    Skipped,
    /// Interrupted; the effect is unknown.
    Unknown,
}

/// Content of a session event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A message.
    Input {
        /// The queued input; `None` for a run card.
        input: Option<InputId>,
        /// As the model reads it.
        text: Body,
        by: Actor,
        /// Whether the message arrived while a run was working.
        steered: bool,
    },
    /// A run began, or resumed after a crash or a wait.
    RunStarted {
        /// Counts from 1.
        attempt: u32,
        model: String,
        thinking: Thinking,
        /// Size of the first request in bytes; 0 if unknown.
        request_bytes: u32,
    },
    /// A model call is about to be made; its cost is reserved.
    CallStarted {
        /// Number in the run, from 1.
        call: u32,
        provider: String,
        model: String,
        /// Maximum possible cost in micro-dollars.
        reserved_micros: i64,
    },
    CallFailed {
        call: u32,
        /// Error class.
        class: String,
        message: String,
        /// Time of the next attempt.
        #[serde(with = "millisecond::optional")]
        retry_at: Option<Timestamp>,
    },
    /// A response of the model. The parts are JSON text, so that their format can grow.
    Assistant {
        call: u32,
        /// `Vec<providers::Part>` as JSON.
        parts: Body,
        /// Stop reason.
        stop: String,
        /// Tokens sent, cached or not.
        input_tokens: u64,
        /// Tokens received.
        output_tokens: u64,
        /// Cost in micro-dollars; `None` if the price is unknown.
        billed_micros: Option<i64>,
        /// Duration in milliseconds.
        millis: u64,
    },
    /// A tool was begun. Written before any effect outside the store.
    ToolStarted {
        /// Number of the tool call in the run, from 1.
        step: u32,
        /// Call id assigned by the provider.
        call_id: String,
        name: String,
        /// `file` tools only.
        file: Option<FileMark>,
    },
    ToolFinished {
        /// Number of the tool call in the run.
        step: u32,
        /// Call id assigned by the provider.
        call_id: String,
        name: String,
        status: CallStatus,
        /// As the model reads it.
        result: Body,
        /// Duration in milliseconds.
        millis: u64,
        /// Changed paths in the agent's folder.
        paths: Vec<String>,
        /// Feed entry of the effect; undo uses it.
        seq: Option<u64>,
    },
    /// A message from HQ to the model.
    Notice { text: String },
    Waiting {
        waits_for: WaitFor,
        /// One sentence.
        detail: String,
        /// Deadline of the wait.
        #[serde(with = "millisecond::optional")]
        until: Option<Timestamp>,
    },
    /// HQ stopped in the middle of the run.
    Interrupted {
        /// What the run was doing.
        what: String,
    },
    Committed {
        commit: String,
        /// Number of changed files.
        files: u32,
    },
    RunEnded {
        outcome: Outcome,
        /// In the agent's words.
        summary: String,
    },
    /// A tool that changes several files together was begun, or files of a result are about to be stored.
    FilesStarted {
        /// Number of the tool call in the run, from 1.
        step: u32,
        /// Call id assigned by the provider.
        call_id: String,
        name: String,
        /// Planned change of each file.
        files: Vec<FileMark>,
        /// The new contents as JSON, so that a change interrupted by a crash can be completed; empty for a result.
        kept: BlobId,
    },
    /// The run has seen these file versions.
    FilesSeen { files: Vec<SeenFile> },
    /// A picture of a tool result.
    Picture {
        /// Call id assigned by the provider.
        call_id: String,
        /// Such as `image/png`.
        media_type: String,
        id: BlobId,
        /// Length in bytes.
        len: u64,
    },
    /// Another model or key answers from here on.
    ModelSwitched {
        /// The previous model.
        from: String,
        /// The model that is used now.
        to: String,
        why: String,
    },
    /// The older part of the conversation is about to be summarized.
    CompactionStarted {
        why: CompactionWhy,
        /// Focus for the summary; often empty.
        focus: String,
        /// Estimated tokens of the conversation.
        tokens: u64,
    },
    /// From here on, models read a summary instead of the older part of the conversation.
    Compacted {
        /// As models read it.
        summary: String,
        how: Compaction,
    },
    /// The compaction failed; the conversation is unchanged.
    CompactionFailed {
        /// One sentence.
        why: String,
    },
    /// Content that a compaction would have lost, written to the agent's memory.
    Remembered {
        path: String,
        /// The lines written.
        lines: Vec<String>,
    },
    /// Files of the preceding message.
    Attached {
        /// The queued input.
        input: InputId,
        /// In order.
        files: Vec<Attachment>,
    },
    /// A person answered the run's question. The model reads the answer as the result of its call.
    Answered {
        /// The message that was the answer, if any.
        input: Option<InputId>,
        by: Actor,
        text: Body,
    },
    /// The parts of the prompt, in order, before the first message.
    Prompted { parts: Vec<PromptPart> },
    /// An owner or admin viewed this private conversation.
    Looked { by: Actor },
    /// A tool finished after its run had been ended or requeued without the result. Stored as evidence; no model
    /// reads it.
    Late {
        /// The number that the call would have had in the run.
        step: u32,
        /// Call id assigned by the provider.
        call_id: String,
        name: String,
        status: CallStatus,
        result: Body,
        /// Duration in milliseconds.
        millis: u64,
        /// Changed paths in the agent's folder.
        paths: Vec<String>,
    },
    /// Files that were not committed because they contain a key. No model reads this event.
    LeftOut { files: Vec<LeftOut> },
}

/// A file that was not committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Path in the agent's folder.
    pub path: String,
    /// Line of the key, from 1.
    pub line: u32,
    pub why: String,
}

/// Part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptPart {
    /// File name of the agent's file, or a heading.
    pub name: String,
    /// Length in bytes.
    pub bytes: u32,
    /// Whether the part is the same from run to run, so that a provider may cache it.
    pub stable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompactionWhy {
    /// Requested.
    Asked,
    /// The conversation will soon exceed the model's context window.
    Full,
    /// The provider rejected the request as too long.
    Overflow,
}

/// Author of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SummaryBy {
    /// The model, at the first attempt.
    Model,
    /// The model, after it was told what was missing.
    Mended,
    /// HQ, extracted from the messages: the model's summary lost too much or is missing.
    Extract,
}

/// Result of a compaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    pub by: SummaryBy,
    /// First event that models still see unchanged.
    pub first_kept: u32,
    /// Estimated tokens before.
    pub tokens_before: u64,
    /// Estimated tokens after.
    pub tokens_after: u64,
    /// The model that was called.
    pub model: String,
    /// Tokens sent, cached or not.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Cost in micro-dollars; `None` if the price is unknown.
    pub billed_micros: Option<i64>,
    /// Duration in milliseconds.
    pub millis: u64,
}

/// A file version that a run has read or listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFile {
    /// Path in the agent's folder.
    pub path: String,
    /// SHA-256.
    pub hash: [u8; 32],
}

/// A planned change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Path in the agent's folder.
    pub path: String,
    /// SHA-256 before; `None` if the file is new.
    pub before: Option<[u8; 32]>,
    /// SHA-256 after; `None` if the file is deleted.
    pub after: Option<[u8; 32]>,
}

/// One event of a session; immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    pub session: SessionId,
    /// Number in the session, from 0.
    pub n: u32,
    pub run: Option<RunId>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub kind: EventKind,
}

/// First line of the instructions of an API client.
const INSTRUCTIONS: &str = "# Instructions from the program that asks";

impl SessionEvent {
    /// Instructions of an API client as stored in a conversation.
    #[must_use]
    pub fn as_instructions(text: &str) -> String {
        format!("{INSTRUCTIONS}\n{text}")
    }

    /// The client's instructions, if this event holds them.
    #[must_use]
    pub fn instructions(&self) -> Option<&str> {
        match &self.kind {
            EventKind::Notice { text }
                if self.n == 0 && self.run.is_none() && text.starts_with(INSTRUCTIONS) =>
            {
                Some(text)
            }
            _ => None,
        }
    }
}

impl Record for SessionEvent {
    type Id = (SessionId, u32);
    const TABLE: Table = SESSION_EVENTS;
    const CLASS: Class = Class::Log;
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> = Some(|event, blobs| match &event.kind {
        EventKind::Input { text: Body::Blob { id, .. }, .. }
        | EventKind::Assistant { parts: Body::Blob { id, .. }, .. }
        | EventKind::ToolFinished { result: Body::Blob { id, .. }, .. }
        | EventKind::Late { result: Body::Blob { id, .. }, .. }
        | EventKind::Answered { text: Body::Blob { id, .. }, .. }
        | EventKind::FilesStarted { kept: id, .. }
        | EventKind::Picture { id, .. } => blobs.one(*id),
        EventKind::Attached { files, .. } => files.iter().for_each(|file| blobs.one(file.blob)),
        _ => {}
    });
    fn id(&self) -> (SessionId, u32) {
        (self.session, self.n)
    }
    fn root(&self) -> Root {
        match self.run {
            Some(run) => Root::of::<Run>(run),
            None => Root::of::<Session>(self.session),
        }
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([12; 16]),
            n: 3,
            run: Some(RunId::from_bytes([8; 16])),
            at: kernel::time::from_ms(1_700_000_000_000),
            kind: EventKind::ToolFinished {
                step: 2,
                call_id: "call_2".into(),
                name: "write".into(),
                status: CallStatus::Ok,
                result: Body::Inline("wrote notes.md".into()),
                millis: 3,
                paths: vec!["notes.md".into()],
                seq: Some(99),
            },
        }
    }
}
