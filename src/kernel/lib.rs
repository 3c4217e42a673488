//! Types shared by every layer: ids, time, actors, events, vocabularies, errors. No I/O, no async.

#![warn(missing_docs)]

// The expansion of `ids!` refers to this package by name, also within this package.
extern crate self as kernel;

pub mod actor;
pub mod budget;
pub mod cadence;
pub mod clock;
pub mod colour;
pub mod cursor;
pub mod day;
pub mod display;
pub mod env_names;
pub mod error;
pub mod event;
pub mod filter;
pub mod id;
pub mod json;
pub mod key;
pub mod notice;
pub mod problem;
pub mod rank;
pub mod text;
pub mod time;
pub mod vocab;

pub use actor::{Actor, Cause, Part, Via};
pub use budget::Payer;
pub use cadence::{Cadence, Schedule, ScheduleFields};
pub use colour::Colour;
pub use error::Error;
pub use event::Event;
pub use id::{
    AccountId, AgentId, ApprovalId, ChannelId, CommentId, ConnectionId, DeliverableId, FileId,
    FiringId, GatewayId, ImportId, InputId, InviteId, ItemId, JobId, LinkId, NotificationId,
    PasskeyId, PermissionId, PluginId, PushId, ReactionId, RecordId, RelationId, ReservationId,
    RoutineId, RunId, SeriesId, SessionId, SignInId, StreamId, TaskId, TemplateId, TokenId,
    TypedId, UsageId, VersionId, WorkspaceId,
};
pub use json::JsonText;
pub use notice::{About, Notice};
pub use problem::{FieldError, Problem, ProblemKind};
pub use time::{Clock, Timestamp};
pub use vocab::{
    AccessDecision, AgentStatus, ApprovalAnswer, Assignee, CadenceKind, CallEnd, CallKind, Can,
    CatchUp, ClaimKind, ClaimState, DateForm, Delegation, DeliverableState, Density, DropPolicy,
    FactorChange, Fast, Fate, FiredBy, FirstDay, HaltHow, Hue, ItemKind, ItemState, Manager,
    MissedPolicy, NoticeGroup, NoticeKind, NumberForm, Outcome, Overlap, Period, Placed, PricedBy,
    Priority, ProofMode, QueueMode, ReactionKind, RelationKind, Risk, Role, Route, RoutineAct,
    RoutineSession, RowAct, RunState, RunTrigger, Scope, StreamKind, TaskField, TaskState,
    TaskStatus, ThemeChoice, Thinking, TimeForm, TrustMode, UnknownWord, Verbosity, Verdict,
    WaitFor, WatchReason, WheelAct, WorkspaceState,
};
