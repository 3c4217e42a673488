//! Conversation preferences: automatic reset, retention of sub-agents' conversations and of steps, display of
//! thinking and tools.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::limits::Bound;
use super::{QueueOf, Session};
use crate::agents::model::Agent;
use kernel::{AgentId, Fast, TypedId, Verbosity};
use store::codec::{self, DecodeError};
use store::{Class, OnDelete, Record, Refs, Table};

pub const TALK_CHOICES: Table = Table::new(187, "talk_choices");

/// Hour value that means never.
pub const NEVER: u8 = 24;
/// Default retention of sub-agents' conversations in days.
const PARTS_DAYS: u32 = 30;
/// Default retention of the steps of finished work in days.
const STEPS_DAYS: u32 = 180;

/// Preferences chosen at one level; `None` falls back to the next level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationOptions {
    /// Hour of the day at which a person's own conversation is reset; [`NEVER`] for no reset.
    pub daily_hour: Option<u8>,
    /// Minutes without a message of the person after which it is reset; 0 for never.
    pub idle_minutes: Option<u32>,
    /// Display of the model's thinking in the chat: expanded or hidden.
    pub shows_thoughts: Option<bool>,
    /// Retention of sub-agents' conversations in days; workspace level only.
    pub parts_days: Option<u32>,
    /// Retention of the steps of finished work in days; workspace level only.
    pub steps_days: Option<u32>,
    /// Response speed.
    pub fast: Option<Fast>,
    /// Display of tool calls in the chat.
    pub shows_tools: Option<Verbosity>,
}

/// Layout before `shows_tools`. Frozen.
#[derive(Deserialize)]
struct TalkChoiceV2 {
    of: QueueOf,
    wish: ConversationOptionsV2,
}

#[derive(Deserialize)]
struct ConversationOptionsV2 {
    daily_hour: Option<u8>,
    idle_minutes: Option<u32>,
    shows_thoughts: Option<bool>,
    parts_days: Option<u32>,
    steps_days: Option<u32>,
    fast: Option<Fast>,
}

/// Layout before `fast`. Frozen.
#[derive(Deserialize)]
struct TalkChoiceV1 {
    of: QueueOf,
    wish: ConversationOptionsV1,
}

#[derive(Deserialize)]
struct ConversationOptionsV1 {
    daily_hour: Option<u8>,
    idle_minutes: Option<u32>,
    shows_thoughts: Option<bool>,
    parts_days: Option<u32>,
    steps_days: Option<u32>,
}

impl TalkChoiceV1 {
    fn next(self) -> TalkChoiceV2 {
        let Self { of, wish } = self;
        let wish = ConversationOptionsV2 {
            daily_hour: wish.daily_hour,
            idle_minutes: wish.idle_minutes,
            shows_thoughts: wish.shows_thoughts,
            parts_days: wish.parts_days,
            steps_days: wish.steps_days,
            fast: None,
        };
        TalkChoiceV2 { of, wish }
    }
}

impl ConversationOptions {
    /// Ranges in the order of [`Self::values`].
    pub const BOUNDS: [Bound; 4] = [
        ("daily_hour", 0, 24),
        ("idle_minutes", 0, 60 * 24 * 365),
        ("parts_days", 1, 3_650),
        ("steps_days", 1, 3_650),
    ];

