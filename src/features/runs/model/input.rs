//! What is said to agents before they have read it.

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
/// Session, open inputs only, in order; with those that are still to be told in one line.
pub const INPUT_OPEN: Index = Index::multi(70, "queued_inputs_open");
/// Session, inputs that were dropped and can be brought back.
pub const INPUT_KEPT: Index = Index::multi(171, "queued_inputs_kept");

/// How a comment begins that a run reads; behind it stands who wrote it.
pub const COMMENT_BY: &str = "New comment on the task by ";

/// Where a queued input stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputState {
    /// Waits.
    Accepted,
    /// A run has it and has not read it yet.
    Assigned(RunId),
    /// A run has read it.
    Consumed(RunId),
    /// Its author took it back.
    Cancelled,
    /// It was dropped, with the reason.
    Dropped(String),
    /// There were too many: the next turn hears of it in one line.
    Overflowed,
}

/// Something said to an agent: talk, never work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub id: InputId,
    pub session: SessionId,
    pub agent: AgentId,
    pub text: String,
    pub by: Actor,
    /// How it came: a chat message or an API call.
    pub trigger: RunTrigger,
    pub state: InputState,
    /// A model for this message alone.
    pub model: Option<String>,
    /// The comment that it was; when no run reads it in time, it becomes an inbox item.
    pub comment: Option<CommentId>,
    /// What it does while a run works.
    pub mode: QueueMode,
    /// Whether its author may bring it back after it was dropped.
    pub kept: bool,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    /// Files that come with it.
    pub attached: Vec<Attachment>,
    /// What the program that sent it asks for beside words.
    pub demand: Option<Demand>,
    /// How much the model thinks about this message alone.
    pub thinking: Option<Thinking>,
    /// Whether it is to answer this message sooner.
    pub fast: Option<Fast>,
}

/// The layout before a message could be a fast one. Frozen.
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

/// The layout before messages had files, demands and a thinking level. Frozen.
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

/// The layout before a message said what it does while a run works. Frozen.
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
    /// Words of a chat that wait and steer the run that works; whoever makes them says what is
    /// particular about them.
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

    /// Whether it waits to be read.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, InputState::Accepted | InputState::Assigned(_))
    }

    /// Whether somebody said it, and not HQ itself: work makes way for that.
    #[must_use]
    pub fn is_from_outside(&self) -> bool {
        !matches!(self.by, Actor::System(_))
    }

    /// Whether it is what a person said or a program of theirs, and not a word of HQ or a comment.
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
