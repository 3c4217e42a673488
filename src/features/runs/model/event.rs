//! Events of conversations: what was said, called and decided.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Attachment, Run, SESSION_EVENTS, Session};
use kernel::{Actor, InputId, Outcome, RunId, SessionId, Thinking, Timestamp, TypedId, WaitFor};
use store::{BlobId, BlobRefs, Class, Record, Root, Table};

/// The word of an answer's `stop` where it ended before it was whole, because its call failed.
pub const BROKEN_OFF: &str = "broken_off";

/// Text that may be long: inline up to 16 KiB, else a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Here.
    Inline(String),
    /// In a blob; the head is kept here.
    Blob {
        id: BlobId,
        /// Its length in bytes.
        len: u64,
        /// What a model reads of it: its head and tail, at most 16 KiB.
        head: String,
    },
}

impl Body {
    /// What is at hand without reading the blob.
    #[must_use]
    pub fn head(&self) -> &str {
        match self {
            Self::Inline(text) => text,
            Self::Blob { head, .. } => head,
        }
    }
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallStatus {
    /// With a result.
    Ok,
    /// With an error that the model reads.
    Error,
    /// It took too long.
    Timeout,
    /// A person stopped it.
    Stopped,
    /// It was never begun: a message came first.
    Skipped,
    /// Interrupted; whether it took effect is not known.
    Unknown,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Somebody said something.
    Input {
        /// The queued input that it was; none for a run card.
        input: Option<InputId>,
        /// What was said, as the model reads it.
        text: Body,
        by: Actor,
        /// Whether it came while a run was working.
        steered: bool,
    },
    /// A run began, or went on after a crash or a wait.
    RunStarted {
        /// Its attempt, from 1.
        attempt: u32,
        model: String,
        /// How much it thinks.
        thinking: Thinking,
        /// The size of the first request in bytes; 0 when unknown.
        request_bytes: u32,
    },
    /// A model call is about to be made; money is reserved.
    CallStarted {
        /// Its number in the run, from 1.
        call: u32,
        provider: String,
        model: String,
        /// The most that it may cost, in micro-dollars.
        reserved_micros: i64,
    },
    /// A model call failed.
    CallFailed {
        /// Its number.
        call: u32,
        /// The class of the error.
        class: String,
        /// What it said.
        message: String,
        /// When it is tried again.
        #[serde(with = "millisecond::optional")]
        retry_at: Option<Timestamp>,
    },
    /// The model has spoken. The parts are JSON text, so that their form can grow.
    Assistant {
        /// The call's number.
        call: u32,
        /// `Vec<providers::Part>` as JSON.
        parts: Body,
        /// Why it ended.
        stop: String,
        /// Tokens sent, cached or not.
        input_tokens: u64,
        /// Tokens received.
        output_tokens: u64,
        /// What it cost, in micro-dollars; none when no price is known.
        billed_micros: Option<i64>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A tool was begun: noted before any effect that the store does not hold.
    ToolStarted {
        /// The number of the call in the run, from 1.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// `file` tools: path, hash before, hash after.
        file: Option<FileMark>,
    },
    /// A tool has answered.
    ToolFinished {
        /// The number of the call in the run.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// How it ended.
        status: CallStatus,
        /// What the model reads.
        result: Body,
        /// How long it took, in milliseconds.
        millis: u64,
        /// Paths of the agent's files that changed.
        paths: Vec<String>,
        /// The feed entry of its effect: undo finds it.
        seq: Option<u64>,
    },
    /// A word of the program to the model.
    Notice { text: String },
    /// The run waits.
    Waiting {
        waits_for: WaitFor,
        /// In one sentence.
        detail: String,
        /// Until when at most.
        #[serde(with = "millisecond::optional")]
        until: Option<Timestamp>,
    },
    /// The program ended in the middle of the run.
    Interrupted {
        /// What was going on.
        what: String,
    },
    /// Files were committed.
    Committed {
        commit: String,
        /// How many files changed.
        files: u32,
    },
    /// The run is over.
    RunEnded {
        outcome: Outcome,
        /// In the agent's words.
        summary: String,
    },
    /// A tool that changes several files together was begun.
    FilesStarted {
        /// The number of the call in the run, from 1.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// What it is about to do to each file.
        files: Vec<FileMark>,
        /// The new contents as JSON, so that what a crash cuts off can be completed.
        kept: BlobId,
    },
    /// The run knows these files as they are now.
    FilesSeen { files: Vec<SeenFile> },
    /// A result has a picture.
    Picture {
        /// The provider's id of the call.
        call_id: String,
        /// Such as `image/png`.
        media_type: String,
        /// The file.
        id: BlobId,
        /// Its length in bytes.
        len: u64,
    },
    /// Another model, or another key, answers from here on.
    ModelSwitched {
        /// Who answered or was asked before.
        from: String,
        /// Who is asked now.
        to: String,
        why: String,
    },
    /// The older parts of the conversation are about to be put into a summary.
    CompactionStarted {
        why: CompactionWhy,
        /// What the summary should look at above all; often nothing.
        focus: String,
        /// About how many tokens the conversation has.
        tokens: u64,
    },
    /// For a model, the older parts of the conversation stand in a summary from here on.
    Compacted {
        summary: String,
        /// How it came about.
        how: Compaction,
    },
    /// The conversation stays as it is.
    CompactionFailed {
        /// Why, in a sentence.
        why: String,
    },
    /// What a compaction would have lost was written into the agent's memory.
    Remembered {
        /// The file.
        path: String,
        /// What was written, line by line.
        lines: Vec<String>,
    },
    /// Files came with the message before it.
    Attached {
        /// The queued input.
        input: InputId,
        /// The files, in order.
        files: Vec<Attachment>,
    },
    /// A person answered the run's question. The model reads it as the result of its call.
    Answered {
        /// The message that was the answer, if it was one.
        input: Option<InputId>,
        /// Who answered.
        by: Actor,
        /// What was answered.
        text: Body,
    },
    /// What a model is told before anything is said: the parts of the prompt, in order.
    Prompted { parts: Vec<PromptPart> },
    /// Somebody who runs the workspace has looked at this private conversation.
    Looked { by: Actor },
    /// A tool has answered after its run was ended or put back without it: kept as evidence. No model reads it.
    Late {
        /// The number that the call would have had in the run.
        step: u32,
        /// The provider's id of the call.
        call_id: String,
        /// The tool.
        name: String,
        /// How it ended.
        status: CallStatus,
        /// What it said.
        result: Body,
        /// How long it took, in milliseconds.
        millis: u64,
        /// Paths of the agent's files that changed.
        paths: Vec<String>,
    },
    /// Files stay without a commit because they hold a key. No model reads it.
    LeftOut { files: Vec<LeftOut> },
}

/// A file that stays without a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The path in the agent's folder.
    pub path: String,
    /// The line with the key, from 1.
    pub line: u32,
    /// Why it was left out.
    pub why: String,
}

/// A part of what a model is told before anything is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptPart {
    /// What it is: the name of a file of the agent, or words.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u32,
    /// Whether it is the same from run to run, so that a provider may keep it.
    pub stable: bool,
}