    /// The numbers in the order of [`Self::BOUNDS`].
    #[must_use]
    pub fn values(&self) -> [Option<u32>; 4] {
        [self.daily_hour.map(u32::from), self.idle_minutes, self.parts_days, self.steps_days]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkChoice {
    pub of: QueueOf,
    pub wish: ConversationOptions,
}

impl Record for TalkChoice {
    type Id = QueueOf;
    const TABLE: Table = TALK_CHOICES;
    const CLASS: Class = Class::Work;
    const VERSION: u8 = 3;
    fn id(&self) -> QueueOf {
        self.of
    }
    fn refs(&self, refs: &mut Refs) {
        match self.of {
            QueueOf::Workspace => {}
            QueueOf::Agent(id) => refs.to::<Agent>(1, Some(id), OnDelete::Cascade),
            QueueOf::Session(id) => refs.to::<Session>(2, Some(id), OnDelete::Cascade),
        }
    }
    fn sample() -> Self {
        Self {
            of: QueueOf::Agent(AgentId::from_bytes([5; 16])),
            wish: ConversationOptions {
                daily_hour: Some(4),
                idle_minutes: Some(90),
                shows_thoughts: Some(true),
                parts_days: Some(14),
                steps_days: None,
                fast: Some(Fast::On),
                shows_tools: Some(Verbosity::Full),
            },
        }
    }
    fn upgrade(version: u8, body: &[u8]) -> Result<Self, DecodeError> {
        let TalkChoiceV2 { of, wish } = match version {
            1 => codec::decode::<TalkChoiceV1>(body)?.next(),
            2 => codec::decode(body)?,
            _ => return Err(DecodeError::UnknownVersion { table: TALK_CHOICES.name, version }),
        };
        let wish = ConversationOptions {
            daily_hour: wish.daily_hour,
            idle_minutes: wish.idle_minutes,
            shows_thoughts: wish.shows_thoughts,
            parts_days: wish.parts_days,
            steps_days: wish.steps_days,
            fast: wish.fast,
            shows_tools: None,
        };
        Ok(Self { of, wish })
    }
}

/// Effective preferences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Hour of the day at which a person's own conversation is reset.
    pub daily_hour: Option<u8>,
    /// Idle time after which it is reset.
    pub idle: Option<SignedDuration>,
    /// Display of thinking; `None` means collapsed.
    pub shows_thoughts: Option<bool>,
    /// Retention of sub-agents' conversations.
    pub parts: SignedDuration,
    /// Retention of the steps of finished work.
    pub steps: SignedDuration,
    /// Response speed; `None` leaves it to the provider.
    pub fast: Option<Fast>,
    /// Display of tool calls; `None` means collapsed.
    pub shows_tools: Option<Verbosity>,
}

impl Habits {
    /// Merges preferences, highest priority first.
    #[must_use]
    pub fn of(wishes: &[ConversationOptions]) -> Self {
        let days = |n: u32| SignedDuration::from_hours(24 * i64::from(n));
        let hour = wishes.iter().find_map(|wish| wish.daily_hour);
        let minutes = wishes.iter().find_map(|wish| wish.idle_minutes);
        Self {
            daily_hour: hour.filter(|hour| *hour < NEVER),
            idle: minutes
                .filter(|minutes| 0 < *minutes)
                .map(|minutes| SignedDuration::from_mins(i64::from(minutes))),
            shows_thoughts: wishes.iter().find_map(|wish| wish.shows_thoughts),
            parts: days(wishes.iter().find_map(|wish| wish.parts_days).unwrap_or(PARTS_DAYS)),
            steps: days(wishes.iter().find_map(|wish| wish.steps_days).unwrap_or(STEPS_DAYS)),
            fast: wishes.iter().find_map(|wish| wish.fast),
            shows_tools: wishes.iter().find_map(|wish| wish.shows_tools),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConversationOptions, Habits, NEVER};

    #[test]
    fn the_nearer_choice_counts_and_never_is_a_choice() {
        let usual = Habits::of(&[]);
        assert_eq!((usual.daily_hour, usual.idle), (None, None));
        assert_eq!((usual.parts.as_hours(), usual.steps.as_hours()), (720, 4_320));
        let all = ConversationOptions {
            daily_hour: Some(4),
            idle_minutes: Some(90),
            ..ConversationOptions::default()
        };
        let own = ConversationOptions { daily_hour: Some(NEVER), ..ConversationOptions::default() };
        let both = Habits::of(&[own, all]);
        assert_eq!((both.daily_hour, both.idle.map(|idle| idle.as_mins())), (None, Some(90)));
        let never = ConversationOptions { idle_minutes: Some(0), ..own };
        assert_eq!(Habits::of(&[never, all]).idle, None);
    }
}
