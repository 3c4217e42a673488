//! Options for messages that arrive while a run works in their session: the choices at each level and the effective
//! result.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::agents::model::Agent;
use kernel::key::{Key, KeyBuf};
use kernel::{AgentId, DropPolicy, QueueMode, SessionId, TypedId};
use store::{Class, OnDelete, Record, Refs, Table};

pub const QUEUE_CHOICES: Table = Table::new(170, "queue_choices");

/// Default debounce of collected messages.
const DEBOUNCE_MS: u32 = 500;
pub const MAX_DEBOUNCE_MS: u32 = 10 * 60 * 1000;
/// Default number of messages that may wait in one session.
const CAP: u32 = 20;
pub const MAX_CAP: u32 = 200;

/// Level of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueOf {
    /// All sessions of the workspace.
    Workspace,
    /// All sessions of an agent.
    Agent(AgentId),
    Session(SessionId),
}

impl Key for QueueOf {
    fn encode(&self, out: &mut KeyBuf) {
        match self {
            Self::Workspace => out.u8(0),
            Self::Agent(id) => out.u8(1).part(*id),
            Self::Session(id) => out.u8(2).part(*id),
        };
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Workspace),
            1 => Some(Self::Agent(AgentId::take(bytes)?)),
            2 => Some(Self::Session(SessionId::take(bytes)?)),
            _ => None,
        }
    }
}

/// Options chosen at one level; `None` falls back to the next level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRequest {
    pub mode: Option<QueueMode>,
    /// Quiet time before collected messages get their turn, in milliseconds.
    pub debounce_ms: Option<u32>,
    /// Maximum number of waiting messages.
    pub cap: Option<u32>,
    /// What is dropped above the cap.
    pub drop: Option<DropPolicy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueChoice {
    pub of: QueueOf,
    pub wish: QueueRequest,
}

impl Record for QueueChoice {
    type Id = QueueOf;
    const TABLE: Table = QUEUE_CHOICES;
    const CLASS: Class = Class::Work;
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
            wish: QueueRequest {
                mode: Some(QueueMode::Collect),
                debounce_ms: Some(1_500),
                cap: None,
                drop: Some(DropPolicy::Old),
            },
        }
    }
}

/// Level at which the mode was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    Session,
    Agent,
    Workspace,
    /// Not chosen: the default.
    Usual,
}

impl ChosenBy {
    /// API name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Workspace => "workspace",
            Self::Usual => "default",
        }
    }
}

/// Effective options of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queueing {
    /// Mode of messages without their own.
    pub mode: QueueMode,
    pub by: ChosenBy,
    /// Quiet time before collected messages get their turn.
    pub debounce: SignedDuration,
    /// Maximum number of waiting messages.
    pub cap: usize,
    /// What is dropped above the cap.
    pub drop: DropPolicy,
}

impl Queueing {
    /// Merges options, highest priority first.
    #[must_use]
    pub fn of(wishes: &[(ChosenBy, QueueRequest)]) -> Self {
        let first = wishes.iter().find_map(|(by, wish)| wish.mode.map(|mode| (mode, *by)));
        let (mode, by) = first.unwrap_or((QueueMode::Steer, ChosenBy::Usual));
        let debounce = wishes.iter().find_map(|(_, wish)| wish.debounce_ms).unwrap_or(DEBOUNCE_MS);
        let cap = wishes.iter().find_map(|(_, wish)| wish.cap).unwrap_or(CAP);
        let drop = wishes.iter().find_map(|(_, wish)| wish.drop);
        Self {
            mode,
            by,
            debounce: SignedDuration::from_millis(i64::from(debounce)),
            cap: usize::try_from(cap).unwrap_or(usize::MAX),
            drop: drop.unwrap_or(DropPolicy::Summarize),
        }
    }
}

/// Parses a duration such as `500`, `500 ms`, `0.5s` or `2m` to milliseconds; a bare number means milliseconds.
#[must_use]
pub fn pause_ms(text: &str) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..at].trim(), &text[at..]);
    let of_one: f64 = match unit {
        "" | "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let ms = number.parse::<f64>().ok().filter(|n| n.is_finite() && 0.0 <= *n)? * of_one;
    // Larger values saturate; the range check rejects them.
    format!("{:.0}", ms.min(f64::from(u32::MAX))).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{ChosenBy, QueueRequest, Queueing, pause_ms};
    use kernel::{DropPolicy, QueueMode};

    #[test]
    fn the_nearest_choice_wins_and_each_part_on_its_own() {
        let session = QueueRequest { cap: Some(3), ..QueueRequest::default() };
        let agent = QueueRequest {
            mode: Some(QueueMode::Collect),
            cap: Some(50),
            drop: Some(DropPolicy::New),
            ..QueueRequest::default()
        };
        let all = Queueing::of(&[(ChosenBy::Session, session), (ChosenBy::Agent, agent)]);
        assert_eq!((all.mode, all.by, all.cap), (QueueMode::Collect, ChosenBy::Agent, 3));
        assert_eq!((all.debounce.as_millis(), all.drop), (500, DropPolicy::New));
        let usual = Queueing::of(&[]);
        assert_eq!((usual.mode, usual.by, usual.cap), (QueueMode::Steer, ChosenBy::Usual, 20));
    }

    #[test]
    fn pauses_are_read_with_their_units() {
        let read = ["500", "500 ms", "0.5s", "2m", "1h", "1d"].map(pause_ms);
        let ms = [500, 500, 500, 120_000, 3_600_000, 86_400_000].map(Some);
        assert_eq!(read, ms);
        assert_eq!(["", "s", "-1", "1x", "NaN", "1 2"].map(pause_ms), [None; 6]);
        assert_eq!(pause_ms("9999999999d"), Some(u32::MAX));
    }
}
