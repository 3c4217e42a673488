//! Messages to agents before they are read.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use super::{Attachment, ClientChoice, ClientTool, Demand, Session};
use kernel::{
    Actor, AgentId, CommentId, Fast, InputId, JsonText, Part, QueueMode, RunId, RunTrigger,
    SessionId, Thinking, Timestamp, TypedId,
};
use store::codec::{self, DecodeError};
use store::{BlobId, BlobRefs, Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

pub const INPUTS: Table = Table::new(69, "queued_inputs");
/// Session, then order; open inputs only, including those still to be summarized in one line.
pub const INPUT_OPEN: Index = Index::multi(70, "queued_inputs_open");
/// Session, then order; dropped inputs that can be restored.
pub const INPUT_KEPT: Index = Index::multi(171, "queued_inputs_kept");

/// Prefix of a comment as a run reads it; the author follows.
pub const COMMENT_BY: &str = "New comment on the task by ";

/// State of a queued input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputState {
    /// Waits for a run.
    Accepted,
    /// Assigned to a run that has not read it.
    Assigned(RunId),
    /// Read by a run.
    Consumed(RunId),
    /// Withdrawn by its author.
    Cancelled,
    /// Dropped for this reason.
    Dropped(String),
    /// Dropped because too many waited; the next turn summarizes it in one line.
    Overflowed,
}

/// A message to an agent. Work is never a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub id: InputId,
    pub session: SessionId,
    pub agent: AgentId,
    pub text: String,
    pub by: Actor,
    /// Chat message or API call.
    pub trigger: RunTrigger,
    pub state: InputState,
    /// Model for this message only.
    pub model: Option<String>,
    /// The comment behind this input. It becomes an inbox item if no run reads it in time.
    pub comment: Option<CommentId>,
    /// Mode while a run works.
    pub mode: QueueMode,
    /// Whether the author may restore the dropped input.
    pub kept: bool,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    pub attached: Vec<Attachment>,
    /// Options of an API client beyond text.
    pub demand: Option<Demand>,
    /// Thinking level for this message only.
    pub thinking: Option<Thinking>,
    /// Response speed for this message only.
    pub fast: Option<Fast>,
}

/// Layout before `fast`. Frozen.
#[derive(Deserialize)]
struct InputV3 {
    id: InputId,
    session: SessionId,
    agent: AgentId,
    text: String,
    by: Actor,
    trigger: RunTrigger,
    state: InputState,
    model: Option<String>,
    comment: Option<CommentId>,
    mode: QueueMode,
    kept: bool,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
    attached: Vec<Attachment>,
    demand: Option<Demand>,
    thinking: Option<Thinking>,
}

/// Layout before `attached`, `demand` and `thinking`. Frozen.
#[derive(Deserialize)]
struct InputV2 {
    id: InputId,
    session: SessionId,
    agent: AgentId,
    text: String,
    by: Actor,
    trigger: RunTrigger,
    state: InputState,
    model: Option<String>,
    comment: Option<CommentId>,
    mode: QueueMode,
    kept: bool,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

/// Layout before `mode` and `kept`. Frozen.
#[derive(Deserialize)]
struct InputV1 {
    id: InputId,
    session: SessionId,
    agent: AgentId,
    text: String,
    by: Actor,
    trigger: RunTrigger,
    state: InputState,
    model: Option<String>,
    comment: Option<CommentId>,
    #[serde(with = "millisecond::required")]
    created_at: Timestamp,
}

impl From<InputV2> for InputV3 {
    fn from(old: InputV2) -> Self {
        Self {
            id: old.id,
            session: old.session,
            agent: old.agent,
            text: old.text,
            by: old.by,
            trigger: old.trigger,
            state: old.state,
            model: old.model,
            comment: old.comment,
            mode: old.mode,
            kept: old.kept,
            created_at: old.created_at,
            attached: Vec::new(),
            demand: None,
            thinking: None,
        }
    }
}

impl From<InputV1> for InputV2 {
    fn from(old: InputV1) -> Self {
        Self {
            id: old.id,
            session: old.session,
            agent: old.agent,
            text: old.text,
            by: old.by,
            trigger: old.trigger,
            state: old.state,
            model: old.model,
            comment: old.comment,
            mode: QueueMode::Steer,
            kept: false,
            created_at: old.created_at,
        }
    }
}

impl Input {
    /// A waiting chat message that steers the working run. Callers override fields as needed.
    #[must_use]
    pub fn words(
        id: InputId,
        (session, agent): (SessionId, AgentId),
        (by, text): (Actor, String),
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            session,
            agent,
            text,
            by,
            trigger: RunTrigger::Chat,
            state: InputState::Accepted,
            model: None,
            comment: None,
            mode: QueueMode::Steer,
            kept: false,
            created_at,
            attached: Vec::new(),
            demand: None,
            thinking: None,
            fast: None,
        }
    }