/// Why a conversation is made shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompactionWhy {
    /// Somebody asked for it.
    Asked,
    /// It will soon not fit the model's window.
    Full,
    /// The provider did not take it.
    Overflow,
}

/// Who wrote a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SummaryBy {
    /// The model, at once.
    Model,
    /// The model, after it was told what was missing.
    Mended,
    /// HQ, from what was said: the model's own lost too much, or there was none.
    Extract,
}

/// What a compaction came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compaction {
    /// Who wrote the summary.
    pub by: SummaryBy,
    /// The first event that a model still sees as it was.
    pub first_kept: u32,
    /// About how many tokens the conversation had.
    pub tokens_before: u64,
    /// About how many it has now.
    pub tokens_after: u64,
    /// The model that was asked.
    pub model: String,
    /// Tokens sent for it, cached or not.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// What it cost, in micro-dollars; none when no price is known.
    pub billed_micros: Option<i64>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// A file as a run has read or listed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFile {
    /// The path in the agent's folder.
    pub path: String,
    /// SHA-256.
    pub hash: [u8; 32],
}

/// A planned change of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// The path in the agent's folder.
    pub path: String,
    /// SHA-256 before; none when it is new.
    pub before: Option<[u8; 32]>,
    /// SHA-256 after; none when it is deleted.
    pub after: Option<[u8; 32]>,
}

/// One event of a session; never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    pub session: SessionId,
    /// Its number in the session, from 0.
    pub n: u32,
    pub run: Option<RunId>,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
    pub kind: EventKind,
}

/// What instructions of a program begin with.
const INSTRUCTIONS: &str = "# Instructions from the program that asks";

impl SessionEvent {
    /// Instructions of a program as they stand in a conversation.
    #[must_use]
    pub fn as_instructions(text: &str) -> String {
        format!("{INSTRUCTIONS}\n{text}")
    }

    /// The instructions with which a program began its conversation, when this event holds them.
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