    /// Whether the input waits to be read.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, InputState::Accepted | InputState::Assigned(_))
    }

    /// Whether the author is not HQ itself. Work yields to such inputs.
    #[must_use]
    pub fn is_from_outside(&self) -> bool {
        !matches!(self.by, Actor::System(_))
    }

    /// Whether the input is a message of a person or of their API client, not of HQ and not a comment.
    #[must_use]
    pub fn is_talk(&self) -> bool {
        self.comment.is_none() && self.by.account().is_some()
    }
}

impl Record for Input {
    type Id = InputId;
    const TABLE: Table = INPUTS;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 4;
    const INDEXES: &'static [Index] = &[INPUT_OPEN, INPUT_KEPT];
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> =
        Some(|input, blobs| input.attached.iter().for_each(|file| blobs.one(file.blob)));
    fn id(&self) -> InputId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.is_open() || self.state == InputState::Overflowed {
            keys.entry(INPUT_OPEN).part(self.session);
        }
        if self.kept && matches!(self.state, InputState::Dropped(_)) {
            keys.entry(INPUT_KEPT).part(self.session);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Session>(self.session)
    }
    fn sample() -> Self {
        Self {
            id: InputId::from_bytes([13; 16]),
            session: SessionId::from_bytes([12; 16]),
            agent: AgentId::from_bytes([5; 16]),
            text: "How far are you?".into(),
            by: Actor::System(Part::Setup),
            trigger: RunTrigger::Chat,
            state: InputState::Accepted,
            model: None,
            comment: Some(CommentId::from_bytes([3; 16])),
            mode: QueueMode::Collect,
            kept: true,
            created_at: kernel::time::from_ms(1_700_000_000_000),
            attached: vec![Attachment {
                name: "plan ü.png".into(),
                media_type: "image/png".into(),
                blob: BlobId::of(b"picture"),
                len: 7,
            }],
            demand: Some(Demand {
                tools: vec![ClientTool {
                    name: "get_weather".into(),
                    about: "The weather of a city".into(),
                    schema: JsonText(r#"{"type":"object"}"#.into()),
                }],
                choice: ClientChoice::Named("get_weather".into()),
                one_by_one: true,
                max_output: Some(2_000),
                temperature: Some(700),
                top_p: Some(950),
                stop: vec!["END".into()],
            }),
            thinking: Some(Thinking::Medium),
            fast: Some(Fast::On),
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let old = match version {
            1 => InputV3::from(InputV2::from(codec::decode::<InputV1>(body)?)),
            2 => InputV3::from(codec::decode::<InputV2>(body)?),
            3 => codec::decode(body)?,
            _ => return Err(DecodeError::UnknownVersion { table: INPUTS.name, version }),
        };
        Ok(Self {
            id: old.id,
            session: old.session,
            agent: old.agent,
            text: old.text,
            by: old.by,
            trigger: old.trigger,
            state: old.state,
            model: old.model,
            comment: old.comment,
            mode: old.mode,
            kept: old.kept,
            created_at: old.created_at,
            attached: old.attached,
            demand: old.demand,
            thinking: old.thinking,
            fast: None,
        })
    }
}
